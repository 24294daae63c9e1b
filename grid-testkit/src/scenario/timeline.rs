//! A run in words: by simulated time and by party.

use std::fmt::Write as _;

use bytes::Bytes;
use grid_core::Stamp;
use grid_core::protocol::{Ack, Delta, Message, RepairStep};

use super::backup::Remains;
use super::event::{Event, TimedEvent};
use super::ledger::shown;
use super::outcome::Outcome;
use super::world::{device_party, name_of};
use crate::sim::FrameFate;

/// The events of a recorded run, one line each: time, party, what happened.
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    let mut text = String::new();
    for happened in &outcome.events {
        if let Some((party, what)) = line(happened) {
            let seconds = happened.at.as_secs_f64();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{seconds:>9.4} s  {party:<9} {what}");
        }
    }
    text
}

fn line(happened: &TimedEvent) -> Option<(String, String)> {
    let device = |number: usize| name_of(device_party(number));
    match &happened.event {
        Event::Frame {
            from,
            to,
            link,
            fate,
            message,
            ..
        } => {
            let what = match (fate, message) {
                // Delivery and signs of life say nothing that the rest does not.
                (FrameFate::Delivered, _) => return None,
                (FrameFate::Sent, Some(message)) => describe(message)?,
                (FrameFate::Sent, None) => "something that is no message".to_owned(),
                (fate, _) => format!("… the frame was {}", fate_name(*fate)),
            };
            Some((
                name_of(*from),
                format!("→ {}, link {link}: {what}", name_of(*to)),
            ))
        }
        Event::Fault(fault) => Some(("fault".to_owned(), format!("{fault:?}"))),
        Event::Down(party) => Some((name_of(*party), "loses its power".to_owned())),
        Event::Up(party) => Some((name_of(*party), "is up".to_owned())),
        Event::Write {
            device: number,
            number: write,
            map,
            key,
            value,
            ..
        } => {
            let what = match value {
                Some(value) => format!("puts {map}/{key} = {}", shown(value)),
                None => format!("removes {map}/{key}"),
            };
            Some((device(*number), format!("write {write}: {what}")))
        }
        Event::Told {
            device: number,
            number: write,
            op,
            told,
        } => {
            let op = op.map(|op| format!(" (op {op})")).unwrap_or_default();
            Some((
                device(*number),
                format!("write {write}{op} is told {told:?}"),
            ))
        }
        Event::Read {
            device: number,
            map,
            key,
            version,
        } => Some((device(*number), format!("reads {map}/{key} at {version}"))),
        Event::Stored { .. }
        | Event::Journalled { .. }
        | Event::Durable { .. }
        | Event::Holds(_)
        | Event::Audit { .. }
        | Event::Audited { .. }
        | Event::PutBack { .. } => behind(&happened.event),
        Event::Healed => Some(("fault".to_owned(), "everything heals".to_owned())),
    }
}

/// What happens behind the servers' front: at their database and journal, and at whoever asks them.
fn behind(event: &Event) -> Option<(String, String)> {
    match event {
        Event::Stored {
            by,
            partition,
            records,
            through,
            error,
        } => {
            let failed = error.as_ref().map(|error| format!(": {error}"));
            let what = format!(
                "stores partition {partition} up to {through}, {} records{}",
                records.len(),
                failed.unwrap_or_default()
            );
            Some((name_of(*by), what))
        }
        Event::Journalled {
            server,
            partition,
            epoch,
            begins_epoch: true,
            ..
        } => Some((
            name_of(*server),
            format!("begins epoch {} of partition {partition}", epoch.0),
        )),
        Event::Audit { map, key, .. } => {
            Some(("auditor".to_owned(), format!("asks for {map}/{key}")))
        }
        Event::Audited { found, .. } => Some((
            "auditor".to_owned(),
            format!("is told {}", found_in_words(found)),
        )),
        Event::PutBack { server, remains } => {
            Some((name_of(*server), put_back(remains).to_owned()))
        }
        _ => None,
    }
}

/// What a server answered.
pub(super) fn found_in_words(found: &Option<(Option<Bytes>, Stamp)>) -> String {
    match found {
        None => "that there is nothing".to_owned(),
        Some((None, stamp)) => format!("that it is gone at {stamp}"),
        Some((Some(value), stamp)) => format!("{} at {stamp}", shown(value)),
    }
}

/// What a server that was put back to a backup says of itself.
pub(super) fn put_back(remains: &Remains) -> &'static str {
    if remains.is_new_history() {
        "is back at its backup, and begins a new history"
    } else {
        "is back at its backup, in the same history"
    }
}

pub(super) fn fate_name(fate: FrameFate) -> &'static str {
    match fate {
        FrameFate::Sent => "sent",
        FrameFate::Delivered => "delivered",
        FrameFate::Dropped => "dropped",
        FrameFate::Cut => "lost: the way is cut",
        FrameFate::Duplicated => "doubled",
        FrameFate::Reordered => "reordered",
        FrameFate::Corrupted => "corrupted",
        FrameFate::Reset => "lost: the connection broke",
    }
}

/// A message in a few words; none for signs of life.
pub(super) fn describe(message: &Message) -> Option<String> {
    let text = match message {
        Message::Ping(_) | Message::Pong(_) => return None,
        Message::Push(push) => {
            let ops = push.ops.iter();
            let numbers: Vec<String> = ops
                .map(|op| format!("{} ({}/{} @{})", op.id.number, op.map, op.key, op.hlc))
                .collect();
            let resume = if push.resume { ", resuming" } else { "" };
            format!("Push run {} ops {}{resume}", push.run, numbers.join(" "))
        }
        Message::Ack(ack) => describe_ack(ack),
        Message::Delta(delta) => describe_delta(delta),
        Message::Subscribe(subscribe) => {
            format!("Subscribe {} from {:?}", subscribe.map, subscribe.cursor)
        }
        Message::CaughtUp(caught_up) => format!(
            "CaughtUp view {} at {:?}{}",
            caught_up.view.0,
            caught_up.cursor,
            if caught_up.reset { ", reset" } else { "" }
        ),
        Message::Repair(repair) => {
            let step = match &repair.step {
                RepairStep::Nodes { level, parents, .. } => {
                    format!("{} nodes of level {level}", parents.len())
                }
                RepairStep::Leaves { leaves, .. } => format!("{} leaves", leaves.len()),
                RepairStep::Fetch { keys } => format!("{} keys", keys.len()),
                RepairStep::Snapshot => "a snapshot".to_owned(),
            };
            format!("Repair partition {}: {step}", repair.partition)
        }
        Message::Deferred(deferred) => format!(
            "Deferred run {} from {}: {}",
            deferred.run, deferred.from, deferred.message
        ),
        Message::Hello(_) => "Hello".to_owned(),
        other => short(&format!("{other:?}")),
    };
    Some(text)
}

fn describe_ack(ack: &Ack) -> String {
    let accepted: Vec<String> = ack
        .accepted
        .iter()
        .map(|range| format!("{}+{}", range.first, range.count))
        .collect();
    let exceptions: Vec<String> = ack
        .exceptions
        .iter()
        .map(|one| format!("{}: {:?}", one.number, one.verdict))
        .collect();
    format!(
        "Ack run {} partition {} at {}, accepted [{}], exceptions [{}]",
        ack.run,
        ack.partition,
        ack.sequence,
        accepted.join(" "),
        exceptions.join(", ")
    )
}

fn describe_delta(delta: &Delta) -> String {
    let records: Vec<String> = delta
        .records
        .iter()
        .map(|record| {
            let value = record
                .value
                .as_ref()
                .map_or("gone".to_owned(), |v| shown(v));
            format!(
                "{}={value} @{} #{}",
                record.key, record.stamp, record.sequence
            )
        })
        .collect();
    format!(
        "Delta {:?} view {} partition {} {}..{} [{}]",
        delta.mode,
        delta.view.0,
        delta.partition,
        delta.from,
        delta.to,
        records.join(", ")
    )
}

/// The beginning of a long text.
fn short(text: &str) -> String {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
