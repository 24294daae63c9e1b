//! A whole server, with a client that sends anything.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use grid_core::codec::{CborCodec, write_hello};
use grid_core::protocol::{Hello, Message, read_frame, seal_frame, unseal_frame, write_frame};
use grid_core::traits::{CodecLimits, Transport};
use grid_core::{Key, MapAddress, MapName, Namespace, Result, RunId};
use grid_server::{MemoryJournal, Server, Settings};
use grid_storage_memory::MemoryPersistence;
use grid_testkit::sim::{Executor, PartyId, SimRuntime};
use grid_transport_memory::{MemoryHub, MemoryTransport};

use crate::conversation::{self, NOW_MS};
use crate::script::Script;
use crate::target::{Seed, Target};
use crate::wire;

pub(super) const TARGET: Target = Target {
    name: "gateway",
    promise: "whatever a client sends, the server goes on, and others read and write as before",
    run,
    seeds,
};

const URL: &str = "memory:fuzz";
/// More steps than any input takes.
const MAX_STEPS: u64 = 200_000;
/// Most frames in one input.
const MOST_FRAMES: usize = 60;

fn run(data: &[u8]) {
    let frames = frames(&mut Script::new(data));
    let executor = Executor::new(1);
    let runtime = Arc::new(SimRuntime::new(&executor, PartyId(0)));
    executor.block_on(PartyId(0), MAX_STEPS, async move {
        let tried = attempt(&frames, runtime).await;
        tried.expect("the server serves others");
    });
    // Tasks that wait for ever hold the world, and the world holds them.
    executor.crash(PartyId(0));
}

/// What the client sends: a hello, mostly, and then anything.
fn frames(script: &mut Script<'_>) -> Vec<Bytes> {
    let mut frames = Vec::new();
    if !script.rarely(8) {
        frames.push(hello(1 + u64::from(script.below(3))));
    }
    while !script.is_over() && frames.len() < MOST_FRAMES {
        frames.push(match script.below(8) {
            // Mostly with a check that is right: else nothing of it is read.
            0 if script.rarely(8) => script.bytes(600).into(),
            0 => sealed(&script.bytes(600)),
            1 => hello(script.number()),
            _ => match encode(&conversation::of_client(script)) {
                Some(frame) => frame,
                // It is more than any client could send.
                None => continue,
            },
        });
    }
    frames
}

fn hello(run: u64) -> Bytes {
    let hello = Hello {
        min_version: 1,
        max_version: 1,
        codecs: vec!["cbor".to_owned()],
        namespace: Namespace::default(),
        token: None,
        run: RunId(run),
        now_ms: NOW_MS,
    };
    let mut frame = BytesMut::new();
    write_hello(&hello, &mut frame).expect("a good hello");
    frame.freeze()
}

fn sealed(content: &[u8]) -> Bytes {
    let mut frame = BytesMut::from(content);
    seal_frame(&mut frame, 0).expect("it is short");
    frame.freeze()
}

fn encode(message: &Message) -> Option<Bytes> {
    let mut frame = BytesMut::new();
    write_frame(&CborCodec, message, &mut frame).ok()?;
    Some(frame.freeze())
}

async fn attempt(frames: &[Bytes], runtime: Arc<SimRuntime>) -> Result<()> {
    let transport = MemoryTransport::new(MemoryHub::new());
    let server = Server::builder()
        .runtime(runtime)
        .journal(Arc::new(MemoryJournal::new()))
        .persistence(Arc::new(MemoryPersistence::new()))
        .listen(transport.listen(URL).await?)
        .settings(Settings {
            workers: 2,
            partition_count: 4,
            map_spread: 2,
            max_views: 4,
            ..Settings::default()
        })
        .start()
        .await?;
    let todos = MapAddress {
        namespace: Namespace::default(),
        map: MapName::new("todos")?,
    };
    let key = Key::new("t1")?;
    let handle = server.handle();
    handle.put(&todos, &key, vec![1].into()).await?;
    offend(&transport, frames).await?;

    // Another client is welcome, and its neighbour's noise has changed nothing of its own.
    let connection = transport.connect(URL).await?;
    connection.send(&[hello(77)]).await?;
    let mut answers = Vec::new();
    connection.receive(&mut answers, 1).await?;
    connection.close().await;
    let record = handle.get(&todos, &key).await?;
    assert_eq!(record.and_then(|record| record.value), Some(vec![1].into()));
    handle.put(&todos, &key, vec![2].into()).await?;
    server.shutdown().await
}

/// Sends the frames, and reads what comes, until the server has had enough or all was sent.
async fn offend(transport: &MemoryTransport, frames: &[Bytes]) -> Result<()> {
    let connection = transport.connect(URL).await?;
    let mut answers = Vec::new();
    for frame in frames {
        if connection.send(std::slice::from_ref(frame)).await.is_err() {
            break;
        }
    }
    // A goodbye is answered by the end of the connection, after all that came before it.
    let goodbye = Message::Goodbye(grid_core::protocol::Goodbye {
        code: 0,
        message: String::new(),
    });
    let goodbye = encode(&goodbye).expect("a good message");
    // The server may have ended the connection itself.
    let _sent = connection.send(&[goodbye]).await;
    while connection.receive(&mut answers, 16).await.is_ok() {
        check_answers(&answers);
        answers.clear();
    }
    connection.close().await;
    Ok(())
}

/// What a server says can be read.
fn check_answers(answers: &[Bytes]) {
    for answer in answers {
        let read = read_frame(&CborCodec, answer.clone(), &CodecLimits::default());
        read.expect("an answer of the server");
    }
}

fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, message) in wire::messages() {
        let frame = encode(&message).and_then(|frame| unseal_frame(frame).ok());
        let frame = frame.expect("it fits");
        let length = u16::try_from(frame.len()).expect("it is short");
        let parts: [&[u8]; 3] = [&[0, 0, 0, 0], &length.to_le_bytes(), &frame];
        seeds.push(Seed::new(name, parts.concat()));
    }
    for number in [1_u16, 40, 150] {
        let bytes = (0..300_u16).map(|place| (place.wrapping_mul(57) ^ number).to_le_bytes()[0]);
        let name = format!("talk-{number}");
        seeds.push(Seed::new(name, bytes.collect::<Vec<_>>()));
    }
    seeds
}
