//! How a replica gets level with a server and stays so.

use grid_core::protocol::{
    CaughtUp, Message, RejectReason, Selector, SubscribeRefused, Subscribed,
};
use grid_core::replica::LocalWrite;
use grid_core::{ErrorKind, MapName};

use super::device::{map, put, remove};
use super::world::World;

fn pairs(entries: &[(&str, u8)]) -> Vec<(String, u8)> {
    let entries = entries.iter();
    entries
        .map(|(key, value)| ((*key).to_owned(), *value))
        .collect()
}

#[test]
fn a_cursor_of_another_history_settles_nothing() {
    let mut world = World::with_devices(1);
    for value in 1..20 {
        world.write(0, vec![put("a", value)]);
    }
    world.heal();
    world.cut(0);
    // Few sequences in the new history, many in the old one.
    world.server.begin_history();
    world.write(0, vec![put("a", 99)]);
    world.server.hold_levels = true;
    world.connect(0);
    for _ in 0..10 {
        world.send(0);
        world.deliver_up(0);
        world.deliver_down(0);
        assert_eq!(world.devices[0].value("a"), Some(99));
    }
    world.heal();
    assert_eq!(world.devices[0].value("a"), Some(99));
    assert_eq!(world.devices[0].replica.pending(), 0);
}

#[test]
fn what_a_new_history_told_first_is_kept_when_the_rest_follows() {
    let mut world = World::with_devices(2);
    let writes = (0..20).map(|n| put(&format!("k{n}"), n)).collect();
    world.write(0, writes);
    world.connect_and_talk(0);
    // The other device hears of one partition, and is cut off.
    world.server.piece = 100;
    world.connect(1);
    world.send_all(1);
    world.deliver_down(1);
    world.send_all(1);
    for _ in 0..2 {
        world.deliver_down(1);
    }
    let known = world.devices[1].replica.status().maps[0].cursor.len();
    assert_eq!(known, 1);
    world.cut(1);
    world.server.begin_history();
    world.cut(0);
    world.server.hold_levels = true;
    world.connect_and_talk(1);
    world.server.tell_held(1, None);
    world.collect();
    world.connect_and_talk(0);
    world.server.records_sent = 0;
    world.write(0, (0..20).map(|n| put(&format!("k{n}"), 99)).collect());
    world.heal();
    assert_eq!(world.ended, [""; 0]);
    assert_eq!(world.devices[1].entries(), world.devices[0].entries());
}

#[test]
fn a_map_opened_on_a_connection_stands_in_its_history() {
    let mut world = World::with_devices(1);
    world.connect_and_talk(0);
    let other = MapName::new("other").unwrap();
    let device = &mut world.devices[0];
    device.replica.open_map(&other, Selector::All).unwrap();
    let write = LocalWrite {
        map: other.clone(),
        ..put("a", 1)
    };
    world.write(0, vec![write]);
    world.heal();
    world.cut(0);
    world.heard.clear();
    world.heal();
    let asked = world.heard.iter().find_map(|(_, message)| match message {
        Message::Subscribe(subscribe) if subscribe.map == other => Some(subscribe),
        _ => None,
    });
    let asked = asked.unwrap();
    assert_eq!(asked.history, world.server.history);
    assert_eq!(asked.cursor.len(), 4);
}

#[test]
fn late_words_about_a_view_that_was_left_do_no_harm() {
    let mut world = World::with_devices(2);
    world.write(1, vec![put("own/1", 1), put("b", 1)]);
    world.heal();
    // A map with a pending op is followed though the application has not opened it.
    world.cut(0);
    world.write(0, vec![put("own/2", 2)]);
    world.devices[0].restart_closed();
    world.connect(0);
    world.send_all(0);
    world.deliver_down(0);
    world.send_all(0);
    world.deliver_down(0);
    // Now it opens part of it, while the answers about the whole are under way.
    world.devices[0].selector = Selector::Prefix("own/".to_owned());
    world.devices[0].open();
    world.write(1, vec![put("b", 2)]);
    world.heal();
    assert_eq!(world.ended, [""; 0]);
    assert_eq!(
        world.devices[0].entries(),
        pairs(&[("own/1", 1), ("own/2", 2)])
    );
    let views: Vec<usize> = world
        .server
        .sessions
        .values()
        .map(|s| s.views.len())
        .collect();
    assert_eq!(views, [1, 1], "the view that was left is not followed");
}

#[test]
fn a_view_that_was_left_before_it_was_granted_is_given_back() {
    let mut world = World::with_devices(1);
    world.write(0, vec![put("own/1", 1), put("b", 1)]);
    world.heal();
    world.cut(0);
    world.write(0, vec![put("own/2", 2)]);
    world.devices[0].restart_closed();
    world.connect(0);
    world.send_all(0);
    world.deliver_down(0);
    world.send_all(0);
    world.devices[0].selector = Selector::Prefix("own/".to_owned());
    world.devices[0].open();
    world.heal();
    assert_eq!(world.ended, [""; 0]);
    assert_eq!(
        world.devices[0].entries(),
        pairs(&[("own/1", 1), ("own/2", 2)])
    );
    assert_eq!(world.server.session(0).views.len(), 1);
}

#[test]
fn an_op_whose_outcome_the_narrower_view_will_not_show_is_settled() {
    let mut world = World::with_devices(1);
    let key = world.key_in(0);
    world.write(0, vec![put(&key, 1)]);
    world.heal();
    world.cut(0);
    world.write(0, vec![put(&key, 2)]);
    world.devices[0].restart_closed();
    world.server.hold_levels = true;
    world.connect(0);
    world.send_all(0);
    world.deliver_down(0);
    world.send_all(0);
    let of_view = |message: &Message| matches!(message, Message::CaughtUp(_) | Message::Delta(_));
    world.receive_only(0, |message| !of_view(message));
    assert_eq!(world.devices[0].verdicts(1).len(), 1);
    assert_eq!(world.devices[0].replica.pending(), 1);
    world.devices[0].selector = Selector::Prefix("own/".to_owned());
    world.devices[0].open();
    assert_eq!(world.devices[0].replica.pending(), 0);
}

#[test]
fn a_map_that_was_refused_before_anybody_opened_it_is_asked_for_again() {
    let mut world = World::with_devices(1);
    world.write(0, vec![put("a", 1)]);
    world.heal();
    world.cut(0);
    world.write(0, vec![put("a", 2)]);
    world.devices[0].restart_closed();
    world.connect(0);
    world.send_all(0);
    world.deliver_down(0);
    let refused = SubscribeRefused {
        request: 1,
        reason: RejectReason::Forbidden,
        message: "no".to_owned(),
    };
    world.tell(0, Message::SubscribeRefused(refused)).unwrap();
    let now = world.now(0);
    while world.devices[0].replica.next_message(now).is_some() {}
    world.devices[0].open();
    let asked = world.devices[0].replica.next_message(now);
    assert!(matches!(asked, Some(Message::Subscribe(_))), "{asked:?}");
}

#[test]
fn a_server_that_claims_to_stand_where_nobody_was_is_not_believed() {
    let mut world = World::with_devices(1);
    world.connect(0);
    world.send_all(0);
    world.deliver_down(0);
    let definition = world.server.definition();
    let view = world.server.view_id(&map(), &Selector::All);
    let subscribed = Subscribed {
        request: 1,
        view,
        definition,
    };
    world.tell(0, Message::Subscribed(subscribed)).unwrap();
    let caught_up = CaughtUp {
        view,
        history: world.server.history,
        cursor: Vec::new(),
        root: 5,
        reset: false,
    };
    let error = world.tell(0, Message::CaughtUp(caught_up)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[test]
fn a_restored_server_is_followed_back() {
    let mut world = World::with_devices(2);
    world.write(0, vec![put("a", 1), put("b", 1)]);
    world.heal();
    let backup = world.server.partitions.clone();
    world.write(0, vec![put("a", 2), put("c", 2), remove("b")]);
    world.heal();
    world.cut(0);
    world.cut(1);
    world.server.partitions = backup;
    world.server.begin_history();
    world.heal();
    for device in &world.devices {
        assert_eq!(device.entries(), pairs(&[("a", 1), ("b", 1)]));
    }
    assert_eq!(world.ended, [""; 0]);
}

#[test]
fn a_device_below_the_horizon_learns_of_removals_it_never_heard_of() {
    let mut world = World::with_devices(2);
    world.server.rules.retention_ms = 4_000;
    world.write(0, vec![put("a", 1), put("b", 1)]);
    world.heal();
    world.cut(1);
    world.write(0, vec![remove("a")]);
    world.heal_only(0);
    for _ in 0..4 {
        world.pass(4_000);
        world.server.keep_house();
        world.collect();
        world.write(0, vec![put("c", 1)]);
        world.heal_only(0);
    }
    assert_eq!(world.devices[1].entries(), pairs(&[("a", 1), ("b", 1)]));
    world.heal();
    assert_eq!(world.devices[1].entries(), pairs(&[("b", 1), ("c", 1)]));
}

#[test]
fn what_waits_to_be_stored_is_measured_removals_too() {
    let mut world = World::with_devices(2);
    world.write(0, vec![put("a", 1), put("b", 1)]);
    world.heal();
    world.write(0, vec![remove("a")]);
    world.send_all(0);
    assert_eq!(world.devices[1].replica.unsaved_bytes(), 0);
    world.receive_all(1);
    assert!(world.devices[1].replica.unsaved_bytes() > 0);
    let now = world.now(1);
    world.devices[1].save(Vec::new(), now);
    assert_eq!(world.devices[1].replica.unsaved_bytes(), 0);
}
