//! Every scene, in every order of steps where there are few enough, else in many.
//!
//! A scene that fails prints the schedule that replays it: hand it to `shuttle::replay`.

use grid_interleavings::scenes::{accepting, ending, piping, sending};

/// Orders that are tried of a scene which has too many.
const ORDERS: usize = 5_000;
/// Places at which a thread is interrupted against its priority.
const INTERRUPTIONS: usize = 3;

/// Tries a scene: all orders up to a bound, orders by chance, and such with few interruptions,
/// which find what needs a rare place.
fn try_all(scene: fn()) {
    shuttle::check_dfs(scene, Some(ORDERS));
    shuttle::check_random(scene, ORDERS);
    shuttle::check_pct(scene, ORDERS, INTERRUPTIONS);
}

#[test]
fn every_caller_is_accepted() {
    try_all(accepting::every_caller_is_accepted);
}

#[test]
fn nobody_waits_at_a_closed_listener() {
    try_all(accepting::nobody_waits_at_a_closed_listener);
}

#[test]
fn what_is_sent_arrives_and_then_the_end() {
    try_all(piping::what_is_sent_arrives_and_then_the_end);
}

#[test]
fn a_sender_learns_that_the_receiver_is_gone() {
    try_all(piping::a_sender_learns_that_the_receiver_is_gone);
}

#[test]
fn every_task_hears_of_the_end() {
    try_all(ending::every_task_hears_of_the_end);
}

#[test]
fn a_worker_that_is_refused_is_told() {
    try_all(sending::a_worker_that_is_refused_is_told);
}

#[test]
fn who_waits_for_room_goes_on() {
    try_all(sending::who_waits_for_room_goes_on);
}

#[test]
fn every_partition_is_level_once() {
    try_all(sending::every_partition_is_level_once);
}
