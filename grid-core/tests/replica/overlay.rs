//! Pending ops over the confirmed state, and how they leave it.

use grid_core::op::Action;
use grid_core::protocol::{Message, RejectReason, Verdict};
use grid_core::traits::Table;
use grid_core::{Hlc, Namespace};

use crate::device::{put, remove};
use crate::world::{World, key};

#[test]
fn pending_ops_show_over_the_confirmed_state_in_log_order() {
    let mut world = World::connected(1);
    for number in 0..5 {
        world.server_put(&key(number), number);
    }
    world.run();
    world.server.links.clear();
    world.put(0, &key(1), 101);
    world.put(0, &key(1), 102);
    world.remove(0, &key(2));
    world.remove(0, &key(3));
    world.put(0, &key(3), 103);
    world.put(0, &key(9), 109);
    let seen: Vec<_> = world.seen(0).into_iter().collect();
    let expected = [(0, 0), (1, 102), (3, 103), (4, 4), (9, 109)];
    let expected: Vec<_> = expected.map(|(number, value)| (key(number), value)).into();
    assert_eq!(seen, expected);
    world.connect(0);
    world.run();
    assert_eq!(world.seen(0).into_iter().collect::<Vec<_>>(), expected);
    world.assert_level();
}

/// Pitfall 4: one forbidden op blocks the queue behind it for ever.
#[test]
fn a_rejected_op_is_undone_alone_and_blocks_nothing() {
    let mut world = World::connected(1);
    world.server_put(&key(1), 1);
    world.run();
    world.server.forbidden.insert(key(1));
    let refused = world.put(0, &key(1), 100);
    let other = world.put(0, &key(2), 200);
    while world.send(0) {}
    world.server.forbidden.clear();
    // Made after the refused one, before its verdict is known here.
    let later = world.put(0, &key(1), 101);
    while world.deliver(0, true).unwrap() {}
    assert_eq!(world.get(0, &key(1)), Some(101), "the later op stays");
    world.run();
    let verdicts = &world.devices[0].verdicts;
    assert!(matches!(
        &verdicts[&refused],
        Verdict::Rejected { reason: RejectReason::Forbidden, message } if message == "not yours"
    ));
    assert_eq!(verdicts[&other], Verdict::Accepted);
    assert_eq!(verdicts[&later], Verdict::Accepted);
    world.assert_level();
    assert_eq!(world.get(0, &key(1)), Some(101));
}

#[test]
fn a_rejected_op_without_a_later_one_shows_the_confirmed_value_again() {
    let mut world = World::connected(1);
    world.server_put(&key(1), 1);
    world.run();
    world.server.forbidden.insert(key(1));
    world.remove(0, &key(1));
    assert_eq!(world.get(0, &key(1)), None);
    world.devices[0].changes.clear();
    world.run();
    assert_eq!(world.get(0, &key(1)), Some(1));
    assert_eq!(world.devices[0].changes, [(world.map.clone(), key(1))]);
    world.assert_level();
}

/// Nothing of it will ever show in the view, so there is nothing to wait for.
#[test]
fn a_rejected_op_goes_with_its_verdict_though_the_view_is_not_level_yet() {
    let mut world = World::connected(1);
    world.server_put(&key(1), 1);
    world.run();
    world.disconnect(0);
    world.server_put(&key(1), 2);
    world.server.forbidden.insert(key(1));
    world.put(0, &key(1), 100);
    world.connect(0);
    // The verdict overtakes what the view has to tell.
    assert!(world.deliver(0, false).unwrap(), "the welcome");
    while world.send(0) || world.deliver(0, true).unwrap() {}
    assert!(!world.devices[0].replica.is_synced(&world.map));
    assert_eq!(world.devices[0].replica.pending(), 0);
    assert_eq!(world.get(0, &key(1)), Some(1));
    world.run();
    assert_eq!(world.get(0, &key(1)), Some(2));
    world.assert_level();
}

#[test]
fn an_acked_op_stays_visible_until_its_outcome_is_confirmed() {
    let mut world = World::connected(1);
    world.server_put(&key(1), 1);
    world.run();
    world.put(0, &key(1), 2);
    while world.send(0) {}
    while world.deliver(0, true).unwrap() {}
    assert_eq!(world.devices[0].verdicts.len(), 1, "the verdict is there");
    assert_eq!(world.get(0, &key(1)), Some(2), "the event is not");
    assert_eq!(world.devices[0].replica.pending(), 1);
    // Not settled in the store either: a restart here would else show the old value.
    let reloaded = world.devices[0]
        .store
        .load(Namespace::default(), grid_core::RunId(77))
        .unwrap();
    assert_eq!(reloaded.pending(), 1);
    world.devices[0].changes.clear();
    world.run();
    assert_eq!(world.devices[0].changes, [], "nothing visible happened");
    world.assert_level();
}

/// Found by the simulator: the removal was acked and confirmed, and the value that it had removed
/// showed again until its own, lost ack came another time.
#[test]
fn an_acked_op_hides_an_earlier_one_whose_ack_is_lost() {
    let mut world = World::connected(1);
    world.run();
    world.disconnect(0);
    let put = world.put(0, &key(1), 1);
    world.run();
    world.crash(0);
    let removal = world.remove(0, &key(1));
    assert_ne!(put.run, removal.run);
    world.connect(0);
    let lost = |message: &Message| matches!(message, Message::Ack(ack) if ack.run == put.run);
    loop {
        let sent = world.send(0);
        let link = world.server.links.get_mut(&0).unwrap();
        link.acks.retain(|message| !lost(message));
        let event = world.deliver(0, false).unwrap();
        if !(sent | event | world.deliver(0, true).unwrap()) {
            break;
        }
    }
    let verdicts = &world.devices[0].verdicts;
    assert_eq!(verdicts.get(&removal), Some(&Verdict::Accepted));
    assert!(!verdicts.contains_key(&put));
    assert_eq!(
        world.get(0, &key(1)),
        None,
        "what was removed stays removed"
    );
    world.disconnect(0);
    assert_eq!(world.get(0, &key(1)), None, "offline too");
    world.crash(0);
    assert_eq!(world.get(0, &key(1)), None, "and after a restart");
    world.connect(0);
    world.run();
    world.assert_level();
}

#[test]
fn the_outcome_may_be_confirmed_before_the_verdict_comes() {
    let mut world = World::connected(1);
    world.put(0, &key(1), 2);
    world.devices[0].changes.clear();
    while world.send(0) {}
    while world.deliver(0, false).unwrap() {}
    assert_eq!(world.devices[0].replica.pending(), 1);
    while world.deliver(0, true).unwrap() {}
    assert_eq!(world.devices[0].replica.pending(), 0);
    assert_eq!(world.devices[0].changes, []);
}

/// Pitfall 1: arrival order wins over the clock.
#[test]
fn an_old_offline_edit_loses_against_a_newer_one_and_is_told_so() {
    let mut world = World::connected(2);
    world.server.links.remove(&0);
    let old = world.put(0, &key(1), 10);
    world.server.now_ms += 3_600_000;
    world.put(1, &key(1), 20);
    world.run();
    world.connect(0);
    world.run();
    let newer = world.devices[0].version(&world.map, &key(1));
    assert_eq!(world.devices[0].verdicts[&old], Verdict::Superseded(newer));
    assert_eq!(world.get(0, &key(1)), Some(20));
    world.assert_level();
}

/// Pitfall 2: deletes leave no tombstone.
#[test]
fn a_delete_is_learnt_offline_and_holds_against_an_older_put() {
    let mut world = World::connected(2);
    world.server_put(&key(1), 1);
    world.run();
    world.server.links.remove(&0);
    world.put(0, &key(2), 5);
    world.server.now_ms += 1_000;
    world.remove(1, &key(1));
    world.put(1, &key(2), 6);
    world.run();
    world.server.now_ms += 1_000;
    world.remove(1, &key(2));
    world.run();
    world.connect(0);
    world.run();
    assert!(world.truth().is_empty());
    world.assert_level();
}

#[test]
fn an_edit_names_the_version_that_it_rests_on() {
    let mut world = World::connected(1);
    world.server_put(&key(1), 1);
    world.run();
    let confirmed = world.devices[0].version(&world.map, &key(1)).hlc;
    let map = world.map.clone();
    let now_ms = world.now_ms();
    let first = vec![
        put(&map, &key(1), 2),
        put(&map, &key(1), 3),
        put(&map, &key(2), 1),
    ];
    world.devices[0].write(first, now_ms);
    let second = vec![
        put(&map, &key(1), 4),
        remove(&map, &key(1)),
        put(&map, &key(1), 5),
        put(&map, &key(1), 6),
    ];
    world.devices[0].write(second, now_ms);
    let now = world.devices[0].now(now_ms);
    let Some(Message::Push(push)) = world.devices[0].replica.next_message(now) else {
        panic!("a push");
    };
    let bases: Vec<Hlc> = push.ops.iter().map(|op| op.base).collect();
    let zero = Hlc::ZERO;
    assert_eq!(
        bases,
        [confirmed, confirmed, zero, confirmed, confirmed, zero, zero],
        "a remove makes what follows a create"
    );
    assert!(push.ops.windows(2).all(|pair| pair[0].hlc < pair[1].hlc));
}

#[test]
fn an_op_on_an_acked_op_rests_on_its_final_version() {
    let mut world = World::connected(1);
    let first = world.put(0, &key(1), 1);
    while world.send(0) {}
    while world.deliver(0, true).unwrap() {}
    assert!(world.devices[0].verdicts.contains_key(&first));
    world.put(0, &key(1), 2);
    let now = world.devices[0].now(world.now_ms());
    let Some(Message::Push(push)) = world.devices[0].replica.next_message(now) else {
        panic!("a push");
    };
    assert_ne!(push.ops[0].base, Hlc::ZERO);
    assert!(push.ops[0].base < push.ops[0].hlc);
}

#[test]
fn a_write_that_was_not_stored_does_not_show_and_its_id_is_not_used_again() {
    let mut world = World::connected(1);
    let map = world.map.clone();
    let now_ms = world.now_ms();
    world.devices[0].fail(vec![put(&map, &key(1), 1)], now_ms);
    assert_eq!(world.get(0, &key(1)), None);
    assert_eq!(world.devices[0].replica.pending(), 0);
    let next = world.put(0, &key(1), 2);
    assert_eq!(next.number, 2);
    world.run();
    world.assert_level();
}

#[test]
fn what_the_server_told_is_kept_when_a_batch_was_not_stored() {
    let mut world = World::connected(1);
    world.server_put(&key(1), 1);
    while world.deliver(0, false).unwrap() {}
    let now_ms = world.now_ms();
    world.devices[0].fail(Vec::new(), now_ms);
    assert!(world.devices[0].replica.has_unsaved());
    world.run();
    world.assert_level();
}

#[test]
fn ops_on_a_map_that_is_not_followed_are_settled_by_their_verdict() {
    let mut world = World::connected(1);
    let other = grid_core::MapName::new("elsewhere").unwrap();
    let now_ms = world.now_ms();
    world.devices[0].write(vec![put(&other, &key(1), 1)], now_ms);
    assert_eq!(world.devices[0].get(&other, &key(1)), Some(1));
    world.run();
    assert_eq!(world.devices[0].replica.pending(), 0);
    assert_eq!(world.server.live(&other).len(), 1);
    assert_eq!(world.devices[0].store.rows(&Table::Log).count(), 0);
}

/// With no server that could say so: by the time that the write was made at.
#[test]
fn a_pending_entry_with_a_lifetime_is_hidden_when_it_is_due() {
    let mut world = World::new(1);
    let mut write = put(&world.map, &key(1), 1);
    let Action::Put { ttl_ms, .. } = &mut write.action else {
        panic!("a put");
    };
    *ttl_ms = Some(5_000);
    let made_ms = world.now_ms();
    world.devices[0].write(vec![write], made_ms);
    world.put(0, &key(2), 2);
    for _ in 0..2 {
        let (replica, map) = (&world.devices[0].replica, &world.map);
        let seen = |after: u64| {
            let now_ms = made_ms + after;
            let one = replica.get(map, &key(1), now_ms).is_some();
            assert_eq!(
                replica.entries(map, now_ms).count(),
                replica.len(map, now_ms)
            );
            (one, replica.len(map, now_ms))
        };
        assert_eq!(seen(4_999), (true, 2));
        assert_eq!(seen(5_000), (false, 1));
        world.crash(0);
    }
    // Written anew, it stays.
    world.put(0, &key(1), 3);
    let replica = &world.devices[0].replica;
    assert_eq!(replica.len(&world.map, made_ms + 50_000), 2);
}
