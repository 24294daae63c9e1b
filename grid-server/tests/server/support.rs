//! A server in a simulated world, and clients that speak the protocol by hand.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{Either, select};
use grid_core::codec::CborCodec;
use grid_core::op::{Action, Op};
use grid_core::protocol::{
    Ack, Deferred, Hello, MAGIC, Message, Push, Selector, Subscribe, ViewId, Welcome, read_frame,
    seal_frame, write_frame,
};
use grid_core::traits::{CodecLimits, Connection, Journal, Persistence, Runtime, Transport};
use grid_core::{History, Hlc, Key, MapAddress, MapName, Namespace, PartitionId, RunId, Sequence};
use grid_server::{MemoryJournal, Server, ServerBuilder, Settings};
use grid_storage_memory::MemoryPersistence;
use grid_testkit::sim::{Executor, PartyId, SimRuntime};
use grid_transport_memory::{MemoryHub, MemoryTransport};

/// Steps after which a test counts as stuck.
const MAX_STEPS: u64 = 2_000_000;
/// Virtual time after which something that is awaited counts as missing.
const PATIENCE: Duration = Duration::from_secs(120);
/// Virtual time between two looks at something that is awaited.
const STEP: Duration = Duration::from_millis(10);
const SERVER: PartyId = PartyId(1);
const CLIENTS: PartyId = PartyId(2);
const URL: &str = "memory:server";

/// Everything around a server.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) executor: Executor,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) persistence: Arc<dyn Persistence>,
    transport: MemoryTransport,
    pub(crate) settings: Settings,
}

/// Runs `test` in a world of its own.
pub(crate) fn run<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(World) -> F) {
    let seed = 7;
    let executor = Executor::new(seed);
    let world = World {
        executor: executor.clone(),
        journal: Arc::new(MemoryJournal::new()),
        persistence: Arc::new(MemoryPersistence::new()),
        transport: MemoryTransport::new(MemoryHub::new()),
        settings: Settings {
            workers: 2,
            partition_count: 13,
            map_spread: 3,
            ..Settings::default()
        },
    };
    executor.block_on(CLIENTS, MAX_STEPS, test(world));
}

impl World {
    pub(crate) fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(SimRuntime::new(&self.executor, SERVER))
    }

    /// A server's parts, without a listener.
    pub(crate) fn builder(&self) -> ServerBuilder {
        Server::builder()
            .runtime(self.runtime())
            .journal(self.journal.clone())
            .persistence(self.persistence.clone())
            .settings(self.settings.clone())
    }

    pub(crate) async fn start(&self) -> Server {
        self.start_with(self.builder()).await
    }

    pub(crate) async fn try_start(&self) -> grid_core::Result<Server> {
        let listener = self.transport.listen(URL).await.unwrap();
        self.builder().listen(listener).start().await
    }

    pub(crate) async fn start_with(&self, builder: ServerBuilder) -> Server {
        let listener = self.transport.listen(URL).await.unwrap();
        builder.listen(listener).start().await.unwrap()
    }

    /// Ends every task of the server where it stands, and frees its address.
    pub(crate) fn kill(&self, server: Server) {
        self.executor.crash(SERVER);
        drop(server);
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.client_runtime().sleep(time).await;
    }

    /// Waits until something is so; `wrong` is what is wrong if it never is.
    pub(crate) async fn wait_until(&self, wrong: &str, is_so: impl Fn() -> bool) {
        let begun = self.executor.now();
        while !is_so() {
            let waited = self.executor.now() - begun;
            assert!(waited < PATIENCE, "{wrong} within {waited:?}");
            self.sleep(STEP).await;
        }
    }

    fn client_runtime(&self) -> SimRuntime {
        SimRuntime::new(&self.executor, CLIENTS)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.client_runtime().now_ms()
    }

    /// A connection of which nothing was sent yet.
    pub(crate) async fn connect(&self) -> Client {
        let connection = self.transport.connect(URL).await.unwrap();
        Client {
            world: self.clone(),
            connection,
            arrived: VecDeque::new(),
            pushed: std::collections::BTreeMap::new(),
            sent: Arc::default(),
            received: Arc::default(),
            next_request: 0,
        }
    }

    /// A connection with its handshake done.
    pub(crate) async fn client(&self) -> Client {
        let mut client = self.connect().await;
        client.send(&hello(self.now_ms())).await;
        let Message::Welcome(_) = client.next().await else {
            panic!("no welcome");
        };
        client
    }

    pub(crate) fn put(&self, run: u64, number: u64, map: &str, key: &str, value: &[u8]) -> Op {
        Op {
            hlc: Hlc::new(self.now_ms(), u16::try_from(number % 60_000).unwrap()),
            map: MapName::new(map).unwrap(),
            key: Key::new(key).unwrap(),
            action: Action::Put {
                value: cbor(value),
                ttl_ms: None,
            },
            ..grid_testkit::op(RunId(run), number)
        }
    }
}

/// `bytes` as a CBOR byte string.
pub(crate) fn cbor(bytes: &[u8]) -> Bytes {
    let mut buffer = BytesMut::new();
    grid_core::codec::Writer::new(&mut buffer).bytes(bytes);
    buffer.freeze()
}

pub(crate) fn address(map: &str) -> MapAddress {
    MapAddress {
        namespace: Namespace::default(),
        map: MapName::new(map).unwrap(),
    }
}

pub(crate) fn hello(now_ms: u64) -> Message {
    Message::Hello(Hello {
        min_version: 1,
        max_version: 1,
        codecs: vec!["cbor".to_owned()],
        namespace: Namespace::default(),
        token: None,
        run: RunId(1),
        now_ms,
    })
}

/// A client that does what the test says, and nothing else but to answer pings.
pub(crate) struct Client {
    world: World,
    pub(crate) connection: Arc<dyn Connection>,
    arrived: VecDeque<Bytes>,
    pushed: std::collections::BTreeMap<RunId, u64>,
    /// What went over the connection, by direction.
    pub(crate) sent: Arc<Traffic>,
    pub(crate) received: Arc<Traffic>,
    next_request: u32,
}

/// What went over a connection in one direction.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    bytes: AtomicU64,
    frames: AtomicU64,
    chain: std::sync::Mutex<grid_core::protocol::FrameChain>,
}

impl Traffic {
    pub(crate) fn add(&self, frame: &Bytes) {
        self.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.chain.lock().unwrap().add(frame);
    }

    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn chain(&self) -> u64 {
        self.chain.lock().unwrap().value()
    }
}

impl Client {
    pub(crate) async fn send(&mut self, message: &Message) {
        let mut buffer = BytesMut::new();
        write_frame(&CborCodec, message, &mut buffer).unwrap();
        self.send_raw(buffer.freeze()).await;
    }

    pub(crate) async fn send_raw(&mut self, frame: Bytes) {
        self.sent.add(&frame);
        // A server that has closed the connection shows in what is received.
        let _ = self.connection.send(&[frame]).await;
    }

    /// Pushes ops of one run, following on what was pushed before.
    pub(crate) async fn push(&mut self, ops: Vec<Op>) {
        let run = ops[0].id.run;
        let last = ops.last().unwrap().id.number;
        let previous = self.pushed.insert(run, last).unwrap_or(0);
        self.send(&Message::Push(Push {
            run,
            resume: false,
            previous,
            ops,
        }))
        .await;
    }

    /// Pushes again after a refusal.
    pub(crate) async fn resume(&mut self, ops: Vec<Op>) {
        self.resume_from(0, ops).await;
    }

    /// Pushes again after a refusal from `first` on, of which the first ops have verdicts by now.
    pub(crate) async fn resume_from(&mut self, first: u64, ops: Vec<Op>) {
        let run = ops[0].id.run;
        self.pushed.insert(run, ops.last().unwrap().id.number);
        self.send(&Message::Push(Push {
            run,
            resume: true,
            previous: first,
            ops,
        }))
        .await;
    }

    /// The next message that is no ping; none once the connection is closed.
    pub(crate) async fn try_next(&mut self) -> Option<Message> {
        let mut patience = self.world.client_runtime().sleep(PATIENCE);
        loop {
            if self.arrived.is_empty() {
                let mut frames = Vec::new();
                let received = self.connection.receive(&mut frames, 64);
                match select(received, &mut patience).await {
                    Either::Left((Ok(()), _)) => {}
                    Either::Left((Err(_), _)) => return None,
                    Either::Right(_) => panic!("nothing came for {PATIENCE:?}"),
                }
                for frame in frames {
                    self.received.add(&frame);
                    self.arrived.push_back(frame);
                }
            }
            let frame = self.arrived.pop_front().unwrap();
            let message = read_frame(&CborCodec, frame, &CodecLimits::default()).unwrap();
            match message {
                Message::Ping(_) => {
                    let pong = Message::Pong(self.sent.chain());
                    self.send(&pong).await;
                }
                message => return Some(message),
            }
        }
    }

    /// Answers pings for a while, in which nothing else comes.
    pub(crate) async fn answer_pings(&mut self, time: Duration) {
        let runtime = self.world.client_runtime();
        let until = runtime.sleep(time);
        let next = self.try_next();
        futures::pin_mut!(next);
        if let Either::Left((message, _)) = select(next, until).await {
            panic!("{message:?}");
        }
    }

    pub(crate) async fn next(&mut self) -> Message {
        self.try_next().await.expect("the connection was closed")
    }

    /// The next message that `wanted` takes; others are dropped.
    pub(crate) async fn wait_for<T>(&mut self, wanted: impl Fn(&Message) -> Option<T>) -> T {
        loop {
            let message = self.next().await;
            if let Some(found) = wanted(&message) {
                return found;
            }
        }
    }

    /// The verdicts of `ops` ops; other messages are dropped.
    pub(crate) async fn acks(&mut self, ops: u64) -> Vec<Ack> {
        let mut acks = Vec::new();
        let mut seen = 0;
        while seen < ops {
            let ack = self
                .wait_for(|message| match message {
                    Message::Ack(ack) => Some(ack.clone()),
                    _ => None,
                })
                .await;
            seen += ack.exceptions.len() as u64;
            seen += ack.accepted.iter().map(|range| range.count).sum::<u64>();
            acks.push(ack);
        }
        acks
    }

    pub(crate) async fn deferred(&mut self) -> Deferred {
        self.wait_for(|message| match message {
            Message::Deferred(deferred) => Some(deferred.clone()),
            _ => None,
        })
        .await
    }

    /// Asks for a view, and returns its number; what was told before is dropped.
    pub(crate) async fn subscribe(
        &mut self,
        map: &str,
        selector: Selector,
        history: History,
        cursor: Vec<(PartitionId, Sequence)>,
    ) -> ViewId {
        self.next_request += 1;
        let request = self.next_request;
        self.send(&Message::Subscribe(Subscribe {
            request,
            map: MapName::new(map).unwrap(),
            selector,
            history,
            cursor,
        }))
        .await;
        self.wait_for(|message| match message {
            Message::Subscribed(subscribed) if subscribed.request == request => {
                Some(subscribed.view)
            }
            _ => None,
        })
        .await
    }

    /// Waits until the server has closed the connection, and returns its last words.
    pub(crate) async fn farewell(&mut self) -> Option<Message> {
        let mut last = None;
        while let Some(message) = self.try_next().await {
            last = Some(message);
        }
        last
    }
}

/// The first frame of a client that speaks another version.
pub(crate) fn alien_hello(version: u16) -> Bytes {
    let mut buffer = BytesMut::from(&MAGIC[..]);
    buffer.extend_from_slice(&version.to_be_bytes());
    buffer.extend_from_slice(b"\x80");
    seal_frame(&mut buffer, 0).unwrap();
    buffer.freeze()
}

pub(crate) fn welcome_of(message: Message) -> Welcome {
    match message {
        Message::Welcome(welcome) => welcome,
        other => panic!("no welcome: {other:?}"),
    }
}
