//! What users plug into a simulation takes part in it, and what is wrong with it is found.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::partition::Veto;
use grid_core::protocol::{Message, RejectReason};
use grid_core::traits::{
    AddressedRecord, Codec, CodecLimits, Connection, Listener, Persistence, Resolution, Resolver,
    StateRecord, Transport, TransportCapabilities,
};
use grid_core::{PartitionId, Record, Result};
use grid_server::{GatewayLayer, GatewayService, Request, Settings};
use grid_storage_memory::MemoryPersistence;
use grid_testkit::hooks::{HookedPersistence, PersistenceHooks};
use grid_testkit::scenario::{Check, Database, Device, FinalState, Simulation, Turn, Workload};

const SEEDS: std::ops::Range<u64> = 0..12;

fn holds(simulation: &Simulation) {
    let summary = simulation.sweep(SEEDS, 0);
    let failure = summary.failures.first().map(ToString::to_string);
    assert_eq!(failure, None);
}

/// What the first failure among the seeds is.
fn breaks(simulation: &Simulation) -> String {
    let summary = simulation.sweep(SEEDS, 0);
    let failing = summary.failures.into_iter().next();
    let failure = failing.and_then(|outcome| outcome.failure);
    failure.unwrap_or_else(|| panic!("it is wrong, and nobody noticed"))
}

/// CBOR back to front.
#[derive(Debug, Clone, Default)]
struct Mirror {
    frames: Arc<AtomicUsize>,
}

impl Codec for Mirror {
    fn name(&self) -> &'static str {
        "mirror"
    }

    fn encode(&self, message: &Message, buffer: &mut BytesMut) -> Result<()> {
        self.frames.fetch_add(1, Ordering::Relaxed);
        let start = buffer.len();
        CborCodec.encode(message, buffer)?;
        buffer[start..].reverse();
        Ok(())
    }

    fn decode(&self, frame: Bytes, limits: &CodecLimits) -> Result<Message> {
        let frame: Bytes = frame.iter().rev().copied().collect();
        CborCodec.decode(frame, limits)
    }
}

#[test]
fn a_codec_of_ones_own_carries_the_frames() {
    let mirror = Mirror::default();
    holds(&Simulation::new("mirror").codec(mirror.clone()));
    assert!(mirror.frames.load(Ordering::Relaxed) > 1000);
}

/// CBOR, and how often somebody was put off.
#[derive(Debug, Clone, Default)]
struct Counting {
    put_off: Arc<AtomicUsize>,
}

impl Codec for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn encode(&self, message: &Message, buffer: &mut BytesMut) -> Result<()> {
        let put_off = usize::from(matches!(message, Message::Deferred(_)));
        self.put_off.fetch_add(put_off, Ordering::Relaxed);
        CborCodec.encode(message, buffer)
    }

    fn decode(&self, frame: Bytes, limits: &CodecLimits) -> Result<Message> {
        CborCodec.decode(frame, limits)
    }
}

#[test]
fn what_limits_put_off_comes_again_and_nothing_is_lost() {
    let limits: [fn(&mut Settings); 3] = [
        |settings| settings.client_ops_per_second = 2,
        |settings| settings.namespace_ops_per_second = 4,
        // Only what comes while something else waits is put off by this one.
        |settings| settings.waiting_bytes = 1,
    ];
    for limit in limits {
        let counting = Counting::default();
        let limited = Simulation::new("limits").codec(counting.clone());
        holds(&limited.settings(limit));
        let put_off = counting.put_off.load(Ordering::Relaxed);
        assert!(put_off > 0, "nothing was put off");
    }
}

/// Everybody bids, nobody takes a bid back.
#[derive(Debug)]
struct Auction;

#[async_trait]
impl Workload for Auction {
    fn maps(&self) -> Vec<String> {
        vec!["bids".to_owned()]
    }

    async fn run(&self, device: &Device, turn: &Turn) -> Check {
        let lot = format!("lot-{}", turn.below(3));
        device.put("bids", &lot, &turn.below(1_000_000)).await
    }

    fn check(&self, state: &FinalState) -> Check {
        if state.is_empty() {
            return Err("nobody bid".to_owned());
        }
        Ok(())
    }
}

/// The bid in a record; bids are CBOR numbers, whose order is not that of their bytes.
fn bid(record: &Record) -> u64 {
    let value = record.value.as_ref();
    value
        .and_then(|value| ciborium::from_reader(&**value).ok())
        .unwrap_or_default()
}

/// The highest bid wins, however late it arrives.
#[derive(Debug)]
struct HighestWins;

impl Resolver for HighestWins {
    fn name(&self) -> &'static str {
        "highest-wins"
    }

    fn resolve(&self, current: &Record, incoming: &Record) -> Resolution {
        let order = (bid(incoming), incoming.stamp).cmp(&(bid(current), current.stamp));
        if order.is_gt() {
            Resolution::TakeIncoming
        } else {
            Resolution::KeepCurrent
        }
    }
}

/// Whoever comes last wins: no merge rule, because the outcome depends on the order.
#[derive(Debug)]
struct LastToArriveWins;

impl Resolver for LastToArriveWins {
    fn name(&self) -> &'static str {
        "last-to-arrive-wins"
    }

    fn resolve(&self, _current: &Record, _incoming: &Record) -> Resolution {
        Resolution::TakeIncoming
    }
}

#[test]
fn a_merge_rule_of_ones_own_says_what_all_agree_on() {
    holds(
        &Simulation::new("auction")
            .workload(Auction)
            .resolver(HighestWins),
    );
}

#[test]
fn a_merge_rule_that_depends_on_the_order_is_found_out() {
    let auction = Simulation::new("auction").workload(Auction);
    let failure = breaks(&auction.resolver(LastToArriveWins));
    assert!(failure.contains("last-to-arrive-wins"), "{failure}");
}

/// Refuses every write of the keys that start with `k1`.
#[derive(Clone)]
struct Closed(GatewayService);

impl tower::Service<Request> for Closed {
    type Response = ();
    type Error = grid_core::Error;
    type Future = <GatewayService as tower::Service<Request>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if let Message::Push(push) = &request.message {
            let closed = push.ops.iter().enumerate();
            let closed = closed.filter(|(_, op)| op.key.as_str().starts_with("k1"));
            request.vetoes.extend(closed.map(|(place, _)| {
                let veto = Veto {
                    reason: RejectReason::Forbidden,
                    message: "closed for the holidays".to_owned(),
                };
                (place, veto)
            }));
        }
        self.0.call(request)
    }
}

#[derive(Debug)]
struct Shop;

#[async_trait]
impl Workload for Shop {
    fn maps(&self) -> Vec<String> {
        vec!["shop".to_owned()]
    }

    async fn run(&self, device: &Device, turn: &Turn) -> Check {
        let key = format!("k{}", turn.below(3));
        device.put("shop", &key, &turn.number()).await
    }

    fn check(&self, state: &FinalState) -> Check {
        let keys: Vec<&str> = state.keys().map(|(_, key)| key.as_str()).collect();
        if keys == ["k0", "k2"] {
            return Ok(());
        }
        Err(format!("the shop has {keys:?}"))
    }
}

#[test]
fn a_layer_of_ones_own_refuses_what_it_wants() {
    let shop = Simulation::new("shop").workload(Shop);
    holds(
        &shop
            .clone()
            .layer(GatewayLayer::new(tower::layer::layer_fn(Closed))),
    );
    assert!(breaks(&shop).contains("the shop has"));
}

/// Loses every thirtieth frame, and tells nobody.
#[derive(Debug)]
struct Leaky {
    inner: Arc<dyn Transport>,
    lost: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct LeakyConnection {
    inner: Arc<dyn Connection>,
    sent: AtomicUsize,
    lost: Arc<AtomicUsize>,
}

#[async_trait]
impl Transport for Leaky {
    fn capabilities(&self) -> TransportCapabilities {
        self.inner.capabilities()
    }

    async fn connect(&self, url: &str) -> Result<Arc<dyn Connection>> {
        Ok(Arc::new(LeakyConnection {
            inner: self.inner.connect(url).await?,
            sent: AtomicUsize::new(0),
            lost: self.lost.clone(),
        }))
    }

    async fn listen(&self, url: &str) -> Result<Arc<dyn Listener>> {
        self.inner.listen(url).await
    }
}

#[async_trait]
impl Connection for LeakyConnection {
    fn peer(&self) -> String {
        self.inner.peer()
    }

    async fn send(&self, frames: &[Bytes]) -> Result<()> {
        for frame in frames {
            if self.sent.fetch_add(1, Ordering::Relaxed) % 30 == 29 {
                self.lost.fetch_add(1, Ordering::Relaxed);
            } else {
                self.inner.send(std::slice::from_ref(frame)).await?;
            }
        }
        Ok(())
    }

    async fn receive(&self, frames: &mut Vec<Bytes>, limit: usize) -> Result<()> {
        self.inner.receive(frames, limit).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[test]
fn a_transport_of_ones_own_may_lose_frames() {
    let lost = Arc::<AtomicUsize>::default();
    let counted = lost.clone();
    holds(&Simulation::new("leaky").transport(move |inner| {
        let lost = counted.clone();
        Arc::new(Leaky { inner, lost })
    }));
    assert!(lost.load(Ordering::Relaxed) > 20);
}

/// Says that it has stored everything, and forgets some of it.
#[derive(Debug)]
struct Forgetful;

#[async_trait]
impl PersistenceHooks for Forgetful {
    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        let kept: Vec<AddressedRecord> = records
            .iter()
            .filter(|stored| stored.record.sequence.0 % 5 != 3)
            .cloned()
            .collect();
        inner.store(partition, &kept, state).await
    }
}

#[derive(Debug)]
struct ForgetfulDatabase(Arc<MemoryPersistence>);

impl Database for ForgetfulDatabase {
    fn connect(&mut self) -> std::result::Result<Arc<dyn Persistence>, String> {
        self.0 = Arc::new(self.0.take_over());
        Ok(Arc::new(HookedPersistence::new(self.0.clone(), Forgetful)))
    }
}

#[test]
fn a_database_of_ones_own_that_forgets_is_found_out() {
    let forgetful = Simulation::new("forgetful")
        .database(|| Box::new(ForgetfulDatabase(Arc::new(MemoryPersistence::new()))));
    breaks(&forgetful);
}
