use std::time::Duration;

use grid_core::codec::CborCodec;
use grid_core::protocol::{Message, read_frame};
use grid_core::traits::CodecLimits;

use super::support::run;

#[test]
fn a_silent_client_is_asked_and_then_let_go() {
    run(|world| async move {
        let _server = world.start().await;
        let client = world.client().await;
        let before = world.now_ms();
        let mut pings = 0;
        let mut frames = Vec::new();
        // The welcome, and then the pings.
        let received = client.received.clone();
        // Read, but never answer.
        while client.connection.receive(&mut frames, 1).await.is_ok() {
            for frame in frames.drain(..) {
                let before = received.chain();
                received.add(&frame);
                match read_frame(&CborCodec, frame, &CodecLimits::default()).unwrap() {
                    Message::Ping(sent) => {
                        pings += 1;
                        assert_eq!(sent, before, "the welcome and the pings before it");
                    }
                    Message::Goodbye(goodbye) => {
                        assert!(goodbye.message.contains("nothing was heard"), "{goodbye:?}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(pings, 2);
        assert_eq!(world.now_ms() - before, 3 * world.settings.heartbeat_ms);
    });
}

#[test]
fn a_client_that_answers_stays() {
    run(|world| async move {
        let _server = world.start().await;
        let mut client = world.client().await;
        let mut listener = world.client().await;
        let until = world.now_ms() + 20 * world.settings.heartbeat_ms;
        let (sent, received) = (client.sent.chain(), client.received.chain());
        client.send(&Message::Ping(sent)).await;
        assert_eq!(client.next().await, Message::Pong(received));
        let patience = Duration::from_millis(world.settings.heartbeat_ms);
        while world.now_ms() < until {
            listener.answer_pings(patience).await;
            client.answer_pings(patience).await;
        }
        client.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        client.acks(1).await;
    });
}

#[test]
fn a_chain_that_does_not_fit_ends_the_connection() {
    run(|world| async move {
        let _server = world.start().await;
        let mut client = world.client().await;
        client.send(&Message::Ping(7)).await;
        let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
            panic!("no goodbye");
        };
        assert!(goodbye.message.contains("lost, doubled"), "{goodbye:?}");
    });
}
