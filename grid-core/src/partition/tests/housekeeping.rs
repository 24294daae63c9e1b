use super::fixture::{NOW_MS, World, assert_same, farewell, put, remove};
use crate::op::{Action, Op};
use crate::partition::{CatchUp, MAX_EXPIRIES_PER_BATCH, ProposalBatch};
use crate::protocol::{RejectReason, Verdict};
use crate::{History, RunId, Sequence};

const RETENTION_MS: u64 = 64_000;

fn world() -> World {
    let mut world = World::new();
    world.rules.retention_ms = RETENTION_MS;
    world
}

fn with_ttl(op: Op, ttl: u64) -> Op {
    let Action::Put { value, .. } = op.action else {
        panic!("a removal has no lifetime");
    };
    Op {
        action: Action::Put {
            value,
            ttl_ms: Some(ttl),
        },
        ..op
    }
}

impl World {
    fn keep_house(&mut self) -> usize {
        self.keep_house_stored(self.partition.sequence())
    }

    fn keep_house_stored(&mut self, stored: Sequence) -> usize {
        let effects = self
            .partition
            .housekeeping(self.now_ms, &self.rules, stored);
        let records = effects.records().len();
        if !effects.is_empty() {
            self.take(&effects);
        }
        records
    }
}

#[test]
fn an_expired_entry_becomes_a_tombstone_that_beats_exactly_that_version() {
    let mut world = world();
    world.push_one(with_ttl(put(1, 1, 0, "k", 1), 1_000));
    let version = world.stamp("k");
    world.now_ms += 999;
    assert_eq!(world.keep_house(), 0);
    world.now_ms += 1;
    assert_eq!(world.keep_house(), 1);
    assert_eq!(world.value("k"), None);
    assert_eq!(world.keep_house(), 0, "once");
    // An older write does not bring it back, a later one does, however little later.
    assert_eq!(
        world.push_one(put(2, 1, -1, "k", 2)),
        Verdict::Superseded(version)
    );
    let mut later = put(3, 1, 0, "k", 3);
    later.hlc = version.hlc.next();
    assert_eq!(world.push_one(later), Verdict::Accepted);
    assert_eq!(world.value("k"), Some(3));
}

#[test]
fn a_replaced_entry_does_not_expire_by_the_lifetime_of_the_old_one() {
    let mut world = world();
    world.push_one(with_ttl(put(1, 1, 0, "k", 1), 1_000));
    world.push_one(put(1, 2, 1, "k", 2));
    world.now_ms += 5_000;
    assert_eq!(world.keep_house(), 0);
    assert_eq!(world.value("k"), Some(2));
}

#[test]
fn expiry_is_bounded_per_batch() {
    let mut world = world();
    let many = MAX_EXPIRIES_PER_BATCH as u64 + 10;
    world.push((1..=many).map(|n| with_ttl(put(1, n, 0, &format!("k{n}"), 1), 10)));
    world.now_ms += 10;
    assert_eq!(world.keep_house(), MAX_EXPIRIES_PER_BATCH);
    assert_eq!(world.keep_house(), 10);
}

#[test]
fn tombstones_below_the_horizon_go_and_an_edit_of_what_they_removed_is_gone() {
    let mut world = world();
    world.push_one(put(1, 1, 0, "k", 1));
    let seen = world.stamp("k").hlc;
    world.push_one(remove(1, 2, 10, "k"));
    world.keep_house();
    world.now_ms += RETENTION_MS;
    world.keep_house();
    world.now_ms += RETENTION_MS;
    world.keep_house();
    assert_eq!(world.partition.occupied(), 0);
    assert_eq!(world.partition.horizon(), Sequence(2));

    let mut edit = put(2, 1, 20, "k", 2);
    edit.base = seen;
    let Verdict::Rejected { reason, .. } = world.push_one(edit.clone()) else {
        panic!("an edit of a collected entry");
    };
    assert_eq!(reason, RejectReason::Gone);
    assert_eq!(world.value("k"), None);
    // A create is no edit, and an edit of something later is not affected.
    assert_eq!(world.push_one(put(2, 2, 21, "k", 3)), Verdict::Accepted);
    edit.id.number = 3;
    edit.key = super::fixture::key("other");
    edit.base = put(9, 9, 5_000, "x", 0).hlc;
    assert_eq!(world.push_one(edit), Verdict::Accepted);
}

#[test]
fn an_old_removal_leaves_no_tombstone_where_a_later_one_was_collected() {
    let mut world = world();
    world.push_one(put(1, 1, 0, "k", 1));
    let seen = world.stamp("k").hlc;
    world.push_one(remove(1, 2, 10, "k"));
    for _ in 0..2 {
        world.now_ms += RETENTION_MS;
        world.keep_house();
    }
    assert_eq!(world.partition.occupied(), 0);

    let old = world.push_one(remove(2, 1, 5, "k"));
    assert!(matches!(old, Verdict::Superseded(_)), "{old:?}");
    assert_eq!(world.partition.occupied(), 0);
    // With a tombstone of 5 in the way, this edit would have brought back what 10 deleted.
    let mut edit = put(2, 2, 7, "k", 2);
    edit.base = seen;
    let Verdict::Rejected { reason, .. } = world.push_one(edit) else {
        panic!("an edit of a collected entry");
    };
    assert_eq!(reason, RejectReason::Gone);
    // A removal that is later than all that was collected is like any other.
    assert_eq!(world.push_one(remove(2, 3, 20, "k")), Verdict::Accepted);
}

#[test]
fn a_tombstone_stays_until_the_system_of_record_has_it() {
    let mut world = world();
    world.push_one(put(1, 1, 0, "k", 1));
    let saved = world.save();
    world.push_one(remove(1, 2, 10, "k"));
    for _ in 0..3 {
        world.now_ms += RETENTION_MS;
        world.keep_house_stored(saved.state.sequence);
    }
    assert_eq!(world.partition.occupied(), 1);
    let unstored = world.partition.records_after(saved.state.sequence);
    assert!(unstored[0].record.is_tombstone());
    world.keep_house();
    assert_eq!(world.partition.occupied(), 0);
}

#[test]
fn an_edit_revives_what_a_tombstone_still_remembers() {
    let mut world = world();
    world.push_one(put(1, 1, 0, "k", 1));
    let mut edit = put(2, 1, 20, "k", 2);
    edit.base = world.stamp("k").hlc;
    world.push_one(remove(1, 2, 10, "k"));
    assert_eq!(world.push_one(edit), Verdict::Accepted);
    assert_eq!(world.value("k"), Some(2));
}

#[test]
fn cursors_are_of_use_from_the_horizon_up_and_within_the_history() {
    let mut world = world();
    world.push([
        put(1, 1, 0, "a", 1),
        remove(1, 2, 1, "b"),
        put(1, 3, 2, "c", 1),
    ]);
    world.keep_house();
    world.now_ms += 2 * RETENTION_MS;
    world.keep_house();
    world.push_one(put(1, 4, 3, "d", 1));
    let history = History(11);
    let partition = &world.partition;
    assert_eq!(partition.horizon(), Sequence(3));
    let at = |cursor| partition.catch_up(history, Some(Sequence(cursor)));
    assert_eq!(at(2), CatchUp::Reset, "below the horizon");
    assert_eq!(at(3), CatchUp::Changes(Sequence(3)));
    assert_eq!(at(4), CatchUp::Changes(Sequence(4)));
    assert_eq!(at(5), CatchUp::Reset, "never told to anybody");
    assert_eq!(partition.catch_up(history, None), CatchUp::Snapshot);
    let foreign = partition.catch_up(History(12), Some(Sequence(4)));
    assert_eq!(foreign, CatchUp::Reset);
}

#[test]
fn a_released_run_is_forgotten_after_the_retention_and_not_before() {
    let mut world = world();
    world.push_one(put(1, 1, 0, "a", 1));
    world.push_one(put(2, 1, 1, "a", 2));
    let release = ProposalBatch {
        released: vec![farewell(1), farewell(77)],
        ..ProposalBatch::default()
    };
    let (decided, _) = world.run(&release);
    assert_eq!(
        decided.effects.released,
        [RunId(1)],
        "unknown runs leave no trace"
    );
    let mut foreign = farewell(2);
    foreign.principal = "mallory".into();
    world.run(&ProposalBatch {
        released: vec![foreign],
        ..ProposalBatch::default()
    });
    world.now_ms += RETENTION_MS - 1;
    world.keep_house();
    assert!(world.partition.runs.get(RunId(1)).is_some());
    world.now_ms += 1;
    world.keep_house();
    assert!(world.partition.runs.get(RunId(1)).is_none());
    assert!(world.partition.runs.get(RunId(2)).is_some());
    // Its op, pushed again after all, is the version that lost: nothing is applied.
    assert!(matches!(
        world.push_one(put(1, 1, 0, "a", 1)),
        Verdict::Superseded(_)
    ));
}

#[test]
fn housekeeping_is_replayed_like_any_write() {
    let mut world = world();
    let saved = world.save();
    world.push([put(1, 1, 0, "a", 1), remove(1, 2, 1, "b")]);
    world.push_one(with_ttl(put(1, 3, 2, "c", 1), 1_000));
    for _ in 0..4 {
        world.now_ms += RETENTION_MS / 2;
        world.keep_house();
        world.push_one(put(1, world.now_ms - NOW_MS, 3, "d", 1));
    }
    assert!(world.partition.horizon() > Sequence::ZERO);
    assert_same(&world.restart(&saved), &world.partition);
}
