use bytes::Bytes;

use super::fixture::{World, config, confirm, farewell, proposal, put, remove};
use crate::op::Action;
use crate::partition::{Effects, Partition, ProposalBatch};
use crate::traits::Position;
use crate::{ErrorKind, Namespace, Stamp};

/// Effects in which every field is in use.
fn rich_effects() -> Effects {
    let mut world = World::new();
    world.rules.retention_ms = 64;
    world.push([remove(3, 1, 0, "gone"), put(4, 1, -9, "gone", 1)]);
    world.run(&ProposalBatch {
        released: vec![farewell(3)],
        ..ProposalBatch::default()
    });
    world.now_ms += 200;
    let housekeeping =
        world
            .partition
            .housekeeping(world.now_ms, &world.rules, world.partition.sequence());
    let mut other = proposal(put(1, 2, 1, "k", 2));
    other.address.namespace = Namespace::new("tenant").unwrap();
    let mut denied = put(1, 3, 2, "k", 3);
    denied.if_version = Some(Stamp::ZERO);
    let mut fast = put(1, 4, 100_000, "f", 1);
    fast.action = Action::Put {
        value: vec![7; 300].into(),
        ttl_ms: Some(5),
    };
    let decided = world.partition.decide(
        &ProposalBatch {
            proposals: vec![
                proposal(put(1, 1, 0, "k", 1)),
                other,
                proposal(denied),
                proposal(fast),
                proposal(put(4, 2, -20, "k", 0)),
            ],
            stored: vec![confirm(4, 1)],
            released: vec![farewell(4)],
        },
        world.now_ms,
        &world.rules,
    );
    let mut effects = decided.effects;
    effects.collect = housekeeping.collect;
    effects.forgotten = housekeeping.forgotten;
    effects
}

#[test]
fn effects_come_back_from_their_journal_batch() {
    let effects = rich_effects();
    assert!(effects.mark);
    assert!(effects.collect.is_some());
    assert!(!effects.stored.is_empty() && !effects.released.is_empty());
    assert!(!effects.forgotten.is_empty());
    assert!(effects.runs.iter().any(|run| run.exceptions.len() > 1));
    assert_eq!(effects.maps.len(), 2);
    assert_eq!(Effects::decode(&effects.encode()).unwrap(), effects);
    let nothing = Effects::default();
    assert_eq!(Effects::decode(&nothing.encode()).unwrap(), nothing);
}

#[test]
fn a_damaged_batch_is_an_error_and_never_a_panic() {
    let batch = rich_effects().encode();
    for end in 0..batch.len() {
        let error = Effects::decode(&batch.slice(..end)).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge),
            "{error}"
        );
    }
    for at in 0..batch.len() {
        for bit in 0..8 {
            let mut bytes = batch.to_vec();
            bytes[at] ^= 1 << bit;
            // What can be read must be fit to be applied or refused, without a panic.
            if let Ok(effects) = Effects::decode(&Bytes::from(bytes)) {
                let _outcome = Partition::new(config()).apply(&effects);
            }
        }
    }
}

#[test]
fn an_epoch_record_takes_up_a_sequence_and_changes_nothing_else() {
    let mut world = World::new();
    world.push([put(1, 1, 0, "k", 1)]);
    let before = world.partition.save(Position(1));
    let record = world.partition.begin_epoch();
    assert!(!record.is_empty());
    let read = Effects::decode(&record.encode()).unwrap();
    assert_eq!(read, record);
    assert!(read.begins_epoch());
    world.partition.apply(&read).unwrap();
    let after = world.partition.save(Position(1));
    assert_eq!(after.sequence, before.sequence.next());
    // It is counted, so that the changes among the sequences still can be.
    assert_eq!(after.data.len(), before.data.len() + 1);
    for state in [&before, &after] {
        let (restored, _) = Partition::restore(config(), state).unwrap();
        assert_eq!(restored.change_count(), 1);
        assert_eq!(restored.save(Position(1)), *state);
    }
    // What is decided next follows on it, and the delta log has nothing for the gap.
    world.push([put(1, 2, 1, "k", 2)]);
    let unstored = world.partition.records_after(before.sequence);
    let sequences: Vec<u64> = unstored.iter().map(|r| r.record.sequence.0).collect();
    assert_eq!(sequences, [before.sequence.0 + 2]);
    // The former owner's next batch does not fit any more.
    let error = world.partition.apply(&record).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged);
}

#[test]
fn an_epoch_record_that_holds_records_is_damaged() {
    let mut effects = rich_effects();
    effects.begins_epoch = true;
    let error = Effects::decode(&effects.encode()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let mut last = Partition::new(config()).begin_epoch();
    last.base = crate::Sequence(u64::MAX);
    let error = Effects::decode(&last.encode()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_batch_of_a_later_format_says_so() {
    let mut bytes = rich_effects().encode().to_vec();
    bytes[0] = 9;
    let error = Effects::decode(&Bytes::from(bytes)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Version);
    assert!(error.message().contains('9'), "{error}");
}

#[test]
fn a_batch_that_does_not_follow_is_refused_and_changes_nothing() {
    let mut world = World::new();
    world.push_one(put(1, 1, 0, "a", 1));
    let mut ahead = World::new();
    ahead.push([put(2, 1, 0, "b", 1), put(2, 2, 0, "c", 1)]);
    let skipped = ahead.partition.decide(
        &ProposalBatch {
            proposals: vec![proposal(put(2, 3, 0, "d", 1))],
            ..ProposalBatch::default()
        },
        ahead.now_ms,
        &ahead.rules,
    );
    let before = world.partition.save(Position(0));
    let error = world.partition.apply(&skipped.effects).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged);
    assert_eq!(world.partition.save(Position(0)), before);
}

#[test]
fn a_damaged_state_record_is_an_error_and_never_a_panic() {
    let mut world = World::new();
    world.push([
        put(1, 1, 0, "a", 1),
        put(1, 2, -1, "a", 1),
        put(2, 1, 5, "b", 1),
    ]);
    let state = world.partition.save(Position(7));
    let (back, position) = Partition::restore(config(), &state).unwrap();
    assert_eq!(position, Position(7));
    assert_eq!(back.save(position), state);
    for end in 0..state.data.len() {
        let mut cut = state.clone();
        cut.data = state.data.slice(..end);
        Partition::restore(config(), &cut).unwrap_err();
    }
    let mut foreign = state;
    foreign.history.0 += 1;
    let error = Partition::restore(config(), &foreign).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged);
}

#[test]
fn an_epoch_record_of_an_owner_that_goes_on_marks_its_own_time_and_no_later_mark_is_due() {
    let mut world = World::new();
    world.push([put(1, 1, 0, "k", 1)]);
    let state = world.partition.save(Position(1));
    let (mut restored, _) = Partition::restore(config(), &state).unwrap();
    let now_ms = world.now_ms + world.rules.retention_ms / 2;
    let record = restored.continue_epoch(now_ms);
    assert_eq!(Effects::decode(&record.encode()).unwrap(), record);
    restored.apply(&record).unwrap();
    let mark = (now_ms, state.sequence.next());
    assert_eq!(restored.horizon.marks.back(), Some(&mark));
    let later_ms = now_ms + world.rules.retention_ms / 4;
    let due = restored.housekeeping(later_ms, &world.rules, mark.1);
    assert!(!due.mark, "it would take no sequence");
}
