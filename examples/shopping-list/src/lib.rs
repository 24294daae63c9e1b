//! # A shopping list with two rules
//!
//! A household shares a list. Everybody writes to it, offline too, from the shop's cellar. Two
//! rules must hold whatever the network does:
//!
//! 1. Nobody wants more than [`MOST`] of a thing, or none of it. The server's [`HouseRules`] see
//!    to that: it refuses such a write, and the device that made it undoes it.
//! 2. Nothing is bought twice. That is no property of one write but of two: two people in two shops
//!    see the same milk unbought. So to buy is a write with a condition, "if the item is as I see
//!    it", and of two the server takes one. The condition is on what the server has confirmed, so
//!    nobody buys what they have only just wished for themselves.
//!
//! `tests/simulation.rs` runs this in the simulator, and shows that it finds what happens to people
//! who buy without the condition.
//!
//! Run it: `cargo test -p shopping-list`.

use grid_core::MapName;
use grid_core::op::{Action, Op};
use grid_core::traits::{Decision, Policy, Principal};
use serde::{Deserialize, Serialize};

/// The most that anybody may want of one thing.
pub const MOST: u64 = 20;

/// A thing to buy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Which wish for it: milk wanted again next week is another one.
    pub wish: u64,
    /// How much of it.
    pub amount: u64,
    /// Who bought it.
    pub bought_by: Option<usize>,
}

impl Item {
    /// A wish that nobody has fulfilled yet.
    #[must_use]
    pub fn wanted(wish: u64, amount: u64) -> Self {
        Self {
            wish,
            amount,
            bought_by: None,
        }
    }

    /// The item in somebody's bag.
    #[must_use]
    pub fn bought(self, by: usize) -> Self {
        Self {
            bought_by: Some(by),
            ..self
        }
    }

    /// Whether the amount is within the rules.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        (1..=MOST).contains(&self.amount)
    }

    /// The item in a value of the grid; none if it is something else.
    #[must_use]
    pub fn read(value: &[u8]) -> Option<Self> {
        ciborium::from_reader(value).ok()
    }
}

/// The first rule, as the server applies it.
#[derive(Debug)]
pub struct HouseRules;

impl Policy for HouseRules {
    fn may_write(&self, _who: &Principal, op: &Op) -> Decision {
        let Action::Put { value, .. } = &op.action else {
            return Decision::Allow;
        };
        match Item::read(value) {
            Some(item) if item.is_sane() => Decision::Allow,
            Some(item) => Decision::Deny(format!("{} of one thing: 1 to {MOST}", item.amount)),
            None => Decision::Deny("that is no item of a shopping list".to_owned()),
        }
    }

    fn may_read(&self, _who: &Principal, _map: &MapName) -> Decision {
        Decision::Allow
    }
}
