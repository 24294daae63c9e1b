//! What becomes of ops that the server puts off.

use std::time::Duration;

use grid_core::protocol::{Ack, Deferred, Message, NumberRange};
use grid_core::replica::Now;
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
