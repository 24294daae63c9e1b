//! The order in which the writes of one device take effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::protocol::Message;
use grid_testkit::proxy::LinkState;
use hybrid_grid::{Event, Fate};

use crate::world::{Direction, Site, Tap, agree, contents, flushed, soon, through, verdict};

const MAP: &str = "counters";
const KEYS: u64 = 16;
const ROUNDS: u64 = 1_500;
const BATCH: usize = 8_000;

fn key(number: u64) -> String {
    format!("k{}", number % KEYS)
}

/// The writes of one device take effect in the order in which they were made, though many frames
/// of them are on their way at once: none finds a later one there before it, a device that looks
/// on never sees a value go back, and the last one stands at the end.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_07_pipelined_frames_take_effect_in_order() {
    let site = Site::new().await;
    let server = site.start().await;
    site.proxy.set(LinkState::Cut);
    let tap = Tap::new(Arc::new(site.clock.clone()));
    let device = site.device().transport(Arc::new(tap.clone()));
    let device = device.open().await.unwrap();
    let map = device.map::<u64>(MAP).unwrap();
    let mut batches = Vec::new();
    for first in (0..KEYS * ROUNDS).step_by(BATCH) {
        let entries = (first..first + BATCH as u64).map(|number| (key(number), number));
        batches.push(map.put_all(entries).await.unwrap());
    }
    let line = Site::line(&server).await;
    let watcher = through(&line).open().await.unwrap();
    let watched = watcher.map::<u64>(MAP).unwrap();
    flushed(&watcher).await;
    let mut live = watched.subscribe();
    site.proxy.set(LinkState::Up);
    device.connect_now();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let last_round = KEYS * (ROUNDS - 1)..KEYS * ROUNDS;
    let finished: BTreeMap<String, u64> = last_round.map(|number| (key(number), number)).collect();
    soon("the last values", async {
        while last != finished {
            let event = live.next().await.unwrap().unwrap();
            if let Event::Changed { key, value } = event {
                let value = value.unwrap();
                let before = last.insert(key.to_string(), value);
                assert!(
                    before.is_none_or(|before| before <= value),
                    "{key} went back"
                );
            }
        }
    })
    .await;
    for batch in batches {
        let count = batch.ops().len();
        let fate = soon("verdicts", batch.acked()).await.unwrap();
        assert_eq!(
            (fate.acked, fate.superseded, fate.rejected.len()),
            (count, 0, 0)
        );
    }
    let frames = tap.take();
    let pushes = frames.iter().filter(|seen| {
        seen.direction == Direction::ToServer && matches!(seen.message, Message::Push(_))
    });
    assert!(pushes.count() > 3, "one frame proves nothing");
    assert_eq!(contents(&map), finished);
}

/// The same for writes that are made one by one on a live connection.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_07_the_last_write_of_a_burst_is_the_one_that_stays() {
    let site = Site::new().await;
    let _server = site.start().await;
    let device = site.device().open().await.unwrap();
    let other = site.device().open().await.unwrap();
    let map = device.map::<u64>(MAP).unwrap();
    let mut handles = Vec::new();
    for number in 0..400u64 {
        handles.push(map.put("k", &number).await.unwrap());
    }
    for handle in handles {
        assert_eq!(verdict(handle).await.unwrap(), Fate::Acked);
    }
    let level = agree::<u64>(&[&device, &other], MAP).await;
    assert_eq!(
        level.into_iter().collect::<Vec<_>>(),
        [("k".to_owned(), 399)]
    );
}
