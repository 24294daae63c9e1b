use bytes::Bytes;
use grid_core::{AckLevel, Hlc, Key, PartitionId, Record, RunId, Sequence};

use super::*;
use crate::crash::{Database, Ledger, ServerState};

const PARTITION: PartitionId = PartitionId(3);

/// A run by hand: every op is told to the ledger, to the stream and to all parties, unless a test
/// spoils it.
#[derive(Default)]
struct Scene {
    ledger: Ledger,
    stream: Stream,
    server: ServerState,
    database: Database,
    clients: Vec<State>,
    changes: u64,
}

fn id(client: usize, number: u64) -> OpId {
    let run = RunId(client as u64 + 1);
    OpId { run, number }
}

fn at(key: &str) -> Place {
    ("map".to_owned(), key.to_owned())
}

impl Scene {
    fn new() -> Self {
        Self {
            clients: vec![State::new(); 2],
            ..Self::default()
        }
    }

    fn written(&self, op: OpId, key: &str, value: Option<&'static str>) {
        let client = usize::try_from(op.run.0 - 1).unwrap();
        let write = Write {
            client,
            place: at(key),
            value: value.map(|text| Bytes::from_static(text.as_bytes())),
            level: AckLevel::Journaled,
        };
        self.ledger.written(op, write);
    }

    /// Server and database have gone through so many changes.
    fn went_through(&mut self, changes: u64) {
        for sequences in [&mut self.server.sequences, &mut self.database.sequences] {
            sequences.insert(PARTITION, Sequence(changes));
        }
        self.database.changes = changes;
    }

    /// An op that took effect at time `ms`, everywhere.
    fn acked(&mut self, op: OpId, ms: u64, key: &str, value: Option<&'static str>) -> Held {
        self.written(op, key, value);
        self.ledger.told(op, Told::Acked);
        self.changes += 1;
        let held = Held {
            value: value.map(|text| Bytes::from_static(text.as_bytes())),
            stamp: Stamp {
                hlc: Hlc::new(ms, 0),
                op,
            },
            sequence: Some(Sequence(self.changes)),
        };
        self.shown(&held, key);
        self.database.state.insert(at(key), held.clone());
        self.went_through(self.changes);
        let own = Held {
            sequence: None,
            ..held.clone()
        };
        let live = held.value.is_some();
        let copies = self.clients.iter_mut().map(|client| (client, &own));
        for (state, held) in copies.chain([(&mut self.server.state, &held)]) {
            state.remove(&at(key));
            if live {
                state.insert(at(key), held.clone());
            }
        }
        held
    }

    /// Lets the stream show a version.
    fn shown(&self, held: &Held, key: &str) {
        let record = Record {
            key: Key::new(key).unwrap(),
            value: held.value.clone(),
            stamp: held.stamp,
            sequence: held.sequence.unwrap(),
            expires_at_ms: None,
        };
        self.stream.saw(PARTITION, &record);
    }

    fn judge(&self) -> Verdict {
        judge(&Evidence {
            ledger: &self.ledger,
            stream: &self.stream,
            server: &self.server,
            database: &self.database,
            clients: &self.clients,
        })
    }

    fn figures(&self) -> (u64, u64, u64) {
        let verdict = self.judge();
        let figures = (verdict.lost, verdict.doubled, verdict.diverged);
        assert_eq!(verdict.is_clean(), figures == (0, 0, 0));
        assert_eq!(verdict.is_clean(), verdict.findings.is_empty());
        figures
    }
}

/// Two clients, own entries, a removal, a contended entry, and an op that lost.
fn as_it_should() -> Scene {
    let mut scene = Scene::new();
    scene.acked(id(0, 1), 10, "a", Some("a1"));
    scene.acked(id(0, 2), 20, "b", Some("b1"));
    scene.acked(id(0, 3), 30, "b", None);
    scene.acked(id(1, 1), 15, "shared", Some("s1"));
    scene.acked(id(0, 4), 40, "shared", Some("s2"));
    let late = id(1, 2);
    scene.written(late, "shared", Some("s0"));
    let winner = scene.server.state[&at("shared")].stamp;
    scene.ledger.told(late, Told::Superseded(winner));
    scene
}

#[test]
fn what_went_as_it_should_is_clean_and_counted() {
    let verdict = as_it_should().judge();
    assert!(verdict.is_clean(), "{:?}", verdict.findings);
    assert_eq!(verdict.acked, 5, "the op that lost took no effect");
}

#[test]
fn an_acknowledged_put_that_the_server_does_not_have_is_lost() {
    let mut scene = as_it_should();
    scene.server.state.remove(&at("a"));
    let (lost, doubled, diverged) = scene.figures();
    assert_eq!((lost, doubled), (1, 0));
    assert_eq!(diverged, 3, "the database and two clients differ from it");
}

#[test]
fn an_acknowledged_put_that_the_database_does_not_have_is_lost() {
    let mut scene = as_it_should();
    scene.database.state.remove(&at("a"));
    assert_eq!(scene.figures(), (1, 0, 1));
}

#[test]
fn an_op_that_all_lack_is_lost_once() {
    let mut scene = as_it_should();
    scene.database.state.remove(&at("a"));
    scene.server.state.remove(&at("a"));
    scene.clients.iter_mut().for_each(|client| {
        client.remove(&at("a"));
    });
    // It is in nobody's state, so nobody differs; only the ledger knows.
    assert_eq!(scene.figures(), (1, 0, 0));
}

#[test]
fn an_acknowledged_removal_without_its_tombstone_is_lost() {
    let mut scene = as_it_should();
    // As if the removal had never been stored, and the put before it neither.
    scene.database.state.remove(&at("b"));
    assert_eq!(scene.figures().0, 2);
}

#[test]
fn what_was_removed_and_is_back_is_a_lost_removal() {
    let mut scene = as_it_should();
    let put = Held {
        value: Some(Bytes::from_static(b"b1")),
        stamp: Stamp {
            hlc: Hlc::new(20, 0),
            op: id(0, 2),
        },
        sequence: Some(Sequence(2)),
    };
    scene.server.state.insert(at("b"), put.clone());
    scene.database.state.insert(at("b"), put.clone());
    let own = Held {
        sequence: None,
        ..put
    };
    for client in &mut scene.clients {
        client.insert(at("b"), own.clone());
    }
    assert_eq!(scene.figures(), (1, 0, 0));
}

#[test]
fn a_later_op_that_gave_way_to_an_older_one_is_lost() {
    let mut scene = as_it_should();
    // Client 1's write of time 15 stands where client 0's of time 40 should.
    let older = Held {
        value: Some(Bytes::from_static(b"s1")),
        stamp: Stamp {
            hlc: Hlc::new(15, 0),
            op: id(1, 1),
        },
        sequence: Some(Sequence(4)),
    };
    scene.database.state.insert(at("shared"), older);
    let (lost, _, diverged) = scene.figures();
    assert_eq!((lost, diverged), (1, 1));
}

#[test]
fn order_within_a_client_counts_where_the_stream_showed_nothing() {
    let mut scene = Scene::new();
    let first = scene.acked(id(0, 1), 10, "k", Some("one"));
    // The second took effect, and no subscriber happened to see it.
    let unseen = id(0, 2);
    scene.written(unseen, "k", Some("two"));
    scene.ledger.told(unseen, Told::Acked);
    scene.went_through(2);
    assert_eq!(
        scene.figures().0,
        1,
        "{first:?} stands where the second should"
    );
}

#[test]
fn changes_that_are_missing_are_losses_though_nothing_else_shows_it() {
    let mut scene = as_it_should();
    scene.went_through(3);
    assert_eq!(scene.figures(), (2, 0, 0));
}

#[test]
fn an_op_under_two_sequences_is_doubled() {
    let scene = as_it_should();
    let mut again = scene.server.state[&at("a")].clone();
    again.sequence = Some(Sequence(6));
    scene.shown(&again, "a");
    let verdict = scene.judge();
    assert_eq!((verdict.lost, verdict.doubled), (0, 1));
    assert_eq!(scene.figures(), (0, 1, 0));
}

#[test]
fn more_changes_than_ops_are_doubled_though_no_subscriber_saw_it() {
    let mut scene = as_it_should();
    scene.went_through(8);
    assert_eq!(scene.figures(), (0, 3, 0));
}

#[test]
fn being_told_the_same_again_is_no_finding() {
    let scene = as_it_should();
    for (place, held) in &scene.server.state {
        scene.shown(held, &place.1);
    }
    assert_eq!(scene.figures(), (0, 0, 0));
}

#[test]
fn a_place_of_two_ops_and_a_forgotten_place_are_divergences() {
    let scene = as_it_should();
    let mut other = scene.server.state[&at("a")].clone();
    other.stamp.op = id(1, 9);
    scene.shown(&other, "other");
    assert_eq!(scene.figures(), (0, 0, 1));
    scene.stream.was_reset();
    assert_eq!(scene.figures(), (0, 0, 2));
}

#[test]
fn what_no_subscriber_was_shown_is_found() {
    let mut scene = as_it_should();
    scene.stream = Stream::new();
    assert_eq!(scene.figures(), (0, 0, 1));
}

#[test]
fn every_party_that_differs_is_found() {
    for spoil in [
        (|scene: &mut Scene| {
            scene.clients[1].remove(&at("a"));
        }) as fn(&mut Scene),
        |scene| {
            let entry = scene.clients[0].get_mut(&at("a")).unwrap();
            entry.value = Some(Bytes::from_static(b"other"));
        },
        |scene| {
            let held = scene.clients[0][&at("a")].clone();
            scene.clients[0].insert(at("of nobody"), held);
        },
        |scene| {
            let entry = scene.database.state.get_mut(&at("a")).unwrap();
            entry.sequence = Some(Sequence(77));
        },
    ] {
        let mut scene = as_it_should();
        spoil(&mut scene);
        assert_eq!(scene.figures(), (0, 0, 1));
    }
}

#[test]
fn what_nobody_wrote_and_what_had_no_effect_are_found() {
    let mut scene = as_it_should();
    let late = scene.database.state[&at("shared")].clone();
    let stamp = Stamp {
        hlc: Hlc::new(90, 0),
        op: id(1, 2),
    };
    let value = Some(Bytes::from_static(b"s0"));
    let superseded = Held {
        value,
        stamp,
        ..late
    };
    scene.database.state.insert(at("shared"), superseded);
    // It won in the database though its client was told that it lost; and the two differ.
    assert_eq!(scene.figures(), (0, 0, 2));

    let mut scene = as_it_should();
    let held = scene.server.state[&at("a")].clone();
    scene.server.state.insert(at("ghost"), held);
    let ghost = scene.judge();
    let named = ghost.findings.iter().any(|said| said.contains("ghost"));
    assert!(named && ghost.diverged >= 2, "{:?}", ghost.findings);
}

#[test]
fn ops_without_an_answer_refusals_letters_and_troubles_are_found() {
    let scene = as_it_should();
    scene.written(id(1, 8), "x", Some("x"));
    assert_eq!(scene.figures(), (0, 0, 1), "never answered");
    scene.ledger.told(id(1, 8), Told::Refused("no".to_owned()));
    assert_eq!(scene.figures(), (0, 0, 1), "refused");
    scene.ledger.told(id(1, 8), Told::Acked);
    assert_eq!(scene.figures(), (0, 0, 2), "answered twice");

    let mut scene = as_it_should();
    scene.database.dead_letters = 1;
    assert_eq!(scene.figures(), (0, 0, 1));
}

#[test]
fn a_database_that_stays_behind_is_found() {
    let mut scene = as_it_should();
    assert!(scene.database.has_caught_up(&scene.server));
    scene.database.sequences.insert(PARTITION, Sequence(4));
    scene.database.changes = 4;
    assert!(!scene.database.has_caught_up(&scene.server));
    let (lost, doubled, diverged) = scene.figures();
    assert_eq!((lost, doubled, diverged), (1, 0, 1));
}
