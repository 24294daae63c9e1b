//! What lasts: faults with a beginning and an end, and when parties are up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::row::{Mark, Script};
use crate::scenario::event::{Event, TimedEvent};
use crate::scenario::fault::Fault;
use crate::scenario::outcome::Outcome;
use crate::scenario::world::{DATABASE, DIRECTOR, device_party, server_party};
use crate::sim::PartyId;

/// How something that lasts looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// All frames of all links are treated badly.
    Links,
    /// Frames of one device vanish.
    Cut,
    /// A clock is wrong.
    Clock,
    /// Input and output fail or are slow.
    Io,
    /// A party is up.
    Up,
    /// A party is down.
    Down,
}

/// Something that lasts, at one party, from one time to another.
#[derive(Debug, Clone)]
pub(super) struct Band {
    pub(super) look: Look,
    pub(super) party: PartyId,
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) title: String,
}

/// What lasts in a run.
pub(super) fn of(outcome: &Outcome) -> Vec<Band> {
    let mut bands = Bands::default();
    for happened in &outcome.events {
        bands.see(happened);
    }
    let end = outcome.events.last().map_or(Duration::ZERO, |last| last.at);
    bands.close_all(end, |_| true);
    bands.done
}

type Open = (Look, PartyId);

#[derive(Debug, Default)]
struct Bands {
    open: BTreeMap<Open, (Duration, String)>,
    done: Vec<Band>,
}

impl Bands {
    fn see(&mut self, happened: &TimedEvent) {
        let at = happened.at;
        match &happened.event {
            Event::Up(party) => self.turn(at, *party, Look::Down, Look::Up),
            Event::Down(party) => self.turn(at, *party, Look::Up, Look::Down),
            Event::Healed => self.close_all(at, |look| !matches!(look, Look::Up | Look::Down)),
            Event::Fault(fault) => self.fault(at, fault),
            _ => {}
        }
    }

    fn turn(&mut self, at: Duration, party: PartyId, before: Look, after: Look) {
        self.close(at, (before, party));
        let word = if after == Look::Up { "up" } else { "down" };
        let entry = self.open.entry((after, party));
        entry.or_insert_with(|| (at, word.to_owned()));
    }

    fn begin(&mut self, at: Duration, look: Look, party: PartyId, title: String) {
        self.close(at, (look, party));
        self.open.insert((look, party), (at, title));
    }

    fn lasts(&mut self, at: Duration, party: PartyId, title: &str, for_ms: u64) {
        self.done.push(Band {
            look: Look::Io,
            party,
            from: at,
            to: at + Duration::from_millis(for_ms),
            title: title.to_owned(),
        });
    }

    fn fault(&mut self, at: Duration, fault: &Fault) {
        match fault {
            Fault::Cut { device, up, down } => {
                let which = match (up, down) {
                    (true, true) => "cut both ways",
                    (true, false) => "cut towards the servers",
                    _ => "cut towards the device",
                };
                self.begin(at, Look::Cut, device_party(*device), which.to_owned());
            }
            Fault::Heal => self.close_all(at, |look| matches!(look, Look::Cut | Look::Links)),
            Fault::Links(links) => self.begin(at, Look::Links, DIRECTOR, format!("{links:?}")),
            Fault::Clock {
                device,
                offset_ms,
                drift_ppm,
            } => {
                let title = format!("clock is off by {offset_ms} ms, drifts by {drift_ppm} ppm");
                self.begin(at, Look::Clock, device_party(*device), title);
            }
            Fault::ServerClock {
                server,
                offset_ms,
                drift_ppm,
            } => {
                let title = format!("clock is off by {offset_ms} ms, drifts by {drift_ppm} ppm");
                self.begin(at, Look::Clock, server_party(*server), title);
            }
            Fault::DiskFull { server, for_ms } => {
                self.lasts(at, server_party(*server), "disk is full", *for_ms);
            }
            Fault::StoreError { device, for_ms } => {
                self.lasts(at, device_party(*device), "store fails", *for_ms);
            }
            Fault::StoreSlow { device, for_ms, .. } => {
                self.lasts(at, device_party(*device), "store is slow", *for_ms);
            }
            Fault::DatabaseError { for_ms } => self.lasts(at, DATABASE, "database fails", *for_ms),
            Fault::DatabaseSlow { for_ms, .. } => {
                self.lasts(at, DATABASE, "database is slow", *for_ms);
            }
            Fault::DatabaseRefuses { for_ms, .. } => {
                self.lasts(at, DATABASE, "database refuses records", *for_ms);
            }
            Fault::DatabaseTears { for_ms } => {
                self.lasts(at, DATABASE, "database gives no answers", *for_ms);
            }
            // What else happens is over at once, or shows as a party that is down.
            _ => {}
        }
    }

    fn close(&mut self, at: Duration, key: Open) {
        if let Some((from, title)) = self.open.remove(&key) {
            let (look, party) = key;
            self.done.push(Band {
                look,
                party,
                from,
                to: at,
                title,
            });
        }
    }

    fn close_all(&mut self, at: Duration, closes: impl Fn(Look) -> bool) {
        let keys: Vec<Open> = self.open.keys().copied().collect();
        for key in keys.into_iter().filter(|(look, _)| closes(*look)) {
            self.close(at, key);
        }
    }
}

impl Band {
    /// The rows between which it lasts: the one in which it begins and the first after its end.
    pub(super) fn rows(&self, script: &Script) -> (usize, usize) {
        let begins = |mark: Mark| match self.look {
            Look::Up => mark == Mark::Up,
            Look::Down => mark == Mark::Down,
            _ => mark == Mark::Fault,
        };
        let ends = |mark: Mark| match self.look {
            Look::Up => mark == Mark::Down,
            Look::Down => mark == Mark::Up,
            _ => false,
        };
        let here = |party: PartyId| match self.look {
            Look::Up | Look::Down => party == self.party,
            _ => true,
        };
        let rows = &script.rows;
        let at = |time: Duration, is: &dyn Fn(Mark) -> bool| {
            let exact = rows
                .iter()
                .position(|row| row.at == time && here(row.party) && is(row.mark));
            exact.unwrap_or_else(|| rows.partition_point(|row| row.at < time))
        };
        let last = rows.len().saturating_sub(1);
        let from = at(self.from, &begins);
        let to = match rows.last() {
            Some(end) if end.at <= self.to => last,
            _ => at(self.to, &ends),
        };
        (from.min(last), to.max(from).min(last))
    }
}
