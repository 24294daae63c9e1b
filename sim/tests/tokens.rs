//! A token that expires in the middle of everything: a renewal in time goes unnoticed, one that is
//! late or refused costs the connection, and nothing else.

use std::ops::Range;

use grid_core::protocol::Message;
use grid_testkit::scenario::{
    Event, Fault, Outcome, Simulation, TimedEvent, TimedFault, device_party, server_party,
};
use grid_testkit::sim::FrameFate;

/// When the app of the first device gets a token that expires, in milliseconds.
const AT_MS: u64 = 2000;
/// How long that token is good.
const LIVES_MS: u64 = 1500;
/// The longest that a frame is under way, and a server may take to look again.
const SLACK_MS: u64 = 600;

/// A run in which nothing else goes wrong.
fn run(renewed_after_ms: u64, refused_ms: u64) -> Outcome {
    let simulation = Simulation::new("one token");
    let mut plan = simulation.plan(3);
    let fault = Fault::ExpireToken {
        device: 0,
        lives_ms: LIVES_MS,
        renewed_after_ms,
        refused_ms,
    };
    plan.faults = vec![TimedFault {
        at_ms: AT_MS,
        fault,
    }];
    let outcome = simulation.record(3, &plan);
    assert_eq!(outcome.failure, None);
    outcome
}

/// When the first device sent, or was sent, such messages, in milliseconds.
fn times(outcome: &Outcome, wanted: impl Fn(&Message) -> bool) -> Vec<u64> {
    let device = device_party(0);
    let parties = [(device, server_party(0)), (server_party(0), device)];
    let time = |happened: &TimedEvent| match &happened.event {
        Event::Frame {
            from,
            to,
            fate: FrameFate::Sent,
            message: Some(message),
            ..
        } if parties.contains(&(*from, *to)) && wanted(message) => {
            u64::try_from(happened.at.as_millis()).ok()
        }
        _ => None,
    };
    outcome.events.iter().filter_map(time).collect()
}

fn is_hello(message: &Message) -> bool {
    matches!(message, Message::Hello(_))
}

fn is_renewal(message: &Message) -> bool {
    matches!(message, Message::Renew { .. })
}

fn is_unauthorized(message: &Message) -> bool {
    match message {
        Message::Goodbye(goodbye) => goodbye.code == 2,
        Message::Refused(refused) => refused.code == 2,
        _ => false,
    }
}

fn pushes_in(outcome: &Outcome, span: Range<u64>) -> usize {
    let pushes = times(outcome, |message| matches!(message, Message::Push(_)));
    pushes.iter().filter(|at| span.contains(at)).count()
}

#[test]
fn a_renewal_in_time_goes_unnoticed() {
    let outcome = run(LIVES_MS - SLACK_MS, 0);
    assert_eq!(times(&outcome, is_hello).len(), 1, "one connection");
    assert_eq!(times(&outcome, is_renewal).len(), 2);
    assert!(times(&outcome, is_unauthorized).is_empty());
    let expiry = AT_MS + LIVES_MS;
    assert!(pushes_in(&outcome, expiry..expiry + 5000) > 0);
}

#[test]
fn a_renewal_that_is_late_costs_the_connection_and_nothing_else() {
    let late_ms = 2000;
    let outcome = run(LIVES_MS + late_ms, 0);
    let refusals = times(&outcome, is_unauthorized);
    let expiry = AT_MS + LIVES_MS;
    assert!(
        (expiry..expiry + SLACK_MS).contains(&refusals[0]),
        "{refusals:?}"
    );
    // No op is taken in between, and the last connection is by the new token.
    let between = refusals[0] + SLACK_MS..expiry + late_ms;
    assert_eq!(pushes_in(&outcome, between), 0);
    let hellos = times(&outcome, is_hello);
    let last = hellos[hellos.len() - 1];
    assert!(
        (expiry + late_ms..expiry + late_ms + SLACK_MS).contains(&last),
        "{hellos:?}"
    );
    assert!(pushes_in(&outcome, last..last + 5000) > 0);
}

#[test]
fn a_new_token_that_is_refused_for_a_while_is_tried_again() {
    let refused_ms = 2500;
    let outcome = run(500, refused_ms);
    let refusals = times(&outcome, is_unauthorized);
    let renewed = AT_MS + 500;
    assert!(
        (renewed..renewed + SLACK_MS).contains(&refusals[0]),
        "{refusals:?}"
    );
    assert!(
        refusals
            .iter()
            .all(|at| *at < renewed + refused_ms + SLACK_MS)
    );
    let hellos = times(&outcome, is_hello);
    assert!(
        hellos[hellos.len() - 1] >= renewed + refused_ms,
        "{hellos:?}"
    );
}
