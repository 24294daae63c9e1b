//! From a local write to its verdict.

use std::time::Duration;

use grid_core::protocol::{Ack, Deferred, Message, NumberRange, Verdict};
use grid_core::replica::LocalWrite;
use grid_core::{MapName, PartitionId, Sequence};

use super::device::{put, remove};
use super::server::{FORBIDDEN, RETRY_AFTER_MS};
use super::world::World;

/// A write into a map that nobody follows, so that only verdicts tell of it.
fn put_unfollowed(name: &str, value: u8) -> LocalWrite {
    LocalWrite {
        map: MapName::new("unfollowed").unwrap(),
        ..put(name, value)
    }
}

#[test]
fn what_was_decided_beyond_a_deferral_is_pushed_again_on_the_next_connection() {
    let mut world = World::with_devices(1);
    let (here, there) = (world.key_in(0), world.key_in(1));
    world.connect_and_talk(0);
    world.write(0, vec![put(&here, 1), put(&there, 1)]);
    // The server takes both ops; the device hears of the changes, and its acks are lost.
    world.send_all(0);
    world.receive_only(0, |message| matches!(message, Message::Delta(_)));
    let now = world.now(0);
    world.devices[0].save(Vec::new(), now);
    world.cut(0);
    // It then says "not now" to the first only; that views are level it has yet to say.
    world.server.defer_after = Some(0);
    world.server.hold_levels = true;
    world.connect_and_talk(0);
    assert_eq!(world.devices[0].verdicts(1), [&Verdict::Accepted]);
    assert_eq!(world.devices[0].replica.pending(), 2);
    world.cut(0);
    world.heal();
    assert_eq!(world.devices[0].replica.pending(), 0);
}

#[test]
fn a_pause_that_is_over_is_no_deadline() {
    let mut world = World::with_devices(1);
    world.connect_and_talk(0);
    world.write(0, vec![put("a", 1)]);
    world.send(0);
    let run = world.devices[0].replica.run();
    let deferred = Deferred {
        run,
        from: 1,
        message: "not now".to_owned(),
        retry_after_ms: RETRY_AFTER_MS,
    };
    world.tell(0, Message::Deferred(deferred)).unwrap();
    let until = Duration::from_millis(RETRY_AFTER_MS.into()) + world.now(0).elapsed;
    assert_eq!(world.devices[0].replica.deadline(), Some(until));
    let now = world.now(0);
    assert_eq!(world.devices[0].replica.next_message(now), None, "it waits");
    // The server had taken the op after all, so that there is nothing to push any more.
    let ack = Ack {
        run,
        partition: PartitionId(0),
        sequence: Sequence::ZERO,
        accepted: vec![NumberRange { first: 1, count: 1 }],
        exceptions: Vec::new(),
        window: None,
    };
    world.tell(0, Message::Ack(ack)).unwrap();
    world.pass(u64::from(RETRY_AFTER_MS));
    let now = world.now(0);
    world.devices[0].replica.tick(now).unwrap();
    assert_eq!(world.devices[0].replica.next_message(now), None);
    assert!(world.devices[0].replica.deadline() > Some(now.elapsed));
}

#[test]
fn a_deferral_of_one_run_does_not_break_the_order_of_another() {
    let mut world = World::with_devices(1);
    world.write(0, vec![put("a", 1), put("a", 2), put("b", 3)]);
    world.devices[0].restart();
    world.write(0, vec![put("a", 4), put("c", 5)]);
    world.server.defer_after = Some(1);
    world.heal();
    assert_eq!(world.ended, [""; 0]);
    let expected = [("a", 4), ("b", 3), ("c", 5)].map(|(key, value)| (key.to_owned(), value));
    assert_eq!(world.devices[0].entries(), expected);
}

/// How many reports of stored verdicts the server heard.
fn reports(world: &World) -> usize {
    let stored = world.heard.iter();
    stored
        .filter(|(_, message)| matches!(message, Message::Stored(_)))
        .count()
}

#[test]
fn that_a_verdict_is_stored_is_said_until_it_was_surely_heard() {
    let mut world = World::with_devices(1);
    world.connect_and_talk(0);
    world.write(0, vec![put(&format!("{FORBIDDEN}1"), 1)]);
    world.send_all(0);
    world.receive_all(0);
    let now = world.now(0);
    world.devices[0].begin_save(Vec::new(), now);
    world.cut(0);
    world.devices[0].end_save(now);
    assert_eq!(world.devices[0].replica.pending(), 0);
    // Nobody could be told; then somebody is, and the connection is lost with it under way.
    world.connect(0);
    world.deliver_up(0);
    world.deliver_down(0);
    world.send(0);
    world.cut(0);
    assert_eq!(reports(&world), 0);
    world.connect_and_talk(0);
    assert_eq!(reports(&world), 1);
    world.heartbeat(0);
    world.cut(0);
    world.connect_and_talk(0);
    assert_eq!(reports(&world), 1, "it was heard");
}

#[test]
fn nothing_follows_the_hello_before_the_welcome() {
    let mut world = World::with_devices(1);
    world.connect_and_talk(0);
    world.write(0, vec![put(&format!("{FORBIDDEN}1"), 1), put("a", 1)]);
    world.send_all(0);
    world.receive_all(0);
    let now = world.now(0);
    world.devices[0].begin_save(vec![put("b", 2)], now);
    world.connect(0);
    world.devices[0].end_save(now);
    assert_eq!(world.devices[0].replica.next_message(now), None);
    world.heal();
    assert_eq!(world.devices[0].replica.pending(), 0);
}

#[test]
fn pitfall_11_a_write_after_a_restamped_one_comes_after_it() {
    let mut world = World::with_devices(1);
    world.devices[0].ahead_ms = 600_000;
    world.connect_and_talk(0);
    world.write(0, vec![put_unfollowed("a", 1)]);
    let run = world.devices[0].replica.run();
    world.pass(100);
    world.send_all(0);
    world.receive_all(0);
    assert!(matches!(
        world.devices[0].verdicts(0)[..],
        [Verdict::Restamped(_)]
    ));
    assert_ne!(world.devices[0].replica.run(), run, "another run");
    // The wall clock says less than the server did, all the same.
    world.devices[0].ahead_ms = 599_000;
    world.write(0, vec![put_unfollowed("a", 2)]);
    world.heal();
    assert_eq!(world.devices[0].verdicts(1), [&Verdict::Accepted]);
}

#[test]
fn a_write_comes_after_every_version_that_a_verdict_named() {
    let mut world = World::with_devices(2);
    world.devices[1].ahead_ms = 30_000;
    world.write(1, vec![put_unfollowed("a", 1)]);
    world.heal();
    world.write(0, vec![put_unfollowed("a", 2)]);
    world.heal();
    assert!(matches!(
        world.devices[0].verdicts(0)[..],
        [Verdict::Superseded(_)]
    ));
    world.write(0, vec![put_unfollowed("a", 3)]);
    world.heal();
    assert_eq!(world.devices[0].verdicts(1), [&Verdict::Accepted]);
}

#[test]
fn a_run_ends_only_once_all_of_its_ops_are_settled() {
    let mut world = World::with_devices(1);
    world.devices[0].ahead_ms = 600_000;
    world.connect_and_talk(0);
    world.write(0, vec![put("a", 1)]);
    let run = world.devices[0].replica.run();
    world.send_all(0);
    // Another write is made, and one more is on its way to the store, when the verdict comes.
    world.write(0, vec![put("a", 2)]);
    let now = world.now(0);
    world.devices[0].begin_save(vec![put("a", 3)], now);
    world.receive_all(0);
    assert_eq!(world.devices[0].replica.run(), run);
    world.send_all(0);
    world.receive_all(0);
    assert_eq!(world.devices[0].replica.pending(), 0);
    assert_eq!(world.devices[0].replica.run(), run, "one is being stored");
    world.devices[0].end_save(now);
    world.quiesce();
    assert_ne!(world.devices[0].replica.run(), run);
    assert_eq!(world.devices[0].value("a"), Some(3));
}

#[test]
fn a_write_after_a_restart_comes_after_what_was_seen_before_it() {
    for store_fails in [false, true] {
        let mut world = World::with_devices(2);
        // Within the drift that the server allows, so that its stamps stand.
        world.devices[1].ahead_ms = 30_000;
        world.connect_and_talk(0);
        world.write(1, vec![put("a", 1), remove("a")]);
        world.connect(1);
        for _ in 0..3 {
            world.send_all(1);
            world.receive_all(1);
        }
        world.receive_all(0);
        let now = world.now(0);
        if store_fails {
            world.devices[0].begin_save(Vec::new(), now);
            world.devices[0].fail_save(now);
        }
        world.devices[0].save(Vec::new(), now);
        world.cut(0);
        world.devices[0].restart();
        world.write(0, vec![put("a", 2)]);
        world.heal();
        assert_eq!(world.devices[0].verdicts(0), [&Verdict::Accepted]);
        assert_eq!(world.devices[1].value("a"), Some(2));
    }
}
