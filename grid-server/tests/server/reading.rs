use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use grid_core::op::Op;
use grid_core::protocol::{Message, Read, ReadTarget, RejectReason, Selector};
use grid_core::traits::{Authenticated, Authenticator, Decision, Policy, Principal};
use grid_core::{Error, ErrorKind, History, Key, MapName, Namespace};
use grid_server::{GatewayLayer, GatewayService, Request};
use tower::{Service, ServiceExt};

use super::support::{Client, World, hello, run};

async fn read(client: &mut Client, map: &str, target: ReadTarget) -> Message {
    client
        .send(&Message::Read(Read {
            request: 5,
            map: MapName::new(map).unwrap(),
            target,
        }))
        .await;
    client.next().await
}

#[test]
fn pages_and_entries_are_read_without_subscribing() {
    run(|world| async move {
        let _server = world.start().await;
        let mut client = world.client().await;
        let ops = (1..=9).map(|n| world.put(9, n, "m", &format!("k{n}"), b"v"));
        client.push(ops.collect()).await;
        client.acks(9).await;
        let page = |after: Option<&str>, limit| ReadTarget::Page {
            selector: Selector::All,
            after: after.map(|key| Key::new(key).unwrap()),
            limit,
        };
        let mut seen = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let target = page(after.as_deref(), 4);
            let Message::ReadResult(result) = read(&mut client, "m", target).await else {
                panic!("no result");
            };
            assert_eq!(result.request, 5);
            seen.extend(result.records.iter().map(|r| r.key.to_string()));
            if !result.more {
                break;
            }
            after = seen.last().cloned();
        }
        let all: Vec<String> = (1..=9).map(|n| format!("k{n}")).collect();
        assert_eq!(seen, all);
        let one = ReadTarget::Key(Key::new("k3").unwrap());
        let Message::ReadResult(result) = read(&mut client, "m", one).await else {
            panic!("no result");
        };
        assert_eq!((result.records.len(), result.more), (1, false));
    });
}

#[test]
fn a_read_sees_the_push_that_went_before_it_on_its_connection() {
    run(|world| async move {
        let _server = world.start().await;
        let mut client = world.client().await;
        for number in 1..=20 {
            let key = format!("k{number}");
            client
                .push(vec![world.put(9, number, "m", &key, b"v")])
                .await;
            let target = ReadTarget::Key(Key::new(&key).unwrap());
            client
                .send(&Message::Read(Read {
                    request: 5,
                    map: MapName::new("m").unwrap(),
                    target,
                }))
                .await;
            let found = client
                .wait_for(|message| match message {
                    Message::ReadResult(result) => Some(result.records.len()),
                    _ => None,
                })
                .await;
            assert_eq!(found, 1, "{key}");
        }
    });
}

#[test]
fn values_near_the_frame_bound_are_read_and_told_one_by_one() {
    run(|mut world| async move {
        world.settings.max_value_bytes = 1_000_000;
        world.settings.send_queue_bytes = 4_000_000;
        let _server = world.start().await;
        let mut client = world.client().await;
        for number in 1..=4 {
            let op = world.put(9, number, "m", &format!("k{number}"), &vec![1; 990_000]);
            client.push(vec![op]).await;
            client.acks(1).await;
        }
        let page = ReadTarget::Page {
            selector: Selector::All,
            after: None,
            limit: 100,
        };
        let Message::ReadResult(result) = read(&mut client, "m", page).await else {
            panic!("no result");
        };
        assert_eq!((result.records.len(), result.more), (1, true));
        client
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        let mut held = super::catching_up::Held::default();
        held.catch_up(&mut client, 3).await;
        assert_eq!(held.records.len(), 4);
    });
}

#[derive(Debug)]
struct Closed;

impl Policy for Closed {
    fn may_write(&self, _principal: &Principal, _op: &Op) -> Decision {
        Decision::Allow
    }

    fn may_read(&self, principal: &Principal, map: &MapName) -> Decision {
        if map.as_str() == "secret" {
            return Decision::Deny(format!("not for {}", principal.name));
        }
        Decision::Allow
    }
}

#[test]
fn a_policy_denies_reads_and_the_connection_goes_on() {
    run(|world| async move {
        let builder = world.builder().policy(Arc::new(Closed));
        let _server = world.start_with(builder).await;
        let mut client = world.client().await;
        let key = || ReadTarget::Key(Key::new("k").unwrap());
        let Message::SubscribeRefused(refused) = read(&mut client, "secret", key()).await else {
            panic!("no refusal");
        };
        assert_eq!(
            (refused.request, refused.reason),
            (5, RejectReason::Forbidden)
        );
        assert_eq!(refused.message, "not for anonymous");
        let open = read(&mut client, "open", key()).await;
        assert!(matches!(open, Message::ReadResult(_)));
    });
}

#[test]
fn a_program_may_wrap_the_pipeline_in_a_layer_of_its_own() {
    run(|world| async move {
        let seen = Arc::new(AtomicUsize::new(0));
        let count = seen.clone();
        let layer = tower::layer::layer_fn(move |inner: GatewayService| {
            let count = count.clone();
            tower::service_fn(move |request: Request| {
                count.fetch_add(1, Ordering::SeqCst);
                let mut inner = inner.clone();
                async move {
                    if request.session.principal().name != "anonymous" {
                        return Err(Error::new(ErrorKind::Forbidden, "guard", "go away"));
                    }
                    inner.ready().await?.call(request).await
                }
            })
        });
        let builder = world.builder().layer(GatewayLayer::new(layer));
        let _server = world.start_with(builder).await;
        let mut client = world.client().await;
        client.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        client.acks(1).await;
        assert_eq!(seen.load(Ordering::SeqCst), 1);
    });
}

/// Lets in whoever names themselves: `name:expiry`, in milliseconds since 1970 or empty for never.
#[derive(Debug)]
struct ByName;

#[async_trait]
impl Authenticator for ByName {
    async fn authenticate(
        &self,
        token: Option<&str>,
        namespace: &Namespace,
    ) -> grid_core::Result<Authenticated> {
        let (name, expiry) = token.and_then(|token| token.split_once(':')).unzip();
        let name = name
            .filter(|name| !name.is_empty())
            .ok_or_else(|| Error::new(ErrorKind::Unauthorized, "authenticate", "name yourself"))?;
        Ok(Authenticated {
            principal: Principal {
                name: name.to_owned(),
                namespace: namespace.clone(),
            },
            expires_at_ms: expiry.and_then(|expiry| expiry.parse().ok()),
        })
    }
}

async fn named(world: &World, token: &str) -> Client {
    let Message::Hello(mut hello) = hello(world.now_ms()) else {
        unreachable!();
    };
    hello.token = Some(token.to_owned());
    let mut client = world.connect().await;
    client.send(&Message::Hello(hello)).await;
    client.next().await;
    client
}

#[test]
fn a_token_is_renewed_on_a_live_connection_but_only_by_its_owner() {
    run(|world| async move {
        let builder = world.builder().authenticator(Arc::new(ByName));
        let _server = world.start_with(builder).await;
        let mut ada = named(&world, "ada:").await;
        let renew = |token: &str| Message::Renew {
            token: token.to_owned(),
        };
        ada.send(&renew("ada:")).await;
        ada.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        ada.acks(1).await;
        // Another principal may not push the run either.
        let mut eve = named(&world, "eve:").await;
        eve.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        let ack = eve.acks(1).await.remove(0);
        assert_eq!(ack.exceptions.len(), 1);
        for wrong in ["eve:", ""] {
            let mut ada = named(&world, "ada:").await;
            ada.send(&renew(wrong)).await;
            let Some(Message::Goodbye(goodbye)) = ada.farewell().await else {
                panic!("no goodbye");
            };
            assert_eq!(goodbye.code, 2, "{goodbye:?}");
        }
    });
}

#[test]
fn a_token_that_expires_ends_its_connection_unless_it_is_renewed() {
    run(|world| async move {
        let builder = world.builder().authenticator(Arc::new(ByName));
        let _server = world.start_with(builder).await;
        let expiring = |ms: u64| format!("ada:{}", world.now_ms() + ms);
        let heartbeat = world.settings.heartbeat_ms;

        // It says nothing, and is not left to listen either.
        let mut idle = named(&world, &expiring(heartbeat / 4)).await;
        let before = world.now_ms();
        let Some(Message::Goodbye(goodbye)) = idle.farewell().await else {
            panic!("no goodbye");
        };
        assert_eq!(goodbye.code, 2, "{goodbye:?}");
        assert!(goodbye.message.contains("expired"), "{goodbye:?}");
        assert!(world.now_ms() - before <= heartbeat / 2);

        let mut renewed = named(&world, &expiring(heartbeat / 4)).await;
        let token = expiring(3 * heartbeat);
        renewed.send(&Message::Renew { token }).await;
        renewed
            .answer_pings(Duration::from_millis(2 * heartbeat))
            .await;
        renewed.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        renewed.acks(1).await;
        let Some(Message::Goodbye(goodbye)) = renewed.farewell().await else {
            panic!("the second token expires too");
        };
        assert_eq!(goodbye.code, 2, "{goodbye:?}");

        let mut late = world.connect().await;
        let Message::Hello(mut hello) = hello(world.now_ms()) else {
            unreachable!();
        };
        hello.token = Some(format!("ada:{}", world.now_ms()));
        late.send(&Message::Hello(hello)).await;
        let Some(Message::Refused(refused)) = late.farewell().await else {
            panic!("an expired token lets nobody in");
        };
        assert_eq!(refused.code, 2, "{refused:?}");
    });
}

#[test]
fn one_seed_makes_one_history() {
    let traces: Vec<u64> = (0..3)
        .map(|_| {
            let trace = Arc::new(std::sync::atomic::AtomicU64::new(0));
            let seen = trace.clone();
            run(move |world| async move {
                let server = world.start().await;
                let mut clients = Vec::new();
                for id in 1..=5u64 {
                    let mut client = world.client().await;
                    client
                        .subscribe("m", Selector::All, History(0), Vec::new())
                        .await;
                    let ops = (1..=20).map(|n| world.put(id, n, "m", &format!("k{n}"), b"v"));
                    client.push(ops.collect()).await;
                    clients.push(client);
                }
                for client in &mut clients {
                    client.acks(20).await;
                }
                server.shutdown().await.unwrap();
                seen.store(world.executor.trace_hash(), Ordering::SeqCst);
            });
            trace.load(Ordering::SeqCst)
        })
        .collect();
    assert_eq!(traces[0], traces[1]);
    assert_eq!(traces[0], traces[2]);
}
