use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use grid_core::ErrorKind;
use grid_core::traits::Runtime;

use super::TimeoutLayer;
use crate::layer::testing::{around, call, handed_on, read, simulated};
use crate::sessions::Session;

#[test]
fn a_request_that_takes_too_long_fails_and_is_let_go() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let layer = TimeoutLayer::new(runtime.clone(), Duration::from_secs(3));
        let (mut service, mut handle) = around(&layer);
        let began = runtime.monotonic();
        let stuck = call(&mut service, read(&Session::for_tests()));
        let (_request, answer) = handle.next_request().await.unwrap();
        let error = stuck.await.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_retryable()),
            (ErrorKind::Timeout, true)
        );
        assert!(error.to_string().contains("3000 ms"), "{error}");
        assert_eq!(runtime.monotonic() - began, Duration::from_secs(3));
        // Nobody waits for the answer any more; one that comes changes nothing.
        answer.send_response(());
    });
}

#[test]
fn one_that_is_done_in_time_is_done() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let layer = TimeoutLayer::new(runtime.clone(), Duration::from_secs(3));
        let (mut service, mut handle) = around(&layer);
        let mut served = call(&mut service, read(&Session::for_tests()));
        assert!((&mut served).now_or_never().is_none());
        runtime.sleep(Duration::from_millis(2999)).await;
        assert!((&mut served).now_or_never().is_none());
        assert!(handed_on(&mut handle).is_some());
        served.await.unwrap();
    });
}
