//! A view: the entries of one map in one partition that a selector matches, and their root.

use super::apply::Applied;
use super::effects::Effects;
use super::machine::Partition;
use crate::address::MapAddress;
use crate::protocol::Selector;
use crate::record::{Record, Sequence};

/// What subscribers of a view are level with: its root, and where it changed last.
///
/// The root is taken in the same step as the change, so that it belongs to the sequence with which
/// it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    address: MapAddress,
    selector: Selector,
    root: u128,
    last: Sequence,
}

/// How one batch changed a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewChange<'a> {
    /// Where the view changed before.
    pub from: Sequence,
    /// The partition's sequence now.
    pub to: Sequence,
    /// The root now.
    pub root: u128,
    /// The versions that stand now, in the order of their sequences, each key once.
    pub records: Vec<&'a Record>,
}

impl Partition {
    /// The view of `selector` over a map as it stands now.
    #[must_use]
    pub fn open_view(&self, address: &MapAddress, selector: &Selector) -> View {
        let mut view = View {
            address: address.clone(),
            selector: selector.clone(),
            root: 0,
            last: Sequence::ZERO,
        };
        if let Some(map) = self.map(address) {
            view.root = match selector {
                Selector::All => map.tree().root(),
                Selector::Prefix(_) => map
                    .digests(selector)
                    .fold(0, |root: u128, entry| root.wrapping_add(entry.digest)),
            };
            view.last = map
                .places()
                .filter(|(_, slot)| selector.matches_bytes(slot.key()))
                .map(|(place, _)| place.sequence)
                .max()
                .unwrap_or_default();
        }
        view
    }
}

impl View {
    /// The map.
    #[must_use]
    pub fn address(&self) -> &MapAddress {
        &self.address
    }

    /// Which of its entries.
    #[must_use]
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// The wrapping sum of the digests of its entries.
    #[must_use]
    pub fn root(&self) -> u128 {
        self.root
    }

    /// The sequence of its last change.
    #[must_use]
    pub fn last(&self) -> Sequence {
        self.last
    }

    /// Follows a batch that was just applied to `partition`; `None` when it did not change the
    /// view.
    pub fn advance<'a>(
        &mut self,
        partition: &Partition,
        effects: &'a Effects,
        applied: &Applied,
    ) -> Option<ViewChange<'a>> {
        let index = effects.maps.iter().position(|map| *map == self.address)?;
        let map = partition.map(&self.address)?;
        let from = self.last;
        let mut records = Vec::new();
        for (each, change) in effects.records.iter().zip(&applied.changes) {
            if each.map as usize != index || !self.selector.matches(&each.record.key) {
                continue;
            }
            let Some(change) = change else { continue };
            self.root = self.root.wrapping_add(change.root);
            self.last = change.place.sequence;
            if map.at(change.place).is_some() {
                records.push(&each.record);
            }
        }
        (self.last > from).then(|| ViewChange {
            from,
            to: partition.sequence(),
            root: self.root,
            records,
        })
    }
}
