//! The shopping list on flaky networks, with phones that die and servers that lose their power.

use std::collections::BTreeMap;

use async_trait::async_trait;
use grid_testkit::scenario::{
    Check, Device, Event, FinalState, Invariant, Simulation, Told, Turn, View, Workload,
};
use shopping_list::{HouseRules, Item, MOST};

const LIST: &str = "shopping";
const THINGS: [&str; 5] = ["milk", "bread", "eggs", "salt", "tea"];

/// What the members of the household do.
#[derive(Debug)]
struct Household {
    /// Whether they write only what they still see unchanged.
    careful: bool,
}

impl Household {
    async fn write(&self, device: &Device, thing: &str, item: &Item) -> Check {
        if self.careful {
            device.put_if_unchanged(LIST, thing, item).await
        } else {
            device.put(LIST, thing, item).await
        }
    }
}

#[async_trait]
impl Workload for Household {
    fn maps(&self) -> Vec<String> {
        vec![LIST.to_owned()]
    }

    async fn run(&self, device: &Device, turn: &Turn) -> Check {
        let thing = turn.pick(&THINGS).ok_or("there is nothing to buy")?;
        let seen = device.get(LIST, thing)?;
        match seen.and_then(|value| Item::read(&value)) {
            None => {
                let wish = (device.number() as u64) << 32 | u64::from(turn.number());
                // One in eleven is against the rules: the server will refuse it.
                let item = Item::wanted(wish, turn.below(MOST + 2));
                self.write(device, thing, &item).await
            }
            Some(item) if item.bought_by.is_none() => {
                // A condition is on what the server has confirmed. One's own wish may not be there
                // yet, so whoever wished for a thing leaves it to the others to buy.
                if self.careful && item.wish >> 32 == device.number() as u64 {
                    return Ok(());
                }
                let bought = item.bought(device.number());
                self.write(device, thing, &bought).await
            }
            Some(_) => device.remove(LIST, thing).await,
        }
    }

    fn check(&self, state: &FinalState) -> Check {
        for ((_, thing), entry) in state {
            match Item::read(&entry.value) {
                Some(item) if item.is_sane() => {}
                other => return Err(format!("{thing} is against the rules: {other:?}")),
            }
        }
        Ok(())
    }
}

/// The second rule: of one wish, the server tells one person only "yes, you bought it".
#[derive(Debug, Default)]
struct NothingIsBoughtTwice {
    /// The wish and the buyer of each write that buys.
    bags: BTreeMap<usize, (u64, usize)>,
    bought: BTreeMap<u64, usize>,
}

impl Invariant for NothingIsBoughtTwice {
    fn name(&self) -> &'static str {
        "nothing is bought twice"
    }

    fn observe(&mut self, event: &Event, _view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Write { number, value, .. } => {
                let item = value.as_ref().and_then(|value| Item::read(value));
                if let Some((item, by)) = item.and_then(|item| Some((item.wish, item.bought_by?))) {
                    self.bags.insert(*number, (item, by));
                }
            }
            Event::Told {
                number,
                told: Told::Acked,
                ..
            } => {
                let Some((wish, by)) = self.bags.get(number) else {
                    return Ok(());
                };
                if let Some(first) = self.bought.insert(*wish, *by)
                    && first != *by
                {
                    return Err(format!("wish {wish:x} was bought by {first} and by {by}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn household(careful: bool) -> Simulation {
    Simulation::new("shopping list")
        .policy(HouseRules)
        .workload(Household { careful })
        .invariant(|| Box::<NothingIsBoughtTwice>::default())
}

grid_testkit::simulation!(
    /// As an app's own tests would hold it.
    both_rules_hold,
    household(true)
);

#[test]
fn who_buys_without_a_condition_is_found_out() {
    let careless = household(false);
    let summary = careless.sweep(0..40, 0);
    let failing = summary.failures.first().expect("somebody buys twice");
    let broken = failing.failure.as_deref().unwrap_or_default();
    assert!(broken.contains("nothing is bought twice"), "{broken}");

    // The simulator leaves out what has nothing to do with it: two people and one thing are left.
    let shrunk = careless.shrink(failing, 600);
    let plan = &shrunk.outcome.plan;
    assert!(plan.len() * 10 <= shrunk.size_before, "{plan}");
    println!("{}", shrunk.outcome);

    // What is printed repeats it, step by step.
    let again = careless.run_plan(shrunk.outcome.seed, plan);
    assert_eq!(again.trace_hash, shrunk.outcome.trace_hash);
    assert_eq!(again.failure, shrunk.outcome.failure);
}
