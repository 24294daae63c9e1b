use std::time::Duration;

use grid_core::protocol::Message;
use grid_core::{ErrorKind, RunId};

use super::DeferLayer;
use crate::layer::Request;
use crate::layer::testing::{around, call, handed_on, push, read};
use crate::sessions::Session;
use crate::support::now;

fn later(mut request: Request) -> Request {
    request.put_off("not now", Duration::from_micros(1500));
    request.put_off("a layer further in", Duration::ZERO);
    request
}

#[test]
fn a_push_that_was_put_off_and_those_behind_it_come_again_in_order() {
    let (mut service, mut handle) = around(&DeferLayer);
    let session = Session::for_tests();
    session.ops_read(100);
    let mut passes = |request| {
        let served = call(&mut service, request);
        let passes = handed_on(&mut handle).is_some();
        now(served).unwrap();
        passes
    };
    assert!(passes(push(&session, 1, 4)));
    assert!(!passes(later(push(&session, 5, 4))));
    assert!(!passes(push(&session, 9, 4)), "it was on its way already");
    assert!(!passes(later(push(&session, 13, 4))), "and this one");
    assert!(passes(push(&session, 5, 4)), "the client has come back");
    assert!(passes(push(&session, 9, 4)));
    assert!(passes(read(&session)));

    let [Message::Deferred(deferred)] = &session.queued()[..] else {
        panic!("one answer, to the one that was put off");
    };
    assert_eq!((deferred.run.0, deferred.from), (7, 5));
    assert_eq!(deferred.retry_after_ms, 2, "no sooner than was said");
    assert_eq!(deferred.message, "not now", "what was said first stands");
    // Of the hundred that were read, three pushes of four have their answer.
    assert_eq!(session.ops_read(0), 88);
}

#[test]
fn anything_else_that_was_put_off_ends_its_connection() {
    let (mut service, mut handle) = around(&DeferLayer);
    let error = now(call(&mut service, later(read(&Session::for_tests())))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.is_retryable());
    assert!(handed_on(&mut handle).is_none());
}

#[test]
fn a_push_that_comes_back_may_lack_what_has_its_verdict_by_then() {
    let (mut service, mut handle) = around(&DeferLayer);
    let session = Session::for_tests();
    session.ops_read(100);
    let mut passes = |mut request: Request, from: Option<u64>| {
        if let (Message::Push(push), Some(from)) = (&mut request.message, from) {
            push.resume = true;
            push.previous = from;
        }
        let served = call(&mut service, request);
        let passes = handed_on(&mut handle).is_some();
        now(served).unwrap();
        passes
    };
    // A worker put off 1 to 4 as well, and what came late was put off here.
    assert!(!passes(later(push(&session, 5, 4)), None));
    assert!(passes(push(&session, 1, 4), Some(1)));
    assert!(passes(push(&session, 5, 4), None), "this copy is answered");
    assert!(!passes(later(push(&session, 5, 4)), Some(5)));
    assert!(!passes(push(&session, 9, 4), None), "it was on its way");
    assert!(
        passes(push(&session, 9, 4), Some(5)),
        "5 to 8 have their verdicts"
    );
}

#[test]
fn runs_are_put_off_apart_and_a_released_one_is_forgotten() {
    let (mut service, mut handle) = around(&DeferLayer);
    let session = Session::for_tests();
    session.ops_read(100);
    let mut passes = |request| {
        drop(call(&mut service, request));
        handed_on(&mut handle).is_some()
    };
    let of = |run, mut request: Request| {
        if let Message::Push(push) = &mut request.message {
            push.run = RunId(run);
        }
        request
    };
    assert!(!passes(of(7, later(push(&session, 1, 2)))));
    assert!(passes(of(8, push(&session, 3, 2))));
    assert!(!passes(of(7, push(&session, 3, 2))));
    assert!(passes(Request::new(
        session.clone(),
        Message::Release(RunId(7))
    )));
    assert!(session.deferred().is_empty());
}

#[test]
fn a_push_that_comes_back_and_is_put_off_again_is_to_come_back_to_where_it_did() {
    let (mut service, _handle) = around(&DeferLayer);
    let session = Session::for_tests();
    session.ops_read(100);
    let mut request = later(push(&session, 6, 4));
    if let Message::Push(push) = &mut request.message {
        (push.resume, push.previous) = (true, 5);
    }
    now(call(&mut service, request)).unwrap();
    let [Message::Deferred(deferred)] = &session.queued()[..] else {
        panic!("one answer");
    };
    assert_eq!(deferred.from, 5, "a worker may wait for it there");
}
