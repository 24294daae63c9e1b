//! What waits to be made durable: bounded whoever gives up waiting, and nothing is left unanswered.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use grid_client::{ConnectionState, Grid, GridBuilder};
use grid_core::ErrorKind;
use grid_storage_memory::MemoryStorage;
use support::{FailingStorage, runtime};

async fn open(storage: Arc<FailingStorage>) -> Grid {
    let builder = GridBuilder::new().runtime(runtime());
    builder.storage_backend(storage).open().await.unwrap()
}

fn store() -> Arc<FailingStorage> {
    Arc::new(FailingStorage::new(MemoryStorage::open("memory:").unwrap()))
}

#[tokio::test]
async fn writing_nothing_at_all_is_done_at_once() {
    let grid = open(store()).await;
    let map = grid.map::<u32>("m").unwrap();
    // Before and after there was something to store.
    for _ in 0..2 {
        let nothing = map.put_all(Vec::<(&str, u32)>::new()).await.unwrap();
        assert!(nothing.ops().is_empty());
        let fate = nothing.acked().await.unwrap();
        assert_eq!((fate.acked, fate.rejected.len()), (0, 0));
        map.put("k", &1).await.unwrap();
    }
}

#[tokio::test]
async fn writes_that_nobody_waits_for_any_more_still_count_until_they_are_stored() {
    const BOUND: usize = 65_536;
    let storage = store();
    let grid = open(storage.clone()).await;
    let map = grid.map::<u32>("m").unwrap();
    map.put("first", &0).await.unwrap();
    let gate = storage.hold();
    let mut value = 0;
    for _ in 0..BOUND + 500 {
        value += 1;
        // Each is begun and given up, as with a time-out that is too short.
        let given_up = map.put("k", &value).now_or_never();
        assert!(given_up.is_none());
        if value.is_multiple_of(64) {
            // A task gets some hundred steps at a time.
            tokio::task::yield_now().await;
        }
    }
    drop(gate);
    // It waits for its turn, and comes after those that were taken.
    map.put("last", &0).await.unwrap();
    let taken = grid.status().pending - 2;
    assert!(taken > 0, "what was taken is written, given up or not");
    assert!(
        taken <= BOUND,
        "{taken} were taken; at most {BOUND} may wait"
    );
}

#[tokio::test]
async fn a_store_that_panics_ends_the_grid_instead_of_every_answer() {
    let storage = store();
    let grid = open(storage.clone()).await;
    let map = grid.map::<u32>("m").unwrap();
    map.put("k", &1).await.unwrap();
    let mut live = map.subscribe();
    live.next().await.unwrap().unwrap();
    storage.panic();
    // Two at once: the one that meets the bug, and one behind it.
    let (first, second) = futures::join!(map.put("k", &2), map.put("k", &3));
    for result in [first, second, map.put("k", &4).await] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Closed);
    }
    assert!(live.next().await.is_none());
    assert_eq!(grid.connection_state(), ConnectionState::Closed);
    assert_eq!(grid.flushed().await.unwrap_err().kind(), ErrorKind::Closed);
    grid.close().await.unwrap();
}

#[test]
fn a_grid_whose_runtime_is_gone_says_that_it_is_closed() {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let grid = tokio.block_on(open(store()));
    let map = grid.map::<u32>("m").unwrap();
    drop(tokio);
    let put = map.put("k", &1).now_or_never().expect("it does not wait");
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_grid_closes_though_its_store_takes_nothing() {
    let storage = store();
    storage.fail(true);
    let grid = open(storage).await;
    let map = grid.map::<u32>("m").unwrap();
    let error = map.put("k", &1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    // What the store did not take is tried again, but not for ever.
    let patience = runtime().sleep(Duration::from_secs(20));
    let closing = std::pin::pin!(grid.close());
    match futures::future::select(closing, patience).await {
        futures::future::Either::Left((closed, _)) => closed.unwrap(),
        futures::future::Either::Right(_) => panic!("it still tries"),
    }
    assert_eq!(map.get("k").unwrap(), None);
}

#[tokio::test]
async fn a_value_too_large_for_the_store_is_refused_before_it_is_tried() {
    let storage = Arc::new(FailingStorage::small(MemoryStorage::new(), 10_000));
    let grid = open(storage.clone()).await;
    let map = grid.map::<String>("m").unwrap();
    map.put("k", &"x".repeat(5_000)).await.unwrap();
    let batches = storage.batches();
    let error = map.put("k", &"x".repeat(10_000)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!((storage.batches(), grid.storage_error()), (batches, None));
}

#[tokio::test]
async fn a_batch_of_the_store_has_a_bound() {
    let storage = store();
    let grid = open(storage.clone()).await;
    let map = grid.map::<u64>("m").unwrap();
    map.put("k", &0).await.unwrap();
    let before = storage.batches();
    let gate = storage.hold();
    let calls = (0..6u64).map(|call| {
        let map = map.clone();
        let entries = (0..9_000).map(move |number| (format!("k{number}"), call));
        async move { map.put_all(entries).await.unwrap() }
    });
    let mut calls = std::pin::pin!(futures::future::join_all(calls));
    for _ in 0..50 {
        assert!(futures::poll!(&mut calls).is_pending());
        tokio::task::yield_now().await;
    }
    drop(gate);
    calls.await;
    let batches = storage.batches() - before;
    assert!(batches >= 6, "54,000 writes in {batches} batches");
}
