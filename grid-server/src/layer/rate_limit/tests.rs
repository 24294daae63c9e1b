use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::Runtime;
use grid_core::{ErrorKind, Namespace, RunId};

use super::{RateLimitLayer, Rates};
use crate::layer::testing::{around, call, handed_on, push, read, simulated, unsubscribe};
use crate::sessions::Session;

const HEARTBEAT: Duration = Duration::from_secs(10);

fn limits(client: u32, namespace: u32, runtime: &Arc<dyn Runtime>) -> RateLimitLayer {
    RateLimitLayer::new(Rates { client, namespace }, runtime, HEARTBEAT).unwrap()
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
        // A second's worth at once, then a hundred a second, of which jitter costs some.
        assert!((900..=1120).contains(&taken), "{taken}");
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
        // A debt for longer than it may wait ends the connection.
        drop(call(&mut service, push(&session, 1, 2)));
        runtime.sleep(Duration::from_millis(500)).await;
        drop(call(&mut service, push(&session, 1, 20)));
        let error = call(&mut service, read(&session)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
    });
}

#[test]
fn one_that_sends_much_at_once_waits_no_longer_for_its_turn() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let layer = limits(0, 100, &runtime);
        let until = runtime.monotonic() + Duration::from_secs(60);
        let clients = [("big", 100), ("a", 1), ("b", 1), ("c", 1), ("d", 1)];
        let taking = clients.map(|(name, ops)| {
            let (runtime, layer) = (runtime.clone(), layer.clone());
            async move {
                let (mut service, mut handle) = around(&layer);
                let session = Session::of(name, &Namespace::default());
                let mut pushes = 0;
                while runtime.monotonic() < until {
                    let served = call(&mut service, push(&session, 1, ops));
                    let request = handed_on(&mut handle).unwrap();
                    served.await.unwrap();
                    match request.put_off {
                        None => pushes += 1,
                        Some(put_off) => runtime.sleep(put_off.retry_after).await,
                    }
                }
                pushes
            }
        });
        let pushes = futures::future::join_all(taking).await;
        let ops: u64 = clients
            .iter()
            .zip(&pushes)
            .map(|((_, ops), n)| ops * n)
            .sum();
        assert!((5900..=6200).contains(&ops), "{ops} in 60 s: {pushes:?}");
        assert!(pushes.iter().all(|pushes| *pushes >= 10), "{pushes:?}");
    });
}

#[test]
fn what_is_not_taken_in_any_case_costs_nothing() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let (mut service, mut handle) = around(&limits(10, 0, &runtime));
        let session = Session::for_tests();
        let mut passes = |request| {
            drop(call(&mut service, request));
            handed_on(&mut handle).unwrap().put_off.is_none()
        };
        let mut put_off = push(&session, 1, 10);
        put_off.put_off("by another layer", Duration::ZERO);
        assert!(!passes(put_off));
        session.deferred().insert(RunId(7), 1);
        assert!(passes(push(&session, 11, 10)), "it is dropped further in");
        session.deferred().clear();
        assert!(passes(push(&session, 1, 10)), "all of the room is left");
        assert!(!passes(push(&session, 11, 1)));
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
        assert!(RateLimitLayer::new(none, &runtime, HEARTBEAT).is_none());
        assert_eq!(none.burst(), None);
        assert_eq!(Rates { client: 5, ..none }.burst(), Some(5));
        let both = Rates {
            client: 5,
            namespace: 3,
        };
        assert_eq!(both.burst(), Some(3));
    });
}

#[test]
fn nothing_waits_for_so_long_that_its_client_misses_heartbeats() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let heartbeat = Duration::from_millis(100);
        let rates = Rates {
            client: 2,
            namespace: 0,
        };
        let layer = RateLimitLayer::new(rates, &runtime, heartbeat).unwrap();
        let (mut service, mut handle) = around(&layer);
        let session = Session::for_tests();
        for _ in 0..2 {
            let served = call(&mut service, read(&session));
            assert!(handed_on(&mut handle).is_some());
            served.await.unwrap();
        }
        // There is room in half a second, which is five heartbeats.
        let began = runtime.monotonic();
        let error = call(&mut service, read(&session)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(runtime.monotonic() - began <= heartbeat * 2);
    });
}
