use bytes::Bytes;
use grid_core::protocol::{Hello, Message, Refused};
use grid_server::SharedToken;
use std::sync::Arc;
use std::time::Duration;

use super::support::{World, alien_hello, hello, run, welcome_of};

async fn refusal(world: &World, first: Bytes) -> Refused {
    let mut client = world.connect().await;
    client.send_raw(first).await;
    match client.farewell().await {
        Some(Message::Refused(refused)) => refused,
        other => panic!("no refusal: {other:?}"),
    }
}

#[test]
fn a_client_that_says_who_it_is_is_told_what_it_needs() {
    run(|world| async move {
        let server = world.start().await;
        let mut client = world.connect().await;
        client.send(&hello(world.now_ms())).await;
        let welcome = welcome_of(client.next().await);
        assert_eq!(welcome.codec, "cbor");
        assert_eq!(welcome.partition_count, 13);
        assert_eq!(welcome.now_ms, world.now_ms());
        assert_eq!(welcome.push_window, world.settings.push_window);
        assert_eq!(server.url().as_deref(), Some("memory:server"));
    });
}

#[test]
fn who_does_not_speak_the_protocol_is_refused_by_name() {
    run(|world| async move {
        let _server = world.start().await;
        let stranger = refusal(&world, Bytes::from_static(b"GET / HTTP/1.1")).await;
        assert_eq!(stranger.code, 5);
        assert!(stranger.message.contains("no grid client"), "{stranger:?}");
        assert!(!stranger.retryable);
        let future = refusal(&world, alien_hello(0)).await;
        assert_eq!(future.code, 1);
        assert!(future.message.contains("update"), "{future:?}");
        let empty = refusal(&world, Bytes::new()).await;
        assert_eq!(empty.code, 5);
        let long = refusal(&world, Bytes::from(vec![b'G'; 200_000])).await;
        assert_eq!(long.code, 5);
        assert!(long.message.contains("200000 bytes"), "{long:?}");
        // Everybody else is served as before.
        world.client().await;
    });
}

#[test]
fn versions_and_codecs_are_agreed_or_refused() {
    run(|world| async move {
        let _server = world.start().await;
        let with = |change: fn(&mut Hello)| {
            let Message::Hello(mut hello) = hello(world.now_ms()) else {
                unreachable!();
            };
            change(&mut hello);
            Message::Hello(hello)
        };
        let mut newer = world.connect().await;
        newer.send(&with(|hello| hello.max_version = 9)).await;
        assert_eq!(welcome_of(newer.next().await).version, 1);
        for (change, code) in [
            (
                (|hello: &mut Hello| {
                    hello.min_version = 7;
                    hello.max_version = 9;
                }) as fn(&mut Hello),
                1,
            ),
            (
                |hello: &mut Hello| hello.codecs = vec!["morse".to_owned()],
                6,
            ),
        ] {
            let mut client = world.connect().await;
            client.send(&with(change)).await;
            let Some(Message::Refused(refused)) = client.farewell().await else {
                panic!("no refusal");
            };
            assert_eq!(refused.code, code, "{refused:?}");
        }
    });
}

#[test]
fn who_lacks_the_token_is_refused_and_the_token_is_not_repeated() {
    run(|world| async move {
        let door = Arc::new(SharedToken::new("s3cret"));
        let _server = world.start_with(world.builder().authenticator(door)).await;
        for (token, code) in [(None, 2), (Some("wr0ng"), 2), (Some("s3cret"), 0)] {
            let Message::Hello(mut hello) = hello(world.now_ms()) else {
                unreachable!();
            };
            hello.token = token.map(str::to_owned);
            let mut client = world.connect().await;
            client.send(&Message::Hello(hello)).await;
            match client.next().await {
                Message::Welcome(_) => assert_eq!(code, 0),
                Message::Refused(refused) => {
                    assert_eq!(refused.code, code);
                    assert!(!refused.message.contains("s3cret"), "{refused:?}");
                    assert!(!refused.message.contains("wr0ng"), "{refused:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    run(|world| async move {
        let _server = world.start().await;
        let mut client = world.connect().await;
        let before = world.now_ms();
        let Some(Message::Refused(refused)) = client.farewell().await else {
            panic!("no refusal");
        };
        assert!(refused.message.contains("in time"), "{refused:?}");
        assert_eq!(world.now_ms() - before, world.settings.handshake_timeout_ms);
    });
}

#[test]
fn no_more_connections_than_there_are_seats() {
    run(|mut world| async move {
        world.settings.max_connections = 1;
        let _server = world.start().await;
        let first = world.client().await;
        let mut second = world.connect().await;
        second.send(&hello(world.now_ms())).await;
        let Some(Message::Refused(refused)) = second.farewell().await else {
            panic!("no refusal");
        };
        assert_eq!((refused.code, refused.retryable), (3, true));
        first.connection.close().await;
        world.sleep(Duration::from_millis(1)).await;
        world.client().await;
    });
}
