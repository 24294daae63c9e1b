//! What becomes of ops that the server puts off.

use std::time::Duration;

use bytes::BytesMut;
use grid_core::codec::CborCodec;
use grid_core::protocol::{Ack, Deferred, Message, NumberRange, Push};
use grid_core::replica::Now;
use grid_core::traits::Codec;
use grid_core::{PartitionId, Sequence};

use crate::device::put;
use crate::server::{Server, address};
use crate::world::{World, key};

#[test]
fn a_deferred_push_is_resumed_from_there_after_the_pause() {
    let mut world = World::connected(1);
    let map = world.map.clone();
    let now_ms = world.now_ms();
    world.server.deferrals = 1;
    for number in 0..4 {
        world.devices[0].write(vec![put(&map, &key(number), number)], now_ms);
        while world.send(0) {}
    }
    assert!(world.server.links[&0].pushed.is_empty());
    while world.deliver(0, true).unwrap() {}
    assert!(!world.send(0), "the pause is not over");
    let elapsed = Duration::from_millis(world.now_ms());
    let deadline = world.devices[0].replica.deadline().unwrap();
    assert_eq!(deadline, elapsed + Duration::from_millis(5));
    world.server.now_ms += 5;
    assert!(world.send(0));
    world.run();
    let numbers: Vec<u64> = world.server.links[&0]
        .pushed
        .iter()
        .map(|op| op.number)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    world.assert_level();
}

/// The server waits for the op that it put off, which may have its verdict by now: it was pushed
/// twice, or is told late.
#[test]
fn a_push_that_comes_back_names_the_op_that_was_put_off_though_it_has_its_verdict() {
    let mut world = World::connected(1);
    let map = world.map.clone();
    let now_ms = world.now_ms();
    let writes = (0..3).map(|number| put(&map, &key(number), number));
    let run = world.devices[0].write(writes.collect(), now_ms)[0].run;
    let time = now(&world);
    while world.devices[0].replica.next_message(time).is_some() {}
    for from in [3, 2] {
        let deferred = Message::Deferred(Deferred {
            run,
            from,
            message: String::new(),
            retry_after_ms: 5,
        });
        world.devices[0].receive(deferred, now_ms).unwrap();
    }
    let ack = Message::Ack(Ack {
        run,
        partition: PartitionId(0),
        sequence: Sequence(9),
        accepted: vec![NumberRange { first: 1, count: 2 }],
        exceptions: Vec::new(),
        window: None,
    });
    world.devices[0].receive(ack, now_ms).unwrap();
    world.server.now_ms += 5;
    let push = |world: &mut World| {
        let time = now(world);
        match world.devices[0].replica.next_message(time) {
            Some(Message::Push(push)) => (push.resume, push.previous, push.ops[0].id.number),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(push(&mut world), (true, 2, 3), "op 2 was the first of them");
    let now_ms = world.now_ms();
    world.devices[0].write(vec![put(&map, &key(4), 4)], now_ms);
    assert_eq!(push(&mut world), (false, 3, 4), "it is back");
}

/// At the level `memory` a verdict is told before its op is safe; here the journal took nothing.
#[test]
fn a_verdict_does_not_hold_once_its_op_is_put_off() {
    let mut world = World::connected(1);
    let map = world.map.clone();
    let now_ms = world.now_ms();
    let run = world.devices[0].write(vec![put(&map, &key(0), 1)], now_ms)[0].run;
    let time = now(&world);
    while world.devices[0].replica.next_message(time).is_some() {}
    let ack = Message::Ack(Ack {
        run,
        partition: Server::placement(&address(&map)).partition(&key(0)),
        sequence: Sequence(1),
        accepted: vec![NumberRange { first: 1, count: 1 }],
        exceptions: Vec::new(),
        window: None,
    });
    let deferred = Message::Deferred(Deferred {
        run,
        from: 1,
        message: "full".to_owned(),
        retry_after_ms: 5,
    });
    for message in [ack, deferred] {
        world.devices[0].receive(message, now_ms).unwrap();
    }
    let put_off = world.devices[0].replica.status().put_off;
    assert_eq!(put_off.as_deref(), Some("full"));
    // Another change has the sequence that was told.
    world.server_put(&key(0), 2);
    while world.deliver(0, false).unwrap() {}
    assert_eq!(world.devices[0].replica.pending(), 1);
    world.run();
    assert_eq!(world.server.links[&0].pushed.len(), 1, "it came again");
    world.assert_level();
}

#[test]
fn an_application_is_told_why_its_writes_are_put_off_until_they_have_their_verdict() {
    let mut world = World::connected(1);
    let map = world.map.clone();
    let now_ms = world.now_ms();
    let put_off = |world: &World| world.devices[0].replica.status().put_off;
    let writes = (0..3).map(|number| put(&map, &key(number), number));
    let run = world.devices[0].write(writes.collect(), now_ms)[0].run;
    let time = now(&world);
    while world.devices[0].replica.next_message(time).is_some() {}
    assert_eq!(put_off(&world), None);
    let deferred = |from, message: &str| {
        Message::Deferred(Deferred {
            run,
            from,
            message: message.to_owned(),
            retry_after_ms: 5,
        })
    };
    let device = &mut world.devices[0];
    device.receive(deferred(2, "full"), now_ms).unwrap();
    assert_eq!(put_off(&world).as_deref(), Some("full"));
    let ack = |first| {
        Message::Ack(Ack {
            run,
            partition: PartitionId(0),
            sequence: Sequence(9),
            accepted: vec![NumberRange { first, count: 1 }],
            exceptions: Vec::new(),
            window: None,
        })
    };
    world.devices[0].receive(ack(1), now_ms).unwrap();
    assert_eq!(put_off(&world).as_deref(), Some("full"), "that was before");
    world.devices[0].receive(ack(2), now_ms).unwrap();
    assert_eq!(put_off(&world), None);
    let device = &mut world.devices[0];
    device.receive(deferred(3, "again"), now_ms).unwrap();
    assert_eq!(put_off(&world).as_deref(), Some("again"));
    world.devices[0].replica.disconnect();
    assert_eq!(put_off(&world), None, "nobody puts anything off");
}

fn now(world: &World) -> Now {
    world.devices[0].now(world.now_ms())
}

#[test]
fn deferrals_in_the_middle_keep_the_order_of_every_run() {
    let mut world = World::new(1);
    let map = world.map.clone();
    for run in 0..3 {
        for number in 0..10 {
            let now_ms = world.now_ms();
            let value = run * 10 + number;
            world.devices[0].write(vec![put(&map, &key(number), value)], now_ms);
            world.server.now_ms += 1;
        }
        world.crash(0);
    }
    world.server.push_window = 4;
    world.connect(0);
    for round in 0..6 {
        world.server.deferrals = round % 3;
        for _ in 0..10 {
            world.send(0);
        }
        while world.deliver(0, true).unwrap() {}
        world.server.now_ms += 5;
    }
    world.run();
    for number in 0..10 {
        assert_eq!(world.get(0, &key(number)), Some(20 + number));
    }
    world.assert_level();
}

/// How a server puts ops off.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Refusals {
    AtOnce,
    /// Behind verdicts that do not hold: they are of the level `memory`.
    BehindVerdicts,
    Late,
}

/// How long a late refusal takes.
const LATE_MS: u64 = 1_500;

/// What a device that is put off for a while sends: the bytes of its pushes, of which the server
/// takes none, and when each goes out.
fn sent_while_put_off(
    world: &mut World,
    time: Duration,
    refusals: Refusals,
) -> Vec<(Duration, usize)> {
    let mut sent = Vec::new();
    let start = now(world).elapsed;
    while now(world).elapsed < start + time {
        let pushes = pushes_now(world, refusals == Refusals::BehindVerdicts);
        // What is behind what was put off is dropped.
        let refused = pushes.first().map(|(push, _)| (push.run, push.begins()));
        let at = now(world).elapsed - start;
        sent.extend(pushes.iter().map(|(_, bytes)| (at, *bytes)));
        if refusals == Refusals::Late && refused.is_some() {
            pass(world, LATE_MS);
            let pushes = pushes_now(world, false);
            let at = now(world).elapsed - start;
            sent.extend(pushes.iter().map(|(_, bytes)| (at, *bytes)));
        }
        if let Some((run, from)) = refused {
            let deferred = Message::Deferred(Deferred {
                run,
                from,
                message: "later".to_owned(),
                retry_after_ms: 250,
            });
            let now_ms = world.now_ms();
            world.devices[0].receive(deferred, now_ms).unwrap();
        }
        let deadline = world.devices[0].replica.deadline().unwrap();
        let wait = deadline.saturating_sub(now(world).elapsed).as_millis();
        pass(world, u64::try_from(wait).unwrap() + 1);
    }
    sent
}

/// What the device pushes now, with its bytes. With `early`, it gets verdicts after each.
fn pushes_now(world: &mut World, early: bool) -> Vec<(Push, usize)> {
    let mut pushes = Vec::new();
    let (at, now_ms) = (now(world), world.now_ms());
    while let Some(message) = world.devices[0].replica.next_message(at) {
        let bytes = frame_bytes(&message);
        let Message::Push(push) = message else {
            continue;
        };
        if early {
            let ack = Message::Ack(Ack {
                run: push.run,
                partition: PartitionId(0),
                sequence: Sequence(9),
                accepted: vec![NumberRange {
                    first: push.ops[0].id.number,
                    count: push.ops.len() as u64,
                }],
                exceptions: Vec::new(),
                window: None,
            });
            world.devices[0].receive(ack, now_ms).unwrap();
        }
        pushes.push((push, bytes));
    }
    pushes
}

/// Time passes, and the server is alive.
fn pass(world: &mut World, ms: u64) {
    let now_ms = world.now_ms();
    world.devices[0].receive(Message::Ping(0), now_ms).unwrap();
    world.server.now_ms += ms;
    let at = now(world);
    world.devices[0].replica.tick(at).unwrap();
}

fn frame_bytes(message: &Message) -> usize {
    let mut frame = BytesMut::new();
    CborCodec.encode(message, &mut frame).unwrap();
    frame.len()
}

/// It sent its whole window four times a second: 75,800 bytes a second with this one.
#[test]
fn a_device_that_is_put_off_sends_little_and_all_once_it_is_taken_again() {
    sends_little_and_all_once_it_is_taken_again(Refusals::AtOnce);
}

/// The journal is full: a write at `memory` has its verdict before that is found out.
#[test]
fn a_device_whose_verdicts_do_not_hold_sends_little_and_all_once_it_is_taken_again() {
    sends_little_and_all_once_it_is_taken_again(Refusals::BehindVerdicts);
}

/// The rest did not wait longer than a second for the refusal of the one write that it came back
/// with, so that all of it went out each time.
#[test]
fn a_device_that_is_told_late_that_it_is_put_off_sends_little_too() {
    sends_little_and_all_once_it_is_taken_again(Refusals::Late);
}

fn sends_little_and_all_once_it_is_taken_again(refusals: Refusals) {
    const OPS: u64 = 1_000;
    let mut world = World::new(1);
    world.server.push_window = 1_000;
    world.connect(0);
    world.run();
    let map = world.map.clone();
    let writes = (0..OPS).map(|number| put(&map, &key(number), number));
    let now_ms = world.now_ms();
    world.devices[0].write(writes.collect(), now_ms);
    let minute = Duration::from_secs(60);
    let sent = sent_while_put_off(&mut world, minute, refusals);
    let bytes: usize = sent.iter().map(|(_, bytes)| bytes).sum();
    let a_second = bytes as u64 / minute.as_secs();
    // Two windows at first, or three, and what comes later spread over a minute.
    let bound = if refusals == Refusals::Late {
        1_100
    } else {
        800
    };
    assert!(a_second < bound, "{a_second} bytes a second");
    let later = sent.iter().filter(|(at, _)| at.as_secs() >= 10);
    let later: Vec<(Duration, usize)> = later.copied().collect();
    let largest = later.iter().map(|(_, bytes)| *bytes).max().unwrap();
    assert!(largest < 100, "one op each: {largest} bytes");
    let bytes: usize = later.iter().map(|(_, bytes)| bytes).sum();
    assert!(bytes < 50 * 50, "50 bytes a second: {bytes}");
    // It goes on trying, so that it is late by seconds and not by minutes.
    let waits = later.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(waits.max().unwrap() <= Duration::from_millis(4_002 + LATE_MS));
    assert!((9..40).contains(&later.len()), "{}", later.len());

    world.server.now_ms += 4_000;
    while world.send(0) {}
    assert_eq!(world.server.links[&0].push_sizes, [1]);
    while world.deliver(0, true).unwrap() {}
    if refusals == Refusals::BehindVerdicts {
        // The verdict may not hold either.
        assert!(!world.send(0));
        world.server.now_ms += 4_000;
    }
    // At once.
    while world.send(0) {}
    let pushed = &world.server.links[&0].pushed;
    let numbers: Vec<u64> = pushed.iter().map(|op| op.number).collect();
    assert_eq!(numbers, (1..=OPS).collect::<Vec<_>>(), "in order, and once");
    world.run();
    world.assert_level();
}

/// A verdict may wait for the database: then the others need not wait for that op.
#[test]
fn an_op_that_is_taken_without_an_answer_does_not_hold_up_the_others() {
    let mut world = World::connected(1);
    let map = world.map.clone();
    let now_ms = world.now_ms();
    let writes = (0..9).map(|number| put(&map, &key(number), number));
    world.devices[0].write(writes.collect(), now_ms);
    // Twice: longer than that, and it is more patient.
    let while_put_off = Duration::from_millis(300);
    sent_while_put_off(&mut world, while_put_off, Refusals::AtOnce);
    let pushed = |world: &mut World| {
        let time = now(world);
        let replica = &mut world.devices[0].replica;
        let messages = std::iter::from_fn(|| replica.next_message(time));
        let ops = messages.map(|message| match message {
            Message::Push(push) => push.ops.len(),
            _ => 0,
        });
        ops.sum::<usize>()
    };
    let mut waited_ms = 0;
    while pushed(&mut world) == 0 {
        world.server.now_ms += 1;
        waited_ms += 1;
        assert!(waited_ms <= 4_000);
    }
    assert_eq!(pushed(&mut world), 0, "one is on its way");
    world.server.now_ms += 999;
    assert_eq!(pushed(&mut world), 0);
    world.server.now_ms += 1;
    assert_eq!(pushed(&mut world), 8);
}

/// An earlier opening of the store left a write that waits for its partition.
#[test]
fn what_a_later_run_writes_elsewhere_does_not_wait_for_an_earlier_run() {
    let mut world = World::new(1);
    let map = world.map.clone();
    let now_ms = world.now_ms();
    let earlier = world.devices[0].write(vec![put(&map, &key(0), 1)], now_ms)[0].run;
    world.crash(0);
    world.connect(0);
    while world.deliver(0, false).unwrap() {}
    let now_ms = world.now_ms();
    let later = [(1, 1), (2, 2), (0, 3), (3, 4)].map(|(at, value)| put(&map, &key(at), value));
    let run = world.devices[0].write(later.to_vec(), now_ms)[0].run;
    let mut pushed = Vec::new();
    let mut gather = |world: &mut World| {
        let time = now(world);
        while let Some(message) = world.devices[0].replica.next_message(time) {
            if let Message::Push(push) = message {
                pushed.push((push.run, push.ops.len()));
            }
        }
        std::mem::take(&mut pushed)
    };
    let all = gather(&mut world);
    assert_eq!(all, [(earlier, 1), (run, 4)], "as they were written");
    let deferred = |run, from| {
        Message::Deferred(Deferred {
            run,
            from,
            message: String::new(),
            retry_after_ms: 250,
        })
    };
    let device = &mut world.devices[0];
    device.receive(deferred(earlier, 1), now_ms).unwrap();
    device.receive(deferred(run, 1), now_ms).unwrap();
    world.server.now_ms += 250;
    assert_eq!(gather(&mut world), [(earlier, 1), (run, 4)]);
    let now_ms = world.now_ms();
    let device = &mut world.devices[0];
    device.receive(deferred(earlier, 1), now_ms).unwrap();
    let ack = Message::Ack(Ack {
        run,
        partition: PartitionId(0),
        sequence: Sequence(9),
        accepted: vec![NumberRange { first: 1, count: 1 }],
        exceptions: Vec::new(),
        window: None,
    });
    device.receive(ack, now_ms).unwrap();
    device.receive(deferred(run, 2), now_ms).unwrap();
    world.server.now_ms += 250;
    assert_eq!(gather(&mut world), [(run, 1)], "not that of the same key");
    world.server.now_ms += 4_000;
    assert_eq!(gather(&mut world), [(earlier, 1), (run, 2)]);
}
