use std::sync::Arc;

use super::fixture::{NOW_MS, Saved, World, address, confirm, key, proposal, put, remove};
use crate::op::{Action, Op};
use crate::partition::{MAX_EXCEPTIONS_PER_RUN, ProposalBatch, Timing, Veto};
use crate::protocol::{RejectReason, Verdict};
use crate::traits::{Resolution, Resolver};
use crate::{Hlc, Record, RunId, Sequence, Stamp};

fn reason(verdict: &Verdict) -> Option<RejectReason> {
    match verdict {
        Verdict::Rejected { reason, .. } => Some(*reason),
        _ => None,
    }
}

#[test]
fn pitfall_1_an_older_write_does_not_overwrite_a_newer_one() {
    let mut world = World::new();
    assert_eq!(world.push_one(put(1, 1, 0, "k", 1)), Verdict::Accepted);
    let newer = world.stamp("k");
    let hour_ms = 60 * 60 * 1000;
    assert_eq!(
        world.push_one(put(2, 1, -hour_ms, "k", 2)),
        Verdict::Superseded(newer)
    );
    assert_eq!(world.value("k"), Some(1));
    assert_eq!(world.partition.sequence(), Sequence(1));
}

#[test]
fn pitfall_2_a_tombstone_beats_an_older_put_that_comes_later() {
    let mut world = World::new();
    // Nobody ever saw the key, and the removal is remembered all the same.
    assert_eq!(world.push_one(remove(1, 1, 0, "k")), Verdict::Accepted);
    assert!(matches!(
        world.push_one(put(2, 1, -5, "k", 2)),
        Verdict::Superseded(_)
    ));
    assert_eq!(world.value("k"), None);
    assert_eq!(world.push_one(put(2, 2, 5, "k", 3)), Verdict::Accepted);
    assert_eq!(world.value("k"), Some(3));
}

#[test]
fn pitfall_4_a_refused_op_does_not_block_those_after_it() {
    let mut world = World::new();
    let mut forbidden = proposal(put(1, 2, 1, "b", 2));
    forbidden.veto = Some(Veto {
        reason: RejectReason::Forbidden,
        message: "no".to_owned(),
    });
    let batch = ProposalBatch {
        proposals: vec![
            proposal(put(1, 1, 0, "a", 1)),
            forbidden,
            proposal(put(1, 3, 2, "c", 3)),
        ],
        ..ProposalBatch::default()
    };
    let (decided, _) = world.run(&batch);
    let reasons: Vec<_> = decided
        .outcomes
        .iter()
        .map(|o| reason(&o.verdict))
        .collect();
    assert_eq!(reasons, [None, Some(RejectReason::Forbidden), None]);
    assert_eq!(
        [world.value("a"), world.value("b"), world.value("c")],
        [Some(1), None, Some(3)]
    );
    assert_eq!(world.push_one(put(1, 4, 3, "b", 4)), Verdict::Accepted);
}

#[test]
fn pitfall_11_a_fast_clock_is_restamped_keeps_its_order_and_wins_nothing() {
    let mut world = World::new();
    let fast_ms = 10 * 60 * 1000;
    let fast = |number, ms: i64, value| {
        let mut proposal = proposal(put(1, number, ms + fast_ms, "k", value));
        proposal.timing = Timing::Client { offset_ms: fast_ms };
        ProposalBatch {
            proposals: vec![proposal],
            ..ProposalBatch::default()
        }
    };
    let mut last = Hlc::ZERO;
    for number in 1..=3 {
        let (decided, _) = world.run(&fast(number, -10, 1));
        let Verdict::Restamped(hlc) = decided.outcomes[0].verdict else {
            panic!("{:?}", decided.outcomes);
        };
        assert!(hlc > last, "op {number} stays after the one before");
        assert!(hlc.millis() <= NOW_MS);
        assert_eq!(world.stamp("k").hlc, hlc);
        last = hlc;
    }
    // A write made now, by a right clock, is later.
    assert_eq!(world.push_one(put(2, 1, 0, "k", 9)), Verdict::Accepted);
    assert_eq!(world.value("k"), Some(9));
    // The same op again gets the same answer.
    let again = world
        .partition
        .decide(&fast(3, -10, 1), world.now_ms + 5_000, &world.rules);
    assert_eq!(again.outcomes[0].verdict, Verdict::Restamped(last));
}

#[test]
fn runs_stamped_anew_in_one_millisecond_keep_the_order_in_which_they_arrive() {
    // A wall clock was days ahead, was set right, and the store was opened again in between: what
    // the handshake measures says nothing about either run.
    let mut world = World::new();
    let days_ms = 3 * 24 * 60 * 60 * 1000;
    let first = (1..=3).map(|n| put(1, n, days_ms, "k", 1));
    let second = put(2, 1, days_ms + 1, "k", 2);
    for verdict in world.push(first.chain([second])) {
        assert!(matches!(verdict, Verdict::Restamped(_)), "{verdict:?}");
    }
    assert_eq!(world.value("k"), Some(2));
    // What was measured counts for more than the order of arrival.
    let mut earlier = proposal(put(3, 1, days_ms, "k", 3));
    earlier.timing = Timing::Client {
        offset_ms: days_ms + 5,
    };
    let (decided, _) = world.run(&ProposalBatch {
        proposals: vec![earlier],
        ..ProposalBatch::default()
    });
    let verdict = &decided.outcomes[0].verdict;
    assert!(matches!(verdict, Verdict::Superseded(_)), "{verdict:?}");
    assert_eq!(world.value("k"), Some(2));
    // A version that lies ahead, within the drift that is allowed, is not beaten that way.
    world.push_one(put(4, 1, 30_000, "k", 4));
    world.push_one(put(1, 4, days_ms, "k", 5));
    assert_eq!(world.value("k"), Some(4));
}

#[test]
fn duplicates_get_the_verdict_they_got_and_change_nothing() {
    let mut world = World::new();
    let mut denied = put(1, 3, 2, "c", 3);
    denied.if_version = Some(world_stamp(77));
    let ops = [
        put(1, 1, 0, "a", 1),
        put(1, 2, -10, "a", 2),
        denied,
        remove(1, 9, 3, "d"),
    ];
    let first = world.push(ops.clone());
    assert_eq!(first[0], Verdict::Accepted);
    assert!(matches!(first[1], Verdict::Superseded(_)));
    assert_eq!(reason(&first[2]), Some(RejectReason::VersionMismatch));
    let sequence = world.partition.sequence();
    for at in 0..ops.len() {
        let batch = ProposalBatch {
            proposals: ops[at..].iter().cloned().map(proposal).collect(),
            ..ProposalBatch::default()
        };
        let decided = world.partition.decide(&batch, world.now_ms, &world.rules);
        let verdicts: Vec<_> = decided.outcomes.into_iter().map(|o| o.verdict).collect();
        assert_eq!(verdicts, first[at..]);
        assert!(decided.effects.is_empty());
    }
    // Within one batch too.
    let both = world.push([put(1, 10, 5, "e", 1), put(1, 10, 5, "e", 1)]);
    assert_eq!(both, [Verdict::Accepted, Verdict::Accepted]);
    assert_eq!(world.partition.sequence(), sequence.next());
}

fn world_stamp(hlc: u64) -> Stamp {
    Stamp {
        hlc: Hlc::from_u64(hlc),
        ..Stamp::ZERO
    }
}

#[test]
fn a_duplicate_names_the_sequence_at_which_its_key_stands() {
    let mut world = World::new();
    world.push([
        put(1, 1, 0, "a", 1),
        put(1, 2, 0, "b", 1),
        put(1, 3, 0, "c", 1),
    ]);
    let batch = ProposalBatch {
        proposals: vec![proposal(put(1, 2, 0, "b", 1))],
        ..ProposalBatch::default()
    };
    let decided = world.partition.decide(&batch, world.now_ms, &world.rules);
    assert_eq!(decided.outcomes[0].sequence, Sequence(2));
}

#[test]
fn exceptions_are_forgotten_once_the_client_has_stored_them() {
    let mut world = World::new();
    world.push([
        put(1, 1, 0, "a", 1),
        put(1, 2, -10, "a", 2),
        put(1, 3, -10, "a", 3),
    ]);
    let stored = |through| ProposalBatch {
        stored: vec![confirm(1, through)],
        ..ProposalBatch::default()
    };
    world.run(&stored(2));
    assert_eq!(world.push_one(put(1, 2, -10, "a", 2)), Verdict::Accepted);
    assert!(matches!(
        world.push_one(put(1, 3, -10, "a", 3)),
        Verdict::Superseded(_)
    ));
    // Only the run's own principal can say so.
    let mut foreign = stored(3);
    foreign.stored[0].principal = "mallory".into();
    let ignored = world.partition.decide(&foreign, world.now_ms, &world.rules);
    assert!(ignored.effects.is_empty());
    // Nothing left to forget: nothing to journal.
    let again = world
        .partition
        .decide(&stored(2), world.now_ms, &world.rules);
    assert!(again.effects.is_empty());
    world.run(&stored(u64::MAX));
    assert_eq!(world.push_one(put(1, 3, -10, "a", 3)), Verdict::Accepted);
    assert_eq!(world.value("a"), Some(1));
}

#[test]
fn a_run_whose_client_confirms_nothing_is_full_at_the_bound() {
    let mut world = World::new();
    let bound = MAX_EXCEPTIONS_PER_RUN as u64;
    world.push_one(put(1, 1, 0, "k", 1));
    world.push((2..=bound).map(|number| put(1, number, -10, "k", 2)));
    assert!(!world.partition.is_run_full(RunId(1)));
    let saved = world.save();
    world.push_one(put(1, bound + 1, -10, "k", 2));
    assert!(world.partition.is_run_full(RunId(1)));
    assert!(
        world.restart(&saved).is_run_full(RunId(1)),
        "after a replay"
    );
    let full = world.save();
    assert!(
        world.restart(&full).is_run_full(RunId(1)),
        "after a restore"
    );
    world.run(&ProposalBatch {
        stored: vec![confirm(1, 2)],
        ..ProposalBatch::default()
    });
    assert!(!world.partition.is_run_full(RunId(1)));
}

#[test]
fn a_run_belongs_to_the_principal_that_pushed_it_first() {
    let mut world = World::new();
    world.push_one(put(1, 1, 0, "a", 1));
    let mut stolen = proposal(put(1, 1, 0, "a", 1));
    stolen.principal = "mallory".into();
    let mut more = proposal(put(1, 2, 5, "a", 2));
    more.principal = "mallory".into();
    let (decided, _) = world.run(&ProposalBatch {
        proposals: vec![stolen, more],
        ..ProposalBatch::default()
    });
    for outcome in &decided.outcomes {
        assert_eq!(reason(&outcome.verdict), Some(RejectReason::ForeignRun));
    }
    assert_eq!(world.value("a"), Some(1));
    // The owner is not harmed by it.
    assert_eq!(world.push_one(put(1, 2, 1, "a", 3)), Verdict::Accepted);
}

#[test]
fn a_conditional_op_whose_version_is_there_is_not_decided_again_although_its_run_is_not_known() {
    let mut world = World::new();
    let before = world.save();
    let mut conditional = put(1, 1, 0, "k", 1);
    conditional.if_version = Some(Stamp::ZERO);
    let hour_ms = 60 * 60 * 1000;
    let mut early = put(1, 2, hour_ms, "restamped", 2);
    early.if_version = Some(Stamp::ZERO);
    let told = world.push([conditional.clone(), early.clone()]);
    assert!(matches!(told[1], Verdict::Restamped(_)), "{told:?}");
    let after = world.save();
    // The journal is lost, and the database has the records ahead of the state record.
    world.journal.clear();
    world.partition = world.restart(&Saved {
        records: after.records.clone(),
        ..before
    });
    world.now_ms += 10;
    assert_eq!(world.push([conditional, early]), told);
    assert_eq!(
        world.save().records,
        after.records,
        "nothing is written twice"
    );
}

#[test]
fn if_version_asks_for_exactly_one_version() {
    let mut world = World::new();
    let with = |op: Op, version| Op {
        if_version: Some(version),
        ..op
    };
    let create = |number| with(put(1, number, 1, "k", 1), Stamp::ZERO);
    assert_eq!(world.push_one(create(1)), Verdict::Accepted);
    assert_eq!(
        reason(&world.push_one(create(2))),
        Some(RejectReason::VersionMismatch)
    );
    let at = world.stamp("k");
    assert_eq!(
        world.push_one(with(remove(1, 3, 2, "k"), at)),
        Verdict::Accepted
    );
    assert_eq!(
        reason(&world.push_one(with(put(1, 4, 3, "k", 2), at))),
        Some(RejectReason::VersionMismatch)
    );
    // A tombstone is no version: there is no such entry.
    assert_eq!(
        world.push_one(with(put(1, 5, 4, "k", 2), Stamp::ZERO)),
        Verdict::Accepted
    );
}

#[test]
fn ops_of_one_batch_see_those_before_them() {
    let mut world = World::new();
    let mut second = put(1, 2, 1, "k", 2);
    second.if_version = Some(put(1, 1, 0, "k", 1).stamp());
    let mut third = put(1, 3, 2, "k", 3);
    third.if_version = Some(put(1, 1, 0, "k", 1).stamp());
    let verdicts = world.push([put(1, 1, 0, "k", 1), second, third]);
    assert_eq!(verdicts[..2], [Verdict::Accepted, Verdict::Accepted]);
    assert_eq!(reason(&verdicts[2]), Some(RejectReason::VersionMismatch));
    assert_eq!(world.value("k"), Some(2));
    assert_eq!(world.partition.sequence(), Sequence(2));
}

#[test]
fn ties_are_decided_alike_in_both_orders() {
    // One stamp with several contents, as a broken copy of a store would make them; the run is
    // forgotten in between, so that dedup does not hide the tie.
    let outcome = |versions: &[Op]| {
        let mut world = World::new();
        for op in versions {
            let _verdict = world.push_one(op.clone());
            world.partition.runs.forget(op.id.run);
        }
        world.value("k")
    };
    let (one, two) = (put(1, 1, 0, "k", 1), put(1, 1, 0, "k", 2));
    let gone = remove(1, 1, 0, "k");
    assert_eq!(outcome(&[one.clone(), two.clone()]), Some(2));
    assert_eq!(outcome(&[two.clone(), one.clone()]), Some(2));
    assert_eq!(outcome(&[one.clone(), gone.clone(), two.clone()]), None);
    assert_eq!(outcome(&[gone, two, one]), None);
}

/// Keeps the largest value, whatever the stamps.
#[derive(Debug)]
struct Largest;

impl Resolver for Largest {
    fn name(&self) -> &'static str {
        "largest"
    }

    fn resolve(&self, current: &Record, incoming: &Record) -> Resolution {
        Resolution::Combine(current.value.clone().max(incoming.value.clone()))
    }
}

#[test]
fn a_resolver_may_combine_two_versions_under_the_later_stamp() {
    let mut world = World::new();
    world.rules.resolver = Some(Arc::new(Largest));
    world.push_one(put(1, 1, 0, "k", 5));
    // Later and smaller: the value stays, the stamp moves on.
    let later = put(2, 1, 10, "k", 3);
    assert_eq!(world.push_one(later.clone()), Verdict::Accepted);
    assert_eq!(
        (world.value("k"), world.stamp("k")),
        (Some(5), later.stamp())
    );
    // Earlier and larger: the value changes under the stamp that is there.
    assert_eq!(world.push_one(put(3, 1, -10, "k", 7)), Verdict::Accepted);
    assert_eq!(
        (world.value("k"), world.stamp("k")),
        (Some(7), later.stamp())
    );
    assert_eq!(world.partition.sequence(), Sequence(3));
    // Earlier and smaller: nothing changes.
    assert_eq!(
        world.push_one(put(3, 2, -5, "k", 1)),
        Verdict::Superseded(later.stamp())
    );
    assert_eq!(world.partition.sequence(), Sequence(3));
}

#[test]
fn the_server_stamps_its_own_ops_after_everything_it_holds() {
    let mut world = World::new();
    // Half a minute ahead is within the drift that is allowed.
    world.push_one(put(1, 1, 30_000, "k", 1));
    let mut own = proposal(put(99, 1, 0, "k", 2));
    own.timing = Timing::Server;
    let (decided, _) = world.run(&ProposalBatch {
        proposals: vec![own],
        ..ProposalBatch::default()
    });
    assert_eq!(decided.outcomes[0].verdict, Verdict::Accepted);
    assert_eq!(world.value("k"), Some(2));
    assert_eq!(world.stamp("k").hlc, Hlc::new(NOW_MS + 30_000, 0).next());
}

#[test]
fn what_the_server_writes_in_place_of_a_version_it_names_is_not_merged_with_it() {
    let mut world = World::new();
    world.rules.resolver = Some(Arc::new(Largest));
    world.push_one(put(1, 1, 0, "k", 5));
    let mut write = |timing, number, if_version, value| {
        let mut one = proposal(put(99, number, 0, "k", value));
        (one.timing, one.op.if_version) = (timing, if_version);
        let batch = ProposalBatch {
            proposals: vec![one],
            ..ProposalBatch::default()
        };
        let (decided, _) = world.run(&batch);
        let verdict = decided.outcomes[0].verdict.clone();
        (verdict, world.value("k"), Some(world.stamp("k")))
    };
    let (_, merged, stamp) = write(Timing::Server, 1, None, 3);
    assert_eq!(merged, Some(5), "it names no version");
    let client = Timing::Client { offset_ms: 0 };
    let (_, merged, stamp) = write(client, 2, stamp, 3);
    assert_eq!(merged, Some(5), "it is a client's");
    let (verdict, taken, last) = write(Timing::Server, 3, stamp, 3);
    assert_eq!((verdict, taken), (Verdict::Accepted, Some(3)));
    assert!(last > stamp);
    let (verdict, left, _) = write(Timing::Server, 4, stamp, 9);
    assert!(matches!(verdict, Verdict::Rejected { .. }), "{verdict:?}");
    assert_eq!(left, Some(3), "another version was there");
}

#[test]
fn a_lifetime_counts_from_the_final_stamp() {
    let mut world = World::new();
    let mut op = put(1, 1, -500, "k", 1);
    op.action = Action::Put {
        value: vec![1].into(),
        ttl_ms: Some(2_000),
    };
    world.push_one(op);
    let record = world.partition.get(&address("m"), &key("k")).unwrap();
    assert_eq!(record.expires_at_ms, Some(NOW_MS + 1_500));
}
