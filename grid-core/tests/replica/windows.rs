//! How many ops are on their way while the server is behind.

use grid_core::protocol::{Ack, Message};
use grid_core::replica::Now;
use grid_core::{PartitionId, RunId, Sequence};

use crate::device::put;
use crate::world::{World, key};

/// An ack without verdicts that names a window for the sake of a partition.
fn window(run: RunId, partition: u16, window: u32) -> Message {
    Message::Ack(Ack {
        run,
        partition: PartitionId(partition),
        sequence: Sequence::ZERO,
        accepted: Vec::new(),
        exceptions: Vec::new(),
        window: Some(window),
    })
}

/// A device with 40 pending ops of a run, of which none was pushed; the server grants 16.
fn pending() -> (World, RunId) {
    let mut world = World::connected(1);
    let map = world.map.clone();
    let now_ms = world.now_ms();
    let writes = (0..40).map(|number| put(&map, &key(number), number));
    let run = world.devices[0].write(writes.collect(), now_ms)[0].run;
    (world, run)
}

/// How many ops go out now.
fn pushed(world: &mut World) -> usize {
    let before = world.server.links[&0].pushed.len();
    while world.send(0) {}
    world.server.links[&0].pushed.len() - before
}

#[test]
fn the_lowest_window_that_a_partition_asks_for_counts() {
    let (mut world, run) = pending();
    let now_ms = world.now_ms();
    let receive = |world: &mut World, message| {
        world.devices[0].receive(message, now_ms).unwrap();
    };
    receive(&mut world, window(run, 1, 5));
    receive(&mut world, window(run, 2, 3));
    receive(&mut world, window(run, 3, 9));
    assert_eq!(pushed(&mut world), 3);
    receive(&mut world, window(run, 2, 4));
    assert_eq!(pushed(&mut world), 1);
    receive(&mut world, window(run, 2, 1));
    receive(&mut world, window(run, 1, 16));
    assert_eq!(pushed(&mut world), 0, "more than that are on their way");
    receive(&mut world, window(run, 2, 1_000_000));
    assert_eq!(pushed(&mut world), 5, "of partition 3");
    receive(&mut world, window(run, 3, 16));
    assert_eq!(pushed(&mut world), 7, "the server grants 16");
    world.disconnect(0);
    world.connect(0);
    world.run();
    world.assert_level();
}

#[test]
fn a_closed_window_is_tried_with_one_op_from_time_to_time() {
    let (mut world, run) = pending();
    let now_ms = world.now_ms();
    world.devices[0].receive(window(run, 1, 0), now_ms).unwrap();
    assert_eq!(pushed(&mut world), 0);
    let mut deadlines = 0;
    while pushed(&mut world) == 0 {
        deadlines += 1;
        assert!(
            deadlines <= 3,
            "signs of life and one op are all that is due"
        );
        let elapsed = now(&world).elapsed;
        let deadline = world.devices[0].replica.deadline().unwrap();
        assert!(deadline > elapsed, "what was due is done");
        let wait = (deadline - elapsed).as_millis();
        world.server.now_ms += u64::try_from(wait).unwrap();
        let time = now(&world);
        world.devices[0].replica.tick(time).unwrap();
    }
    assert_eq!(world.server.links[&0].pushed.len(), 1);
    assert_eq!(pushed(&mut world), 0, "one is on its way");
    let now_ms = world.now_ms();
    world.devices[0].receive(window(run, 1, 2), now_ms).unwrap();
    assert_eq!(pushed(&mut world), 1);
}

fn now(world: &World) -> Now {
    world.devices[0].now(world.now_ms())
}
