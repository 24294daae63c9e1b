//! Servers that do not behave: what the client does about them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use grid_client::ConnectionState;
use grid_core::codec::CborCodec;
use grid_core::protocol::{
    Ack, Goodbye, Message, NumberRange, PROTOCOL_VERSION, Welcome, read_frame, write_frame,
};
use grid_core::traits::{CodecLimits, Connection, Listener, Transport, TransportCapabilities};
use grid_core::{Error, ErrorKind, History, PartitionId, Result, RunId, Sequence};
use grid_storage_memory::MemoryStorage;

use crate::world::{SERVER, URL, World, run};

pub(crate) fn frame(message: &Message) -> Bytes {
    let mut buffer = BytesMut::new();
    write_frame(&CborCodec, message, &mut buffer).unwrap();
    buffer.freeze()
}

fn welcome() -> Message {
    Message::Welcome(plain_welcome())
}

pub(crate) fn plain_welcome() -> Welcome {
    Welcome {
        version: PROTOCOL_VERSION,
        codec: CborCodec::NAME.to_owned(),
        now_ms: 1_700_000_000_000,
        history: History(7),
        partition_count: 13,
        digest_key: 5,
        max_value_bytes: 1024,
        push_window: 100,
        heartbeat_ms: 1_000,
    }
}

/// A transport on whose connections nobody ever answers, not even the call.
#[derive(Debug, Default)]
struct Nobody {
    calls: AtomicUsize,
}

#[async_trait]
impl Transport for Nobody {
    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities {
            listens: false,
            max_frame_bytes: 1024,
        }
    }

    async fn connect(&self, _url: &str) -> Result<Arc<dyn Connection>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    async fn listen(&self, _url: &str) -> Result<Arc<dyn Listener>> {
        let message = "it only calls";
        Err(Error::new(ErrorKind::Unsupported, "listen", message))
    }
}

#[test]
fn a_call_that_nobody_answers_is_given_up_and_made_again() {
    run(92, |world| async move {
        let nobody = Arc::new(Nobody::default());
        let device = world.device(0);
        let storage = Arc::new(MemoryStorage::open(&device.store).unwrap());
        let builder = world.builder(&device, storage).transport(nobody.clone());
        let grid = builder.open().await.unwrap();
        let map = grid.map::<u64>("m").unwrap();
        drop(map.put("k", &1).await.unwrap());
        world.sleep(Duration::from_secs(60)).await;
        let calls = nobody.calls.load(Ordering::SeqCst);
        assert!((4..=6).contains(&calls), "{calls} calls of ten seconds");
        world.soon("end", grid.close()).await.unwrap();
        assert_eq!(nobody.calls.load(Ordering::SeqCst), calls);
    });
}

/// How the next connection ends that is made to `answer`, which comes after the hello.
async fn reason(world: &World, answers: Vec<Message>) -> (String, Duration) {
    let listener = world.network.transport(SERVER).listen(URL).await.unwrap();
    let grid = world.open(&world.device(0)).await;
    let map = grid.map::<u64>("m").unwrap();
    drop(map.put("k", &1).await.unwrap());
    let connection = listener.accept().await.unwrap();
    let begun = world.elapsed();
    let mut frames = Vec::new();
    connection.receive(&mut frames, 1).await.unwrap();
    for answer in &answers {
        connection.send(&[frame(answer)]).await.unwrap();
    }
    let mut watch = grid.connection();
    let state = watch.until(|state| {
        matches!(
            state,
            ConnectionState::Offline { reason: Some(_) } | ConnectionState::Refused { .. }
        )
    });
    let state = world.soon("end of the connection", state).await;
    let lasted = world.elapsed() - begun;
    assert_eq!(grid.status().pending, 1, "nothing was decided");
    assert_eq!(map.get("k").unwrap(), Some(1));
    // It comes back.
    world.soon("return", listener.accept()).await.unwrap();
    world.soon("end", grid.close()).await.unwrap();
    listener.close().await;
    (format!("{state:?}"), lasted)
}

#[test]
fn a_server_that_breaks_the_protocol_decides_nothing() {
    run(93, |world| async move {
        let unwanted = Message::Welcome(Welcome {
            codec: "morse".to_owned(),
            ..plain_welcome()
        });
        let later = Message::Welcome(Welcome {
            version: PROTOCOL_VERSION + 1,
            ..plain_welcome()
        });
        let stray = Message::Ack(Ack {
            run: RunId(1),
            partition: PartitionId(0),
            sequence: Sequence(1),
            accepted: vec![NumberRange { first: 1, count: 9 }],
            exceptions: Vec::new(),
            window: None,
        });
        for (answers, part) in [
            (vec![unwanted], "morse"),
            (vec![later], "protocol 2"),
            (vec![Message::Pong(0)], "greeting comes first"),
            (vec![welcome(), welcome()], "greeting comes first"),
            (vec![welcome(), stray], "was not pushed"),
            (vec![welcome(), Message::Ping(7)], "lost, doubled"),
        ] {
            let (reason, _) = reason(&world, answers).await;
            assert!(reason.contains(part), "{reason}");
        }
    });
}

#[test]
fn a_server_that_goes_silent_is_given_up_after_three_heartbeats() {
    run(95, |world| async move {
        let (reason, lasted) = reason(&world, vec![welcome()]).await;
        assert!(reason.contains("gone silent"), "{reason}");
        let three = Duration::from_secs(3)..Duration::from_millis(3_500);
        assert!(three.contains(&lasted), "{lasted:?}");
    });
}

#[test]
fn a_silent_server_is_asked_after_one_heartbeat_whether_it_is_there() {
    run(96, |world| async move {
        let listener = world.network.transport(SERVER).listen(URL).await.unwrap();
        let grid = world.open(&world.device(0)).await;
        let connection = listener.accept().await.unwrap();
        greet(&connection).await;
        let begun = world.elapsed();
        let mut frames = Vec::new();
        world
            .soon("ping", connection.receive(&mut frames, 1))
            .await
            .unwrap();
        let asked = world.elapsed() - begun;
        let limits = CodecLimits::default();
        let message = read_frame(&CborCodec, frames.remove(0), &limits).unwrap();
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
        let one = Duration::from_secs(1)..Duration::from_millis(1_200);
        assert!(one.contains(&asked), "{asked:?}");
        // One that goes says so, so that the server need not wait for its silence.
        world.soon("end", grid.close()).await.unwrap();
        let mut last = Vec::new();
        while connection.receive(&mut last, 1).await.is_ok() {}
        let message = read_frame(&CborCodec, last.pop().unwrap(), &limits).unwrap();
        assert!(matches!(message, Message::Goodbye(_)), "{message:?}");
    });
}

#[test]
fn a_damaged_frame_ends_the_connection_by_name_and_the_client_returns_at_once() {
    run(95, |world| async move {
        let listener = world.network.transport(SERVER).listen(URL).await.unwrap();
        let grid = world.open(&world.device(0)).await;
        let connection = listener.accept().await.unwrap();
        greet(&connection).await;
        world.sleep(Duration::from_secs(2)).await;
        let mut damaged = BytesMut::from(&frame(&Message::Pong(0))[..]);
        damaged[2] ^= 16;
        connection.send(&[damaged.freeze()]).await.unwrap();
        let mut frames = Vec::new();
        while connection.receive(&mut frames, 8).await.is_ok() {}
        let limits = CodecLimits::default();
        let last = read_frame(&CborCodec, frames.pop().unwrap(), &limits).unwrap();
        let Message::Goodbye(goodbye) = last else {
            panic!("{last:?}");
        };
        assert_eq!(goodbye.code, 7, "{goodbye:?}");
        let begun = world.elapsed();
        let again = world.soon("return", listener.accept()).await.unwrap();
        assert!(world.elapsed() - begun < Duration::from_secs(1));
        let ConnectionState::Connecting = grid.connection_state() else {
            panic!("{:?}", grid.connection_state());
        };
        // A server that was sent a damaged frame tells the client so.
        greet(&again).await;
        let mut watch = grid.connection();
        let connected = watch.until(ConnectionState::is_connected);
        world.soon("welcome", connected).await;
        let goodbye = Message::Goodbye(Goodbye {
            code: 7,
            message: "damaged".to_owned(),
        });
        again.send(&[frame(&goodbye)]).await.unwrap();
        let offline = |state: &ConnectionState| matches!(state, ConnectionState::Offline { .. });
        let state = world.soon("end", watch.until(offline)).await;
        assert!(
            format!("{state:?}").contains("corrupt, code: 7"),
            "{state:?}"
        );
    });
}

#[test]
fn a_token_that_comes_while_the_server_greets_is_renewed_and_one_that_expired_is_told() {
    run(96, |world| async move {
        let listener = world.network.transport(SERVER).listen(URL).await.unwrap();
        let grid = world.open(&world.device(0)).await;
        let connection = listener.accept().await.unwrap();
        let mut frames = Vec::new();
        connection.receive(&mut frames, 1).await.unwrap();
        grid.set_token("new");
        connection.send(&[frame(&welcome())]).await.unwrap();
        frames.clear();
        connection.receive(&mut frames, 1).await.unwrap();
        let limits = CodecLimits::default();
        let message = read_frame(&CborCodec, frames.remove(0), &limits).unwrap();
        let token = "new".to_owned();
        assert_eq!(message, Message::Renew { token });
        let goodbye = Message::Goodbye(Goodbye {
            code: 2,
            message: "the token has expired".to_owned(),
        });
        connection.send(&[frame(&goodbye)]).await.unwrap();
        let mut watch = grid.connection();
        let refused = |state: &ConnectionState| matches!(state, ConnectionState::Refused { .. });
        let state = world.soon("refusal", watch.until(refused)).await;
        assert!(format!("{state:?}").contains("has expired"), "{state:?}");
        // And is tried again, should it be the clock that was wrong.
        world.soon("return", listener.accept()).await.unwrap();
    });
}

#[test]
fn a_server_that_never_greets_is_given_up() {
    run(94, |world| async move {
        let (reason, lasted) = reason(&world, Vec::new()).await;
        assert!(reason.contains("did not answer the greeting"), "{reason}");
        let ten = Duration::from_secs(10)..Duration::from_secs(12);
        assert!(ten.contains(&lasted), "{lasted:?}");
    });
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
