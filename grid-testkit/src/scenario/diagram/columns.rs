//! Where the lifelines stand.

use std::collections::BTreeSet;

use super::row::Script;
use crate::scenario::world::{DATABASE, DIRECTOR, name_of};
use crate::sim::{NOBODY, PartyId};

/// Where the times end.
pub(super) const TIMES: i32 = 66;
/// Where the director's lifeline stands.
const DIRECTOR_AT: i32 = 84;
/// The room of what apps do, beside the outermost devices.
const OUTER: i32 = 236;
/// Between two lifelines with frames between them, at least.
const LEAST_LANE: i32 = 216;
/// How much more room there is for each device that is missing from three.
const SPARE: i32 = 70;
/// Between a server and what is near it.
const NEAR: i32 = 96;

/// The lifelines, from left to right: the director, half of the devices, servers and database, the
/// other devices.
#[derive(Debug)]
pub(super) struct Columns {
    places: Vec<(PartyId, i32)>,
    lane: i32,
    width: i32,
}

impl Columns {
    pub(super) fn of(script: &Script) -> Self {
        let mut parties: BTreeSet<PartyId> = BTreeSet::new();
        for row in &script.rows {
            parties.extend(row.parties.iter().filter(|party| **party != NOBODY));
        }
        let has_database = parties.remove(&DATABASE);
        parties.remove(&DIRECTOR);
        let (servers, devices): (Vec<PartyId>, Vec<PartyId>) =
            parties.into_iter().partition(|party| is_server(*party));
        let missing = 3_usize.saturating_sub(devices.len());
        let lane = LEAST_LANE + i32::try_from(missing).unwrap_or(0) * SPARE;
        let (left, right) = devices.split_at(devices.len() / 2);
        let mut places = vec![(DIRECTOR, DIRECTOR_AT)];
        let mut at = DIRECTOR_AT + if left.is_empty() { NEAR } else { OUTER };
        for device in left {
            places.push((*device, at));
            at += lane;
        }
        let near = servers.into_iter().chain(has_database.then_some(DATABASE));
        for party in near {
            places.push((party, at));
            at += NEAR;
        }
        at += lane - NEAR;
        for device in right {
            places.push((*device, at));
            at += lane;
        }
        let width = at - lane + OUTER;
        Self {
            places,
            lane,
            width,
        }
    }

    /// Where a party's lifeline stands.
    pub(super) fn x(&self, party: PartyId) -> i32 {
        let place = self.places.iter().find(|(other, _)| *other == party);
        // A party that nobody ever saw is drawn where nobody stands.
        place.map_or(TIMES, |(_, x)| *x)
    }

    /// On which side of its lifeline a party's own doings are told: away from the servers.
    pub(super) fn is_left(&self, party: PartyId) -> bool {
        let first_server = self.places.iter().find(|(party, _)| is_server(*party));
        let server = first_server.map_or(0, |(_, x)| *x);
        !is_server(party) && self.x(party) < server
    }

    /// The room beside a lifeline on the side of its own doings.
    pub(super) fn room(&self, party: PartyId) -> i32 {
        if party == DIRECTOR {
            return self.width - DIRECTOR_AT - 20;
        }
        if is_server(party) || party == DATABASE {
            return self.lane - 20;
        }
        let outermost = [
            self.places.get(1).map(|(party, _)| *party),
            self.places.last().map(|(party, _)| *party),
        ];
        let room = if outermost.contains(&Some(party)) {
            OUTER
        } else {
            self.lane
        };
        room - 24
    }

    pub(super) fn width(&self) -> i32 {
        self.width
    }

    /// All lifelines, from left to right.
    pub(super) fn all(&self) -> impl Iterator<Item = (PartyId, i32, String)> {
        let named = |(party, x): &(PartyId, i32)| (*party, *x, name_of(*party));
        self.places.iter().map(named)
    }
}

/// Servers are counted from 0, and below all others.
pub(super) fn is_server(party: PartyId) -> bool {
    name_of(party).starts_with("server")
}
