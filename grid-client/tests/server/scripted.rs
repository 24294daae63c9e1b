//! Servers that do not behave: what the client does about them.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use grid_core::History;
use grid_core::codec::CborCodec;
use grid_core::protocol::{Message, PROTOCOL_VERSION, Welcome};
use grid_core::traits::{Codec, Connection};

use crate::world::{SERVER, URL, World, run};

fn frame(message: &Message) -> Bytes {
    let mut buffer = BytesMut::new();
    CborCodec.encode(message, &mut buffer).unwrap();
    buffer.freeze()
}

fn welcome() -> Message {
    Message::Welcome(Welcome {
        version: PROTOCOL_VERSION,
        codec: CborCodec::NAME.to_owned(),
        now_ms: 1_700_000_000_000,
        history: History(7),
        partition_count: 13,
        digest_key: 5,
        max_value_bytes: 1024,
        push_window: 100,
        heartbeat_ms: 1_000,
    })
}

/// Reads the hello and says welcome.
async fn greet(connection: &Arc<dyn Connection>) {
    let mut frames = Vec::new();
    connection.receive(&mut frames, 1).await.unwrap();
    connection.send(&[frame(&welcome())]).await.unwrap();
}

/// Counts the connections that come within `time` and ends each of them `after` its welcome.
async fn fickle(world: &World, time: Duration, after: Duration) -> usize {
    let listener = world.network.transport(SERVER).listen(URL).await.unwrap();
    let end = world.elapsed() + time;
    let mut count = 0;
    loop {
        let left = world
            .runtime(SERVER)
            .sleep(end.saturating_sub(world.elapsed()));
        let accepted = std::pin::pin!(listener.accept());
        let connection = match futures::future::select(left, accepted).await {
            futures::future::Either::Left(_) => return count,
            futures::future::Either::Right((connection, _)) => connection.unwrap(),
        };
        count += 1;
        greet(&connection).await;
        world.sleep(after).await;
        connection.close().await;
    }
}

#[test]
fn a_server_that_lets_in_and_throws_out_is_asked_less_and_less_often() {
    run(90, |world| async move {
        let grid = world.open(&world.device(0)).await;
        let moment = Duration::from_millis(5);
        let count = fickle(&world, Duration::from_secs(300), moment).await;
        assert!((10..=40).contains(&count), "{count} in five minutes");
        drop(grid);
    });
}

#[test]
fn a_server_that_goes_after_it_served_for_a_while_is_asked_again_at_once() {
    run(91, |world| async move {
        let grid = world.open(&world.device(0)).await;
        let while_ = Duration::from_millis(2_500);
        let count = fickle(&world, Duration::from_secs(300), while_).await;
        assert!(count >= 100, "{count} in five minutes");
        drop(grid);
    });
}
