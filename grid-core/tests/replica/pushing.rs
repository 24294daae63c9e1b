//! How pending ops reach the server: once, in order, chunked, within the window.

use std::collections::BTreeSet;

use grid_core::limits::LARGEST_VALUE_BYTES;
use grid_core::op::Action;
use grid_core::protocol::{Ack, Message, NumberRange, Verdict};
use grid_core::traits::Write;
use grid_core::{ErrorKind, Key, MapName, PartitionId, RunId, Sequence};

use crate::device::put;
use crate::world::{World, key};

/// Pitfall 5: an outbox larger than one frame never drains; each new write resends everything.
#[test]
fn each_op_is_pushed_once_in_order_and_in_several_frames() {
    let mut world = World::connected(1);
    world.server.push_window = 5_000;
    world.connect(0);
    world.run();
    world.server.links.get_mut(&0).unwrap().pushed.clear();
    let map = world.map.clone();
    let now_ms = world.now_ms();
    for batch in 0..8 {
        let writes = (0..500).map(|number| put(&map, &key(batch * 500 + number), number));
        world.devices[0].write(writes.collect(), now_ms);
        // Part of what is there goes out before more is written.
        world.send(0);
    }
    world.run();
    let link = &world.server.links[&0];
    assert_eq!(link.pushed.len(), 4_000);
    assert!(link.pushed.is_sorted());
    assert_eq!(link.pushed.iter().collect::<BTreeSet<_>>().len(), 4_000);
    assert!(link.push_sizes.len() > 4, "{:?}", link.push_sizes);
    world.assert_level();
}

#[test]
fn no_more_ops_are_on_their_way_than_the_window_allows() {
    let mut world = World::connected(1);
    let map = world.map.clone();
    let now_ms = world.now_ms();
    let writes = (0..100).map(|number| put(&map, &key(number), number));
    world.devices[0].write(writes.collect(), now_ms);
    while world.send(0) {}
    assert_eq!(world.server.links[&0].pushed.len(), 16);
    world.deliver(0, true).unwrap();
    while world.send(0) {}
    assert_eq!(world.server.links[&0].pushed.len(), 17);
    world.run();
    world.assert_level();
}

/// Pitfall 11: a client whose clock is ten minutes fast diverges for good, or wins for ever.
#[test]
fn a_fast_clock_is_corrected_and_wins_nothing() {
    let mut world = World::new(2);
    world.devices[0].fast_ms = 600_000;
    world.connect(0);
    world.connect(1);
    world.run();
    let fast = world.put(0, &key(1), 10);
    let first_run = world.devices[0].replica.run();
    world.run();
    let verdict = &world.devices[0].verdicts[&fast];
    assert!(matches!(verdict, Verdict::Restamped(_)), "{verdict:?}");
    assert_ne!(world.devices[0].replica.run(), first_run, "it re-based");
    // A second later the other device's edit is the later one.
    world.server.now_ms += 1_000;
    world.put(1, &key(1), 20);
    world.run();
    assert_eq!(world.get(0, &key(1)), Some(20));
    // And after another second the fast one's.
    world.server.now_ms += 1_000;
    let next = world.put(0, &key(1), 30);
    world.run();
    assert_eq!(world.devices[0].verdicts[&next], Verdict::Accepted);
    assert_eq!(world.get(1, &key(1)), Some(30));
    world.assert_level();
}

#[test]
fn a_fast_clock_is_measured_again_on_the_next_connection() {
    let mut world = World::new(1);
    world.devices[0].fast_ms = 600_000;
    world.connect(0);
    world.run();
    world.put(0, &key(1), 10);
    world.run();
    world.devices[0].fast_ms = 1_200_000;
    world.connect(0);
    world.run();
    let next = world.put(0, &key(1), 11);
    world.run();
    assert_eq!(world.devices[0].verdicts[&next], Verdict::Accepted);
}

#[test]
fn a_clock_that_jumps_ahead_on_a_live_connection_is_measured_again() {
    let mut world = World::connected(1);
    for jump_ms in [600_000, 1_200_000] {
        world.devices[0].fast_ms = jump_ms;
        world.server.now_ms += 1_000;
        let fast = world.put(0, &key(1), 10);
        world.run();
        let verdict = &world.devices[0].verdicts[&fast];
        assert!(matches!(verdict, Verdict::Restamped(_)), "{verdict:?}");
        world.server.now_ms += 1_000;
        let now_ms = world.now_ms();
        let next = world.put(0, &key(1), 11);
        world.run();
        assert_eq!(world.devices[0].verdicts[&next], Verdict::Accepted);
        let stamp = world.devices[0].version(&world.map.clone(), &key(1));
        assert!(stamp.hlc.millis().abs_diff(now_ms) <= 5, "{stamp}");
    }
    world.assert_level();
}

#[test]
fn stored_verdicts_are_reported_once_they_are_durable() {
    let mut world = World::connected(1);
    world.server.forbidden.insert(key(2));
    world.put(0, &key(1), 1);
    let refused = world.put(0, &key(2), 2);
    while world.send(0) {}
    while world.deliver(0, false).unwrap() {}
    while world.deliver(0, true).unwrap() {}
    while world.send(0) {}
    assert_eq!(world.server.links[&0].stored, [], "nothing is saved yet");
    world.run();
    let stored = &world.server.links[&0].stored;
    assert_eq!(stored.len(), 1, "only a verdict of its own is reported");
    assert_eq!((stored[0].run, stored[0].through), (refused.run, 2));
    world.assert_level();
}

#[test]
fn a_verdict_is_reported_as_stored_after_a_store_that_failed_first() {
    let mut world = World::connected(1);
    world.server.forbidden.insert(key(1));
    let refused = world.put(0, &key(1), 1);
    while world.send(0) {}
    while world.deliver(0, true).unwrap() {}
    let now_ms = world.now_ms();
    for _ in 0..2 {
        world.devices[0].fail(Vec::new(), now_ms);
        while world.send(0) {}
        assert_eq!(world.server.links[&0].stored, [], "nothing is saved yet");
    }
    world.run();
    let stored = &world.server.links[&0].stored;
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].run, stored[0].through), (refused.run, 1));
    world.assert_level();
}

#[test]
fn a_finished_run_is_released_until_a_heartbeat_proves_that_the_server_heard() {
    let mut world = World::connected(1);
    let op = world.put(0, &key(1), 1);
    world.run();
    assert_eq!(
        world.server.links[&0].released,
        [],
        "the present run goes on"
    );
    world.crash(0);
    world.connect(0);
    world.run();
    assert_eq!(world.server.links[&0].released, [op.run]);
    // The connection is lost before anything proves that the release arrived.
    world.crash(0);
    world.connect(0);
    world.run();
    assert_eq!(world.server.links[&0].released[..1], [op.run]);
    // Now a heartbeat is answered.
    let sent = world.server.links[&0].received;
    world.server.now_ms += 1_000;
    let now = world.devices[0].now(world.now_ms());
    world.devices[0].replica.tick(now).unwrap();
    world.run();
    assert_eq!(world.server.links[&0].received, sent + 1);
    world.devices[0]
        .receive(Message::Pong(0), now.wall_ms)
        .unwrap();
    world.run();
    world.crash(0);
    world.connect(0);
    world.run();
    assert!(!world.server.links[&0].released.contains(&op.run));
}

#[test]
fn values_are_bounded_by_what_the_server_says_now_and_by_the_store() {
    let mut world = World::connected(1);
    let largest = |world: &mut World, server: Option<u32>| {
        if let Some(bytes) = server {
            world.server.max_value_bytes = bytes;
            world.connect(0);
            world.run();
        }
        let fits = |bytes: usize| {
            let mut write = put(&world.map, &key(1), 1);
            write.action = Action::Put {
                value: vec![0; bytes].into(),
                ttl_ms: None,
            };
            world.devices[0].replica.check(&write).is_ok()
        };
        let bounds = [10, 1_000, 256 * 1024, 500_000, LARGEST_VALUE_BYTES];
        let taken = bounds.into_iter().filter(|bytes| fits(*bytes)).max();
        assert!(!fits(LARGEST_VALUE_BYTES + 1), "no frame holds it");
        taken.unwrap()
    };
    assert_eq!(largest(&mut world, None), 256 * 1024);
    assert_eq!(largest(&mut world, Some(1_000)), 1_000);
    assert_eq!(largest(&mut world, Some(500_000)), 500_000);
    assert_eq!(largest(&mut world, Some(u32::MAX)), LARGEST_VALUE_BYTES);
    world.devices[0].replica.limit_values(2_100);
    assert_eq!(largest(&mut world, None), 1_000);
    assert_eq!(largest(&mut world, Some(10)), 10);
}

#[test]
fn a_value_that_is_taken_fits_into_a_row_of_the_store() {
    const MOST: usize = 50_000;
    let mut world = World::connected(1);
    world.map = MapName::new("m".repeat(128)).unwrap();
    world.devices[0].replica.limit_values(MOST);
    let longest = Key::new(&"k".repeat(512)).unwrap();
    let mut write = put(&world.map, &longest, 1);
    let largest = (0..=MOST).rev().find(|bytes| {
        write.action = Action::Put {
            value: vec![0; *bytes].into(),
            ttl_ms: Some(u64::MAX),
        };
        world.devices[0].replica.check(&write).is_ok()
    });
    assert!(largest.unwrap() > MOST - 2_000);
    write.if_version = Some(world.server.write(&world.map.clone(), &longest, None));
    let save = world.devices[0].replica.begin_save(vec![write], u64::MAX);
    let save = save.unwrap().unwrap();
    for row in &save.batch.writes {
        if let Write::Put { value, .. } = row {
            assert!(value.len() <= MOST, "{}", value.len());
        }
    }
}

#[test]
fn a_run_is_not_released_before_the_store_knows_that_it_is_over() {
    let mut world = World::new(1);
    let op = world.put(0, &key(1), 1);
    world.crash(0);
    world.connect(0);
    while world.devices[0].replica.pending() > 0 {
        world.server.now_ms += 1;
        while world.send(0) {}
        world.deliver(0, false).unwrap();
        world.deliver(0, true).unwrap();
    }
    // The store takes nothing of it, and then the connection is another.
    let now_ms = world.now_ms();
    world.devices[0].fail(Vec::new(), now_ms);
    world.server.links.remove(&0);
    world.devices[0].replica.disconnect();
    let now = world.devices[0].now(now_ms);
    let codecs = vec!["cbor".to_owned()];
    let hello = world.devices[0].replica.connect(codecs, None, now);
    world.server.handle(0, Message::Hello(hello));
    while world.deliver(0, true).unwrap() || world.deliver(0, false).unwrap() || world.send(0) {}
    assert!(world.devices[0].replica.is_connected());
    assert!(!world.devices[0].replica.is_flushed());
    assert_eq!(world.server.links[&0].released, [], "it may yet be pushed");
    world.run();
    assert_eq!(world.server.links[&0].released, [op.run]);
    world.assert_level();
}

#[test]
fn nothing_is_flushed_while_it_is_on_its_way_to_the_store() {
    let mut world = World::connected(1);
    let device = &mut world.devices[0];
    let write = put(&world.map, &key(1), 1);
    let save = device.replica.begin_save(vec![write], 0).unwrap().unwrap();
    assert!(!device.replica.is_flushed(), "an op is about to be");
    device.store.apply(save.batch.clone()).unwrap();
    device.replica.saved(save);
    world.run();
    world.server_put(&key(2), 2);
    while world.deliver(0, false).unwrap() {}
    let device = &mut world.devices[0];
    let save = device.replica.begin_save(Vec::new(), 0).unwrap().unwrap();
    assert!(!device.replica.is_flushed(), "a record is about to be");
    device.store.apply(save.batch.clone()).unwrap();
    device.replica.saved(save);
    world.run();
    world.assert_level();
}

#[test]
fn a_silent_server_counts_as_lost_after_three_heartbeats() {
    let mut world = World::connected(1);
    let start = world.now_ms();
    let mut pings = 0;
    loop {
        let deadline = world.devices[0].replica.deadline().unwrap();
        let now_ms = u64::try_from(deadline.as_millis()).unwrap();
        assert!(now_ms > world.now_ms() || pings == 0, "time goes on");
        world.server.now_ms = now_ms;
        let now = world.devices[0].now(now_ms);
        if let Err(error) = world.devices[0].replica.tick(now) {
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert!(error.is_retryable());
            break;
        }
        let message = world.devices[0].replica.next_message(now);
        assert!(matches!(message, Some(Message::Ping(_))), "{message:?}");
        pings += 1;
    }
    assert!(world.now_ms() >= start + 2_990 && world.now_ms() <= start + 3_010);
    assert!((2..=3).contains(&pings), "{pings}");
}

#[test]
fn a_server_that_never_says_welcome_is_given_up() {
    let mut world = World::new(1);
    world.connect(0);
    let deadline = world.devices[0].replica.deadline().unwrap();
    let mut now = world.devices[0].now(world.now_ms());
    world.devices[0].replica.tick(now).unwrap();
    now.elapsed = deadline;
    let error = world.devices[0].replica.tick(now).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn a_verdict_on_an_op_that_was_not_pushed_is_refused() {
    let mut world = World::connected(1);
    world.disconnect(0);
    let op = world.put(0, &key(1), 1);
    world.connect(0);
    let welcome = world.deliver(0, false);
    assert!(welcome.unwrap());
    for run in [op.run, RunId(404)] {
        let ack = Ack {
            run,
            partition: PartitionId(0),
            sequence: Sequence(1),
            accepted: vec![NumberRange {
                first: 1,
                count: u64::MAX,
            }],
            exceptions: Vec::new(),
            window: None,
        };
        let error = world.devices[0].receive(Message::Ack(ack), 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
    assert_eq!(world.devices[0].replica.pending(), 1);
}
