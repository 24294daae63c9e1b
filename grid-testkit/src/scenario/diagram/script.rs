//! What happened, as rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use grid_core::protocol::Message;

use super::brief::Told as Messages;
use super::flights::{Flight, Flights, Way};
use super::row::{Mark, Row, Script};
use crate::scenario::event::{Event, TimedEvent, Told};
use crate::scenario::fault::Fault;
use crate::scenario::ledger::shown;
use crate::scenario::outcome::Outcome;
use crate::scenario::timeline::{describe, fate_name, found_in_words, put_back};
use crate::scenario::world::{DATABASE, DIRECTOR, device_party, name_of, server_party};
use crate::sim::{FrameFate, NOBODY, PartyId};

/// The most rows that are drawn. Of a longer run the end is kept: it shows what broke.
pub(super) const MOST_ROWS: usize = 6000;

/// The rows of a recorded run.
pub(super) fn of(outcome: &Outcome) -> Script {
    let mut writer = Writer::default();
    for happened in &outcome.events {
        writer.write(happened);
    }
    let end = outcome.events.last().map_or(Duration::ZERO, |last| last.at);
    writer.end(end, outcome.failure.as_deref());
    writer.finish()
}

#[derive(Debug, Default)]
struct Writer {
    rows: Vec<Row>,
    flights: Flights,
    messages: Messages,
    /// The entries that auditors asked for.
    audits: BTreeMap<usize, String>,
    /// Who is, or was, at the ends of each connection.
    links: BTreeMap<u64, BTreeSet<PartyId>>,
    /// What each write is, and its entry.
    writes: BTreeMap<usize, (String, String)>,
}

impl Writer {
    fn write(&mut self, happened: &TimedEvent) {
        let at = happened.at;
        match &happened.event {
            Event::Frame { .. } => self.frame(at, &happened.event),
            Event::Fault(fault) => self.fault(at, fault),
            Event::Down(party) => self.plain(at, *party, Mark::Down, "loses its power"),
            Event::Up(party) => self.plain(at, *party, Mark::Up, "is up"),
            Event::PutBack { server, remains } => {
                self.plain(at, *server, Mark::Up, put_back(remains));
            }
            Event::Healed => self.plain(at, DIRECTOR, Mark::Fault, "everything heals"),
            Event::Stored { .. } => self.stored(at, &happened.event),
            Event::Journalled {
                server,
                partition,
                epoch,
                begins_epoch: true,
                ..
            } => {
                let label = format!("begins epoch {} of partition {partition}", epoch.0);
                self.plain(at, *server, Mark::Up, &label);
            }
            // What a batch holds is seen when it is acknowledged.
            Event::Journalled { .. } | Event::Durable { .. } | Event::Holds(_) => {}
            Event::Audit { number, map, key } => {
                self.plain(at, DIRECTOR, Mark::Read, &format!("asks for {map}/{key}"));
                self.audits.insert(*number, format!("{map}/{key}"));
                self.about(*number);
            }
            Event::Audited { number, found } => {
                let told = format!("is told {}", found_in_words(found));
                self.plain(at, DIRECTOR, Mark::Told("durable"), &told);
                self.about(*number);
            }
            Event::Write { .. } | Event::Read { .. } | Event::Told { .. } => {
                self.operation(at, &happened.event);
            }
        }
    }

    fn plain(&mut self, at: Duration, party: PartyId, mark: Mark, label: &str) {
        self.rows.push(Row {
            at,
            party,
            mark,
            label: label.to_owned(),
            details: format!("{} {label}", name_of(party)),
            keys: Vec::new(),
            parties: vec![party],
            idle: false,
        });
    }

    /// The last row is about an entry that an auditor asked for.
    fn about(&mut self, audit: usize) {
        if let Some(row) = self.rows.last_mut() {
            row.keys.extend(self.audits.get(&audit).cloned());
        }
    }

    fn frame(&mut self, at: Duration, event: &Event) {
        let Event::Frame {
            from,
            to,
            link,
            fate,
            bytes,
            message,
        } = event
        else {
            return;
        };
        let way = (*from, *to, *link);
        let (from, to) = self.ends(way);
        let row = self.rows.len();
        match fate {
            FrameFate::Sent => {
                let flight = self.flights.sent(way, *bytes, message.clone(), row);
                let (label, keys) = match message {
                    Some(message) => self.messages.read(*link, message),
                    None => ("no message".to_owned(), Vec::new()),
                };
                self.rows.push(Row {
                    at,
                    party: from,
                    mark: Mark::Sent(flight),
                    label,
                    details: String::new(),
                    keys,
                    parties: vec![from, to],
                    idle: matches!(
                        message.as_deref(),
                        Some(Message::Ping(_) | Message::Pong(_))
                    ),
                });
            }
            FrameFate::Delivered => {
                let number = self.flights.arrived(way, *bytes, message.as_ref(), row);
                let flight = number.and_then(|number| self.flights.get(number));
                if let Some((number, flight)) = number.zip(flight)
                    && let Some(sent) = self.rows.get(flight.sent)
                {
                    self.rows.push(Row {
                        at,
                        party: to,
                        mark: Mark::Arrived(number),
                        label: String::new(),
                        ..sent.clone()
                    });
                }
            }
            fate => self.flights.fate(way, *fate),
        }
    }

    /// Who is at both ends of a way, though one of them may be gone.
    fn ends(&mut self, (from, to, link): Way) -> (PartyId, PartyId) {
        let met = [from, to].into_iter().filter(|party| *party != NOBODY);
        let ends = self.links.entry(link).or_default();
        ends.extend(met);
        let other = |party: PartyId| ends.iter().find(|end| **end != party).copied();
        match (from, to) {
            (NOBODY, to) => (other(to).unwrap_or(NOBODY), to),
            (from, NOBODY) => (from, other(from).unwrap_or(NOBODY)),
            both => both,
        }
    }

    fn fault(&mut self, at: Duration, fault: &Fault) {
        let label = words(fault, false);
        let device = fault.device().map(device_party);
        let server = fault.server().map(server_party);
        let parties = device.into_iter().chain(server);
        self.rows.push(Row {
            at,
            party: DIRECTOR,
            mark: Mark::Fault,
            label,
            details: format!("fault: {}", words(fault, true)),
            keys: Vec::new(),
            parties: std::iter::once(DIRECTOR).chain(parties).collect(),
            idle: false,
        });
    }

    fn stored(&mut self, at: Duration, event: &Event) {
        let Event::Stored {
            by,
            partition,
            records,
            through,
            error,
        } = event
        else {
            return;
        };
        let failed = error.is_some();
        let label = format!(
            "{partition}#{through}{}",
            if failed { " fails" } else { "" }
        );
        let mut details = format!(
            "{} stores partition {partition} up to {through}, {} records",
            name_of(*by),
            records.len()
        );
        if let Some(error) = error {
            let _ = write!(details, ": {error}");
        }
        self.rows.push(Row {
            at,
            party: *by,
            mark: Mark::Stored { failed },
            label,
            details,
            keys: Vec::new(),
            parties: vec![*by, DATABASE],
            idle: false,
        });
    }

    fn operation(&mut self, at: Duration, event: &Event) {
        let (device, mark, label, details, entry) = match event {
            Event::Write {
                device,
                number,
                map,
                key,
                value,
                ..
            } => {
                let entry = format!("{map}/{key}");
                let what = match value {
                    Some(value) => format!("puts {entry} = {}", shown(value)),
                    None => format!("removes {entry}"),
                };
                self.writes.insert(*number, (what.clone(), entry.clone()));
                let label = format!("{number}: {what}");
                let details = format!("device {device}'s app {what} (write {number})");
                (device, Mark::Write, label, details, entry)
            }
            Event::Read {
                device,
                map,
                key,
                version,
            } => {
                let label = format!("reads {map}/{key}");
                let details = format!("device {device}'s app {label} at {version}");
                (device, Mark::Read, label, details, format!("{map}/{key}"))
            }
            Event::Told {
                device,
                number,
                op,
                told,
            } => {
                let (what, entry) = self.writes.get(number).cloned().unwrap_or_default();
                let (word, look) = verdict(told);
                let op = op.map(|op| format!(" (op {op})")).unwrap_or_default();
                let details = format!("write {number}, {what}{op}, is told {told:?}");
                let label = format!("{number} {word}");
                (device, Mark::Told(look), label, details, entry)
            }
            _ => return,
        };
        let party = device_party(*device);
        self.rows.push(Row {
            at,
            party,
            mark,
            label,
            details,
            keys: vec![entry],
            parties: vec![party],
            idle: false,
        });
    }

    fn end(&mut self, at: Duration, failure: Option<&str>) {
        let broken = failure.is_some();
        let label = failure.unwrap_or("everything holds, and all parties agree");
        self.plain(at, DIRECTOR, Mark::End { broken }, label);
        if let Some(end) = self.rows.last_mut() {
            end.parties.clear();
            label.clone_into(&mut end.details);
        }
    }

    /// Tells of each frame what became of it, and leaves out the beginning of what is too long.
    fn finish(self) -> Script {
        let mut script = Script {
            rows: self.rows,
            flights: self.flights.into_all(),
            left_out: 0,
        };
        for number in 0..script.rows.len() {
            let Some(row) = script.rows.get(number) else {
                break;
            };
            if let Mark::Sent(flight) | Mark::Arrived(flight) = row.mark
                && let Some(flight) = script.flights.get(flight)
            {
                let details = story(flight, &script.rows);
                if let Some(row) = script.rows.get_mut(number) {
                    row.details = details;
                }
            }
        }
        script.cut(MOST_ROWS);
        script
    }
}

/// What became of a frame.
fn story(flight: &Flight, rows: &[Row]) -> String {
    let (from, to, link) = flight.way;
    let message = match &flight.message {
        None => "something that is no message".to_owned(),
        Some(message) => describe(message).unwrap_or_else(|| format!("{message:?}")),
    };
    let mut text = format!(
        "{} → {}, link {link}, {} bytes\n{message}",
        name_of(from),
        name_of(to),
        flight.bytes
    );
    let at = |row: usize| rows.get(row).map_or(Duration::ZERO, |row| row.at);
    let mut tell = |what: &str| {
        let _ = write!(text, "\n{what}");
    };
    for fate in &flight.fates {
        tell(fate_name(*fate));
    }
    for row in &flight.arrived {
        let took = at(*row).saturating_sub(at(flight.sent)).as_secs_f64() * 1000.0;
        tell(&format!("arrived after {took:.1} ms"));
    }
    if flight.arrived.is_empty() && !flight.is_lost() {
        tell("never arrived: its connection ended, or the run did");
    }
    text
}

/// A fault in words: its name, and what it says about itself; unless `full`, without what is zero
/// or false.
fn words(fault: &Fault, full: bool) -> String {
    let plain = |name: &str| name.replace('_', " ");
    match serde_json::to_value(fault) {
        Ok(serde_json::Value::String(name)) => plain(&name),
        Ok(serde_json::Value::Object(named)) => {
            let mut text = String::new();
            for (name, said) in named {
                text.push_str(&plain(&name));
                let said = said.as_object().into_iter().flatten();
                let told = |value: &serde_json::Value| {
                    full || !(value.as_f64() == Some(0.0) || *value == false)
                };
                // Who it hits is told even if that is number 0.
                let said = said.filter(|(field, value)| told(value) || names_somebody(field));
                for (index, (field, value)) in said.enumerate() {
                    let comma = if index == 0 { ":" } else { "," };
                    let _ = write!(text, "{comma} {} {value}", plain(field));
                }
            }
            text
        }
        _ => format!("{fault:?}"),
    }
}

fn names_somebody(field: &str) -> bool {
    ["device", "server"].contains(&field)
}

/// What an app was told, in a word, and how it looks.
fn verdict(told: &Told) -> (&'static str, &'static str) {
    match told {
        Told::Unknown => ("is unknown", "lost"),
        Told::Failed(_) => ("fails", "bad"),
        Told::Durable => ("is durable", "durable"),
        Told::Acked => ("is acked", "good"),
        Told::Superseded => ("is superseded", "lost"),
        Told::Rejected(_) => ("is rejected", "bad"),
    }
}

impl Script {
    /// Keeps the last `most` rows.
    fn cut(&mut self, most: usize) {
        let out = self.rows.len().saturating_sub(most);
        self.left_out = out;
        self.rows.drain(..out);
        for flight in &mut self.flights {
            flight.sent = flight.sent.saturating_sub(out);
            for row in &mut flight.arrived {
                *row = row.saturating_sub(out);
            }
        }
    }
}
