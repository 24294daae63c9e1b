use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::Runtime;
use grid_core::{ErrorKind, Namespace};

use super::{RateLimitLayer, Rates};
use crate::layer::testing::{around, call, handed_on, push, read, simulated, unsubscribe};
use crate::sessions::Session;

fn limits(client: u32, namespace: u32, runtime: &Arc<dyn Runtime>) -> RateLimitLayer {
    RateLimitLayer::new(Rates { client, namespace }, runtime).unwrap()
}

#[test]
fn a_client_gets_as_many_ops_a_second_as_it_may() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let (mut service, mut handle) = around(&limits(100, 0, &runtime));
        let session = Session::for_tests();
        let (mut taken, mut next) = (0, 1);
        let until = runtime.monotonic() + Duration::from_secs(10);
        while runtime.monotonic() < until {
            let served = call(&mut service, push(&session, next, 20));
            let request = handed_on(&mut handle).unwrap();
            served.await.unwrap();
            match request.put_off {
                None => {
                    taken += 20;
                    next += 20;
                }
                // It says how long, and then there is room.
                Some(put_off) => runtime.sleep(put_off.retry_after).await,
            }
        }
        // A second's worth at once, then a hundred a second.
        assert!((1080..=1100).contains(&taken), "{taken}");
    });
}

#[test]
fn clients_are_apart_and_a_namespace_is_bounded_as_a_whole() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let (mut service, mut handle) = around(&limits(50, 80, &runtime));
        let (here, there) = (Namespace::default(), Namespace::new("there").unwrap());
        let mut takes = |name: &str, namespace: &Namespace, ops| {
            let session = Session::of(name, namespace);
            let served = call(&mut service, push(&session, 1, ops));
            drop(served);
            handed_on(&mut handle).unwrap().put_off.is_none()
        };
        assert!(takes("ada", &here, 50));
        assert!(
            !takes("ada", &here, 1),
            "another connection is the same client"
        );
        assert!(
            takes("eve", &here, 30),
            "what ada was refused cost nobody else"
        );
        assert!(!takes("eve", &here, 1), "the namespace has had its 80");
        assert!(takes("ada", &there, 50), "another namespace's ada");
    });
}

#[test]
fn what_asks_for_data_waits_a_little_and_what_gives_back_never() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let (mut service, mut handle) = around(&limits(2, 0, &runtime));
        let session = Session::for_tests();
        for _ in 0..2 {
            let served = call(&mut service, read(&session));
            assert!(handed_on(&mut handle).is_some());
            served.await.unwrap();
        }
        let freeing = call(&mut service, unsubscribe(&session));
        assert!(handed_on(&mut handle).is_some());
        freeing.await.unwrap();
        let began = runtime.monotonic();
        let waiting = call(&mut service, read(&session));
        let ((), request) = futures::join!(async { waiting.await.unwrap() }, async {
            let (request, answer) = handle.next_request().await.unwrap();
            answer.send_response(());
            request
        });
        assert!(request.put_off.is_none());
        let waited = runtime.monotonic() - began;
        assert_eq!(waited.as_millis(), 500);
    });
}

#[test]
fn what_can_never_be_taken_ends_the_connection_and_says_how_much_can() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let (mut service, mut handle) = around(&limits(10, 0, &runtime));
        let session = Session::for_tests();
        let error = call(&mut service, push(&session, 1, 11)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(error.to_string().contains("10"), "{error}");
        assert!(handed_on(&mut handle).is_none());
    });
}

#[test]
fn clients_that_have_all_their_room_back_are_forgotten() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let layer = limits(1000, 0, &runtime);
        let (mut service, _handle) = around(&layer);
        let mut most = 0;
        for number in 0..40_000 {
            let session = Session::of(&format!("client {number}"), &Namespace::default());
            drop(call(&mut service, read(&session)));
            if number % 1000 == 0 {
                runtime.sleep(Duration::from_secs(2)).await;
            }
            most = most.max(layer.limits.known_clients());
        }
        assert!(most <= 10_000, "{most} clients are remembered");
    });
}

#[test]
fn without_a_limit_there_is_no_layer() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let none = Rates {
            client: 0,
            namespace: 0,
        };
        assert!(RateLimitLayer::new(none, &runtime).is_none());
        assert_eq!(none.burst(), None);
        assert_eq!(Rates { client: 5, ..none }.burst(), Some(5));
        let both = Rates {
            client: 5,
            namespace: 3,
        };
        assert_eq!(both.burst(), Some(3));
    });
}
