use std::time::Duration;

use futures::FutureExt;
use grid_core::ErrorKind;

use super::LoadShedLayer;
use crate::layer::testing::{around, call, handed_on, push, read, unsubscribe};
use crate::sessions::Session;
use crate::support::now;

#[test]
fn what_waits_is_bounded_over_all_connections_and_the_rest_is_put_off() {
    let (ada, eve) = (Session::for_tests(), Session::for_tests());
    let most = 4 * push(&ada, 1, 10).bytes();
    let layer = LoadShedLayer::new(most, Duration::from_millis(250));
    let (mut of_ada, mut ada_handle) = around(&layer);
    let (mut of_eve, mut eve_handle) = around(&layer);
    let mut waiting: Vec<_> = (0..4)
        .map(|place| call(&mut of_ada, push(&ada, 1 + 10 * place, 10)))
        .collect();
    // It is handed on all the same, so that it gets its answer in its turn.
    let shed = call(&mut of_eve, push(&eve, 1, 1));
    let request = handed_on(&mut eve_handle).unwrap();
    assert_eq!(request.put_off.unwrap().retry_after.as_millis(), 250);
    now(shed).unwrap();
    let error = now(call(&mut of_eve, read(&eve))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    let freeing = call(&mut of_eve, unsubscribe(&eve));
    assert!(handed_on(&mut eve_handle).is_some());
    now(freeing).unwrap();

    // One is done with, another one's connection is gone: there is room for two again.
    assert!(handed_on(&mut ada_handle).is_some());
    now(waiting.remove(0)).unwrap();
    drop(waiting.pop());
    let mut taken = Vec::new();
    for first in [1, 11, 21] {
        taken.push(call(&mut of_eve, push(&eve, first, 10)));
        let request = handed_on(&mut eve_handle).unwrap();
        assert_eq!(request.put_off.is_none(), first < 21);
    }
}

#[test]
fn one_that_is_larger_than_the_bound_is_taken_when_nothing_else_waits() {
    let layer = LoadShedLayer::new(1, Duration::from_millis(250));
    let (mut service, mut handle) = around(&layer);
    let session = Session::for_tests();
    let mut taken = call(&mut service, push(&session, 1, 10));
    assert!((&mut taken).now_or_never().is_none(), "it waits");
    let error = now(call(&mut service, read(&session))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(handed_on(&mut handle).unwrap().put_off.is_none());
    now(taken).unwrap();
}
