//! What it costs to catch up after missing 100 of 100,000 entries, in bytes on a real socket.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, unused_imports, reason = "the pitfalls use the rest of it")]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::protocol::{DeltaMode, Message, RepairStep};
use grid_server::Server;
use grid_testkit::hooks::HookedPersistence;
use grid_testkit::proxy::{LinkState, Proxy};
use hybrid_grid::{Grid, Map};
use world::{Customer, Direction, Horizons, Seen, Site, Tap, agree, customer, flushed, offline};

const MAP: &str = "customers";
const ENTRIES: u32 = 100_000;
/// As many as one call of `put_all` takes, about.
const BATCH: u32 = 10_000;
const MOST_BYTES_BY_CURSOR: u64 = 16 * 1024;
const MOST_BYTES_BY_MERKLE: u64 = 64 * 1024;
/// Root, two more levels, leaves, records: a tree over 12,500 entries has 10 leaf bits.
const MOST_ROUNDS_BY_MERKLE: usize = 6;
const HOUR_MS: i64 = 3_600_000;

fn key(id: u32) -> String {
    format!("customer-{id:06}")
}

/// Changes, adds and removes 100 entries in all, other ones for each edition.
async fn change(map: &Map<Customer>, edition: u32) {
    let first = edition * 1_000;
    for step in 0..80 {
        let id = first + step * 997 % (ENTRIES / 2);
        drop(map.put(&key(id), &customer(id, edition)).await.unwrap());
    }
    for step in 0..10 {
        let id = ENTRIES + first + step;
        drop(map.put(&key(id), &customer(id, edition)).await.unwrap());
        drop(map.remove(&key(ENTRIES - first - step)).await.unwrap());
    }
}

/// A server with all entries, one device that wrote them, and one that has them.
struct Stage {
    site: Site,
    horizons: Arc<HookedPersistence<Horizons>>,
    tap: Tap,
    writer: Grid,
    reader: Grid,
    _server: Server,
    _line: Proxy,
}

impl Stage {
    async fn new() -> Self {
        let mut site = Site::new().await;
        let horizons = Horizons::of(site.persistence.clone());
        site.persistence = horizons.clone();
        // A device that is away for longer cannot be told what it missed.
        site.settings.retention_ms = 1_000;
        let server = site.start().await;
        let line = Site::line(&server).await;
        let writer = world::through(&line).open().await.unwrap();
        let map = writer.map::<Customer>(MAP).unwrap();
        for first in (1..=ENTRIES).step_by(BATCH as usize) {
            let ids = first..first + BATCH;
            let entries = ids.map(|id| (key(id), customer(id, 0)));
            drop(map.put_all(entries).await.unwrap());
        }
        flushed(&writer).await;
        let tap = Tap::new(Arc::new(site.clock.clone()));
        let reader = site.device().transport(Arc::new(tap.clone()));
        let reader = reader.open().await.unwrap();
        assert_eq!(
            agree::<Customer>(&[&writer, &reader], MAP).await.len(),
            ENTRIES as usize
        );
        Self {
            site,
            horizons,
            tap,
            writer,
            reader,
            _server: server,
            _line: line,
        }
    }

    /// Lets the reader miss 100 changes, made at `clock_ms`; what it takes to catch up once the
    /// clock shows `later_ms`.
    async fn catch_up(&self, edition: u32, clock_ms: i64, later_ms: Option<i64>) -> Cost {
        let missed_from = self.reader.status().maps[0].cursor.clone();
        self.site.proxy.set(LinkState::Cut);
        offline(&self.reader).await;
        self.site.clock.set_ms(clock_ms);
        change(&self.writer.map(MAP).unwrap(), edition).await;
        flushed(&self.writer).await;
        if let Some(later_ms) = later_ms {
            self.site.clock.set_ms(later_ms);
            self.horizons.hooks().passed(&missed_from).await;
        }
        self.tap.take();
        let before = self.site.proxy.bytes();
        self.site.proxy.set(LinkState::Up);
        self.reader.connect_now();
        agree::<Customer>(&[&self.reader, &self.writer], MAP).await;
        let after = self.site.proxy.bytes();
        Cost {
            to_server: after.0 - before.0,
            to_device: after.1 - before.1,
            seen: self.tap.take(),
        }
    }
}

struct Cost {
    to_server: u64,
    to_device: u64,
    seen: Vec<Seen>,
}

impl Cost {
    fn bytes(&self) -> u64 {
        self.to_server + self.to_device
    }

    fn records(&self, mode: DeltaMode) -> usize {
        let records = self.seen.iter().map(|seen| match &seen.message {
            Message::Delta(delta) if delta.mode == mode => delta.records.len(),
            _ => 0,
        });
        records.sum()
    }

    /// Requests that waited for the answer to another one, the greeting and the first included.
    fn rounds(&self) -> usize {
        let mut steps: BTreeMap<_, Vec<u8>> = BTreeMap::new();
        for seen in &self.seen {
            if let (Direction::ToServer, Message::Repair(repair)) = (seen.direction, &seen.message)
            {
                let step = match &repair.step {
                    RepairStep::Nodes { level, .. } => *level,
                    RepairStep::Leaves { .. } => 100,
                    RepairStep::Fetch { .. } => 101,
                    RepairStep::Snapshot => 102,
                };
                let steps = steps.entry(repair.partition).or_default();
                if steps.last() != Some(&step) {
                    steps.push(step);
                }
            }
        }
        // Hello and the subscription come before.
        2 + steps.values().map(Vec::len).max().unwrap_or(0)
    }

    fn tell(&self, how: &str) {
        println!(
            "catch-up of 100 of {ENTRIES} by {how}: {} bytes ({} to the server, {} to the device), \
             {} round trips with the handshake, {} records by delta, {} by repair",
            self.bytes(),
            self.to_server,
            self.to_device,
            self.rounds(),
            self.records(DeltaMode::Changes),
            self.records(DeltaMode::Repair),
        );
    }
}

/// A device that missed 100 of 100,000 entries is told these and nothing else, in less than 16 KiB
/// by its cursor; and when its cursor is of no use because it was away for longer than the server
/// remembers, it finds them by comparing trees, in less than 64 KiB.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_missed_100_of_100_000_entries_catches_up_in_few_bytes() {
    let stage = Stage::new().await;
    let cost = stage.catch_up(1, 0, None).await;
    cost.tell("cursor");
    assert_eq!(cost.records(DeltaMode::Changes), 100);
    assert_eq!(cost.records(DeltaMode::Snapshot), 0);
    assert_eq!(cost.rounds(), 2, "greeting and subscription");
    assert!(cost.bytes() < MOST_BYTES_BY_CURSOR, "{}", cost.bytes());

    let cost = stage.catch_up(2, HOUR_MS, Some(2 * HOUR_MS)).await;
    cost.tell("Merkle tree");
    assert_eq!(cost.records(DeltaMode::Changes), 0, "the cursor was of use");
    assert_eq!(cost.records(DeltaMode::Snapshot), 0);
    assert_eq!(
        cost.records(DeltaMode::Repair),
        90,
        "what is gone is not sent"
    );
    assert!(
        cost.rounds() <= 2 + MOST_ROUNDS_BY_MERKLE,
        "{}",
        cost.rounds()
    );
    assert!(cost.bytes() < MOST_BYTES_BY_MERKLE, "{}", cost.bytes());
}
