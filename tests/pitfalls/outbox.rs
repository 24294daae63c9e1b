//! How an outbox drains.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grid_core::limits::TARGET_FRAME_BYTES;
use grid_core::protocol::Message;
use grid_testkit::proxy::LinkState;
use hybrid_grid::{BatchHandle, Map};

use crate::world::{Customer, Seen, Site, Tap, agree, customer, flushed, offline, soon, through};

const MAP: &str = "customers";
/// More than one frame, and more than one push window, holds.
const OFFLINE: u32 = 20_000;
/// Written one after the other while the outbox drains.
const MEANWHILE: u32 = 300;

/// How often each op was pushed on each connection.
fn pushes(seen: &[Seen]) -> BTreeMap<(u64, grid_core::OpId), usize> {
    let mut pushed = BTreeMap::new();
    for seen in seen {
        if let Message::Push(push) = &seen.message {
            for op in &push.ops {
                *pushed.entry((seen.connection, op.id)).or_default() += 1;
            }
        }
    }
    pushed
}

async fn fill(map: &Map<Customer>, ids: std::ops::Range<u32>) -> BatchHandle {
    let entries = ids.map(|id| (format!("c{id}"), customer(id, 0)));
    map.put_all(entries).await.unwrap()
}

/// An outbox larger than a frame goes out in chunks that do not wait for each other's answers, and
/// each op goes out once per connection, whatever is written meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_05_a_large_outbox_drains_and_sends_each_op_once() {
    let site = Site::new().await;
    let server = site.start().await;
    site.proxy.set(LinkState::Cut);
    let tap = Tap::new(Arc::new(site.clock.clone()));
    let device = site.device().transport(Arc::new(tap.clone()));
    let device = device.open().await.unwrap();
    let map = device.map::<Customer>(MAP).unwrap();
    drop(fill(&map, 0..OFFLINE / 2).await);
    drop(fill(&map, OFFLINE / 2..OFFLINE).await);
    tap.take();
    let before = site.proxy.bytes();
    site.proxy.set(LinkState::Up);
    device.connect_now();
    for id in OFFLINE..OFFLINE + MEANWHILE {
        drop(map.put(&format!("c{id}"), &customer(id, 0)).await.unwrap());
    }
    flushed(&device).await;
    let wire = site.proxy.bytes().0 - before.0;

    let seen = tap.take();
    let pushed = pushes(&seen);
    let total = (OFFLINE + MEANWHILE) as usize;
    assert_eq!(pushed.len(), total);
    assert!(
        pushed.values().all(|times| *times == 1),
        "an op was sent twice"
    );
    let frames: Vec<&Seen> = seen
        .iter()
        .filter(|seen| matches!(seen.message, Message::Push(_)))
        .collect();
    let payload: usize = frames.iter().map(|seen| seen.bytes).sum();
    println!(
        "outbox of {OFFLINE} ops and {MEANWHILE} more while it drained: {} frames, {payload} bytes \
         of pushes, {wire} bytes to the server on the wire",
        frames.len()
    );
    assert!(
        payload > 8 * TARGET_FRAME_BYTES,
        "{payload} bytes are no large outbox"
    );
    assert!(frames.iter().all(|seen| seen.bytes <= TARGET_FRAME_BYTES));
    assert!(
        wire < (payload + payload / 20) as u64,
        "{wire} of {payload}"
    );
    // Chunks are pipelined: several are on their way before the first answer.
    let first_ack = seen
        .iter()
        .position(|seen| matches!(seen.message, Message::Ack(_)));
    let ahead = seen[..first_ack.unwrap()]
        .iter()
        .filter(|seen| matches!(seen.message, Message::Push(_)));
    assert!(ahead.count() > 1, "each chunk waited for an answer");
    let other = Site::line(&server).await;
    let other = through(&other).open().await.unwrap();
    let level = agree::<Customer>(&[&device, &other], MAP).await;
    assert_eq!(level.len(), total);
}

/// A connection that is lost in the middle costs no more than sending again, once, what had no
/// verdict yet.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_05_after_a_loss_in_the_middle_the_rest_drains() {
    let mut site = Site::new().await;
    site.settings.push_window = 1_000;
    let _server = site.start().await;
    site.proxy.set(LinkState::Cut);
    let tap = Tap::new(Arc::new(site.clock.clone()));
    let device = site.device().transport(Arc::new(tap.clone()));
    let device = device.open().await.unwrap();
    let map = device.map::<Customer>(MAP).unwrap();
    let first = fill(&map, 0..OFFLINE / 4).await;
    drop(fill(&map, OFFLINE / 4..OFFLINE).await);
    site.proxy.set(LinkState::Up);
    device.connect_now();
    soon("the first verdicts", first.acked()).await.unwrap();
    site.proxy.set(LinkState::Cut);
    offline(&device).await;
    let left = device.status().pending;
    site.proxy.set(LinkState::Up);
    device.connect_now();
    flushed(&device).await;
    let pushed = pushes(&tap.take());
    assert!(
        pushed.values().all(|times| *times == 1),
        "an op was sent twice"
    );
    let last = pushed.keys().map(|(connection, _)| *connection).max();
    let again = pushed
        .keys()
        .filter(|(connection, _)| Some(*connection) == last);
    assert_eq!(again.count(), left, "what was settled went out again");
    let ops: BTreeSet<_> = pushed.keys().map(|(_, op)| *op).collect();
    assert_eq!(ops.len(), OFFLINE as usize);
}
