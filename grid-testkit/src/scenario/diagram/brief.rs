//! A message in a few words, and the entries that it is about.

use std::collections::BTreeMap;

use grid_core::OpId;
use grid_core::protocol::{Ack, Delta, Message, RepairStep, Verdict};

use crate::scenario::invariants::Views;
use crate::scenario::ledger::shown;

/// What the messages of a run told so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    views: Views,
    /// The entries of ops, as `map/key`.
    ops: BTreeMap<OpId, String>,
}

impl Told {
    /// What a message that is sent over connection `link` says in a few words, and its entries.
    pub(super) fn read(&mut self, link: u64, message: &Message) -> (String, Vec<String>) {
        self.views.read(link, message);
        match message {
            Message::Push(push) => {
                let keys = push.ops.iter().map(|op| format!("{}/{}", op.map, op.key));
                let keys: Vec<String> = keys.collect();
                let ids = push.ops.iter().map(|op| op.id);
                self.ops.extend(ids.zip(keys.iter().cloned()));
                let ops = push.ops.iter().zip(&keys);
                let ops = ops.map(|(op, key)| format!("{} {key}", op.id.number));
                (format!("Push {}", list(ops)), keys)
            }
            Message::Ack(ack) => self.ack(ack),
            Message::Delta(delta) => self.delta(link, delta),
            Message::Subscribe(subscribe) => {
                let from = match subscribe.cursor.as_slice() {
                    [] => "the beginning".to_owned(),
                    cursor => list(cursor.iter().map(|(_, sequence)| sequence.to_string())),
                };
                (
                    format!("Subscribe {} from {from}", subscribe.map),
                    Vec::new(),
                )
            }
            Message::CaughtUp(caught_up) => {
                let map = self.views.map(link, caught_up.view);
                let map = map.map_or_else(String::new, ToString::to_string);
                let cursor = caught_up.cursor.iter();
                let at = match list(cursor.map(|(_, sequence)| sequence.to_string())) {
                    none if none.is_empty() => none,
                    cursor => format!(" at {cursor}"),
                };
                let reset = if caught_up.reset { ", reset" } else { "" };
                (format!("CaughtUp {map}{at}{reset}"), Vec::new())
            }
            Message::Repair(repair) => {
                let step = match &repair.step {
                    RepairStep::Nodes { level, .. } => format!("nodes of level {level}"),
                    RepairStep::Leaves { leaves, .. } => format!("{} leaves", leaves.len()),
                    RepairStep::Fetch { keys } => format!("{} keys", keys.len()),
                    RepairStep::Snapshot => "a snapshot".to_owned(),
                };
                (
                    format!("Repair partition {}: {step}", repair.partition),
                    Vec::new(),
                )
            }
            Message::Deferred(deferred) => (format!("Deferred from {}", deferred.from), Vec::new()),
            other => (name(other), Vec::new()),
        }
    }

    fn ack(&self, ack: &Ack) -> (String, Vec<String>) {
        let id = |number| OpId {
            run: ack.run,
            number,
        };
        let ranges = ack.accepted.iter();
        let accepted = ranges.map(|range| match range.count {
            1 => range.first.to_string(),
            count => format!("{}-{}", range.first, range.first + count - 1),
        });
        let refused = ack.exceptions.iter().map(|one| {
            let verdict = match &one.verdict {
                Verdict::Accepted => "taken",
                Verdict::Restamped(_) => "taken, stamped anew",
                Verdict::Superseded(_) => "superseded",
                Verdict::Rejected { .. } => "rejected",
            };
            format!("{} {verdict}", one.number)
        });
        let label = format!("Ack {}", list(accepted.chain(refused)));
        let exceptions = ack.exceptions.iter().map(|one| one.number);
        let accepted = ack.accepted.iter();
        let numbers = accepted.flat_map(|range| range.first..range.first + range.count);
        let numbers = numbers.chain(exceptions);
        let keys = numbers.filter_map(|number| self.ops.get(&id(number)).cloned());
        (label, keys.collect())
    }

    fn delta(&self, link: u64, delta: &Delta) -> (String, Vec<String>) {
        let map = self.views.map(link, delta.view);
        let map = map.map_or_else(String::new, ToString::to_string);
        let keys = delta.records.iter();
        let keys: Vec<String> = keys.map(|record| format!("{map}/{}", record.key)).collect();
        let records = delta.records.iter().map(|record| {
            let value = record.value.as_ref();
            let value = value.map_or("gone".to_owned(), |value| shown(value));
            format!("{}={value}", record.key)
        });
        let (partition, to) = (delta.partition, delta.to);
        let records = match list(records) {
            none if none.is_empty() => none,
            records => format!(": {records}"),
        };
        (format!("Delta {map} {partition}#{to}{records}"), keys)
    }
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// The message's name.
fn name(message: &Message) -> String {
    let text = format!("{message:?}");
    let name = text.split(|letter: char| !letter.is_alphanumeric());
    name.take(1).collect()
}
