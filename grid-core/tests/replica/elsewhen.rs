//! What belongs to another data set, another history or an earlier moment is not believed.

use grid_core::protocol::{Message, Selector};
use grid_core::{ErrorKind, History, Namespace};

use crate::server::Server;
use crate::world::{World, key};

fn filled() -> World {
    let mut world = World::connected(1);
    for number in 0..30 {
        world.server_put(&key(number), number);
    }
    world.run();
    world
}

/// Keys lie in other partitions there, so nothing that is held can be compared with it.
#[test]
fn a_data_set_of_another_size_leaves_nothing_of_the_one_before() {
    let mut world = filled();
    world.put(0, &key(3), 300);
    let now = world.devices[0].now(world.now_ms());
    let replica = &mut world.devices[0].replica;
    replica.connect(vec!["cbor".to_owned()], None, now);
    world.server.connect_as(0, 7);
    assert!(world.deliver(0, false).unwrap(), "the welcome");
    for _ in 0..2 {
        let status = world.devices[0].replica.status();
        assert_eq!((status.maps[0].confirmed, status.pending), (0, 1));
        assert_eq!(status.maps[0].cursor, []);
        assert!(!world.devices[0].replica.is_loaded(&world.map));
        // And in the store.
        let now_ms = world.now_ms();
        world.devices[0].save(now_ms);
        world.crash(0);
    }
}

#[test]
fn cursors_of_an_earlier_history_count_no_more_when_the_store_is_opened_again() {
    let mut world = filled();
    let before = world.devices[0].replica.status().maps[0].cursor.len();
    world.disconnect(0);
    world.server = Server::new(2);
    world.server_put(&key(1), 1);
    world.connect(0);
    // Until something of the other history is here, and not everything.
    while world.devices[0].replica.status().maps[0].history != History(2) {
        world.server.now_ms += 1;
        while world.send(0) {}
        assert!(world.deliver(0, false).unwrap());
    }
    let known = world.devices[0].replica.status().maps[0].cursor.clone();
    assert!(known.len() < before);
    let now_ms = world.now_ms();
    world.devices[0].save(now_ms);
    world.crash(0);
    let status = world.devices[0].replica.status();
    assert_eq!(status.maps[0].history, History(2));
    assert_eq!(status.maps[0].cursor, known);
    world.connect(0);
    world.run();
    world.assert_level();
}

#[test]
fn a_reset_that_comes_twice_takes_no_cursor_back() {
    let mut world = filled();
    world.disconnect(0);
    world.server = Server::new(2);
    (0..30).for_each(|number| world.server_put(&key(number), number));
    world.connect(0);
    let is_reset = |message: &&Message| matches!(message, Message::CaughtUp(told) if told.reset);
    let resets: Vec<Message> = loop {
        while world.send(0) {}
        let events = &world.server.links[&0].events;
        if events.iter().any(|message| is_reset(&message)) {
            break events.iter().filter(is_reset).cloned().collect();
        }
        assert!(world.deliver(0, false).unwrap());
    };
    world.run();
    (0..30).for_each(|number| world.server_put(&key(number), number + 100));
    world.run();
    let cursor = world.devices[0].replica.status().maps[0].cursor.clone();
    let now_ms = world.now_ms();
    for reset in resets {
        world.devices[0].receive(reset, now_ms).unwrap();
    }
    let status = world.devices[0].replica.status();
    assert_eq!(status.maps[0].cursor, cursor);
    world.run();
    world.assert_level();
}

#[test]
fn a_map_that_was_narrowed_is_not_complete_after_a_restart_either() {
    let mut world = filled();
    let map = world.map.clone();
    let prefix = Selector::Prefix("k1".to_owned());
    for round in 0..2 {
        let run = world.devices[0].draw_run();
        world.devices[0].replica = world.devices[0]
            .store
            .load(Namespace::default(), run)
            .unwrap();
        let replica = &mut world.devices[0].replica;
        replica.open_map(&map, prefix.clone()).unwrap();
        assert!(!replica.is_loaded(&map), "round {round}");
        assert_eq!(replica.len(&map, 0), 11);
        let now_ms = world.now_ms();
        world.devices[0].save(now_ms);
    }
}

#[test]
fn an_op_decided_before_its_view_is_refused_is_settled_all_the_same() {
    let mut world = World::new(1);
    world.put(0, &key(1), 1);
    world.server.hidden.insert(world.map.clone());
    world.connect(0);
    assert!(world.deliver(0, false).unwrap(), "the welcome");
    while world.send(0) || world.deliver(0, true).unwrap() {}
    assert_eq!(
        world.devices[0].replica.pending(),
        1,
        "its outcome may show"
    );
    world.run();
    assert_eq!(world.devices[0].replica.pending(), 0);
    assert_eq!(world.get(0, &key(1)), None, "it may not be read");
}

#[test]
fn an_event_from_before_what_is_known_changes_nothing_and_costs_nothing() {
    let mut world = filled();
    world.server_put(&key(1), 100);
    let early = world.server.links[&0].events.front().cloned().unwrap();
    assert!(matches!(early, Message::Delta(_)));
    world.run();
    world.server_put(&key(1), 200);
    world.run();
    let before = world.devices[0].replica.status();
    world.repairs = 0;
    let now_ms = world.now_ms();
    world.devices[0].receive(early, now_ms).unwrap();
    assert_eq!(world.devices[0].replica.status(), before);
    assert_eq!(world.get(0, &key(1)), Some(200));
    world.run();
    assert_eq!(world.repairs, 0);
    world.assert_level();
}

#[test]
fn a_server_without_partitions_is_refused() {
    let mut world = World::new(1);
    let now = world.devices[0].now(world.now_ms());
    let replica = &mut world.devices[0].replica;
    replica.connect(vec!["cbor".to_owned()], None, now);
    world.server.connect_as(0, 0);
    let error = world.deliver(0, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}
