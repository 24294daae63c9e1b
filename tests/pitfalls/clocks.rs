//! Devices whose clocks are wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::traits::Runtime;
use grid_testkit::proxy::LinkState;
use hybrid_grid::{Fate, Grid, Map};

use crate::world::{Site, WrongClock, agree, contents, flushed, through, verdict};

const MAP: &str = "notes";
const TEN_MINUTES_MS: i64 = 600_000;
/// How far a final stamp may lie ahead of the server's clock: the allowed drift.
const ALLOWED_DRIFT_MS: u64 = 60_000;

async fn put(map: &Map<String>, key: &str, value: &str) -> Fate {
    let put = map.put(key, &value.to_owned()).await.unwrap();
    verdict(put).await.unwrap()
}

async fn device(site: &Site, clock_ms: i64) -> Grid {
    let clock = Arc::new(WrongClock::new(clock_ms));
    site.device().runtime(clock).open().await.unwrap()
}

/// Devices whose clocks are ten minutes fast and ten minutes slow write in turn with one whose
/// clock is right. Each write is made in sight of the one before, so it wins, whatever the clocks
/// say; all converge, nobody is refused, and no stamp lies in the far future afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_11_wrong_clocks_neither_win_for_ever_nor_lose_for_ever() {
    let site = Site::new().await;
    let _server = site.start().await;
    let grids = [
        device(&site, TEN_MINUTES_MS).await,
        device(&site, 0).await,
        device(&site, -TEN_MINUTES_MS).await,
    ];
    let names = ["fast", "right", "slow"];
    let maps: Vec<Map<String>> = grids.iter().map(|grid| grid.map(MAP).unwrap()).collect();
    let all: Vec<&Grid> = grids.iter().collect();
    // Every order of two of them, several times, on one key and on keys of their own.
    for round in 0..3 {
        for first in 0..3 {
            for second in (0..3).filter(|second| *second != first) {
                for at in [first, second] {
                    let value = format!("{} {round} {first} {second}", names[at]);
                    assert_eq!(
                        put(&maps[at], "shared", &value).await,
                        Fate::Acked,
                        "{value}"
                    );
                    assert_eq!(put(&maps[at], names[at], &value).await, Fate::Acked);
                    let level = agree::<String>(&all, MAP).await;
                    assert_eq!((&level["shared"], &level[names[at]]), (&value, &value));
                }
            }
        }
    }
    let now_ms = site.clock.now_ms();
    for key in ["shared", "fast", "right", "slow"] {
        let version = maps[1].version(key).unwrap();
        let ahead_ms = version.hlc.millis().saturating_sub(now_ms);
        assert!(ahead_ms <= ALLOWED_DRIFT_MS, "{key} is {ahead_ms} ms ahead");
    }
}

/// What a device with a fast clock wrote offline gets the time at which it was written, as well as
/// that can be known: its writes keep their order, and a write that the others made later wins.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_11_offline_edits_under_a_fast_clock_win_nothing_by_it() {
    let site = Site::new().await;
    let server = site.start().await;
    let line = Site::line(&server).await;
    line.set(LinkState::Cut);
    // Ten minutes fast, five minutes ago.
    let clock = WrongClock::new(TEN_MINUTES_MS / 2);
    let fast = through(&line).runtime(Arc::new(clock.clone()));
    let fast = fast.open().await.unwrap();
    let right = device(&site, 0).await;
    let early = fast.map::<String>(MAP).unwrap();
    let late = right.map::<String>(MAP).unwrap();
    let mut writes = Vec::new();
    for number in 0..50 {
        for key in ["shared", "own"] {
            let value = format!("offline {number}");
            writes.push((key, early.put(key, &value).await.unwrap()));
        }
    }
    clock.set_ms(TEN_MINUTES_MS);
    assert_eq!(put(&late, "shared", "later").await, Fate::Acked);
    line.set(LinkState::Up);
    fast.connect_now();
    for (key, write) in writes {
        let fate = verdict(write).await.unwrap();
        assert_eq!(fate == Fate::Acked, key == "own", "{key}: {fate:?}");
    }
    let level = agree::<String>(&[&fast, &right], MAP).await;
    let expected = [("own", "offline 49"), ("shared", "later")];
    let expected: BTreeMap<String, String> = expected
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    assert_eq!(level, expected);
    // From here on it is a device like the others.
    assert_eq!(put(&early, "shared", "after all").await, Fate::Acked);
    flushed(&fast).await;
    agree::<String>(&[&fast, &right], MAP).await;
    assert_eq!(contents(&late)["shared"], "after all");
    assert_eq!(put(&late, "shared", "the last word").await, Fate::Acked);
    assert_eq!(
        agree::<String>(&[&fast, &right], MAP).await["shared"],
        "the last word"
    );
}
