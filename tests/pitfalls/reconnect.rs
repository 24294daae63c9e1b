//! What a reconnect costs.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::protocol::Message;
use grid_testkit::proxy::LinkState;
use hybrid_grid::{Grid, GridBuilder, Map};

use crate::world::{Direction, Seen, Site, Tap, contents, flushed, offline, through};

/// Bytes that an unchanged map may cost, both directions added.
const MOST_BYTES_PER_MAP: u64 = 200;
/// Bytes by which the handshake of a store that was closed may be longer: it takes leave of the
/// runs that are over.
const MOST_BYTES_OF_LEAVE: u64 = 64;
const ENTRIES: u64 = 300;
const MANY: u64 = 9;

fn open_maps(device: &Grid, maps: u64) -> Vec<Map<u64>> {
    let open = |number| device.map::<u64>(&format!("map-{number}")).unwrap();
    (0..maps).map(open).collect()
}

async fn fill(device: &Grid) {
    for map in open_maps(device, MANY) {
        let entries = (0..ENTRIES).map(|entry| (format!("k{entry}"), entry));
        drop(map.put_all(entries).await.unwrap());
    }
    flushed(device).await;
}

/// What it takes a device to be level again that has been cut off, in bytes both ways.
async fn reconnect(site: &Site, device: &Grid) -> u64 {
    offline(device).await;
    let before = site.proxy.bytes();
    site.proxy.set(LinkState::Up);
    device.connect_now();
    flushed(device).await;
    let after = site.proxy.bytes();
    after.0 + after.1 - before.0 - before.1
}

/// What a device that follows `maps` maps needs when it reconnects and nothing changed.
async fn unchanged(site: &Site, device: GridBuilder, maps: u64) -> u64 {
    let device = device.open().await.unwrap();
    let opened = open_maps(&device, maps);
    flushed(&device).await;
    site.proxy.set(LinkState::Cut);
    let bytes = reconnect(site, &device).await;
    // The data is still there, and whole.
    let expected: BTreeMap<String, u64> = (0..ENTRIES).map(|n| (format!("k{n}"), n)).collect();
    assert!(opened.iter().all(|map| contents(map) == expected));
    device.close().await.unwrap();
    bytes
}

/// All maps are asked for at once, and each question has one answer: one round trip.
fn check_one_round_trip(seen: &[Seen]) {
    let welcome = seen
        .iter()
        .rposition(|seen| matches!(seen.message, Message::Welcome(_)))
        .unwrap();
    let after = &seen[welcome + 1..];
    let asked = after
        .iter()
        .take_while(|seen| seen.direction == Direction::ToServer);
    assert_eq!(asked.count() as u64, MANY, "{after:?}");
    for seen in &after[usize::try_from(MANY).unwrap()..] {
        let expected = matches!(
            seen.message,
            Message::Subscribed(_) | Message::CaughtUp(_) | Message::Goodbye(_)
        );
        assert!(expected, "{:?}", seen.message);
    }
}

/// Both sides compute the same digest of the same data, so a reconnect with nothing changed costs
/// one round trip and at most 200 bytes a map, the handshake excluded. (The digests themselves are
/// held against one file of vectors, `grid-core/vectors/digest.txt`, natively and in wasm.)
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_03_an_unchanged_reconnect_costs_one_round_trip_and_200_bytes_a_map() {
    let site = Site::new().await;
    let server = site.start().await;
    let line = Site::line(&server).await;
    fill(&through(&line).open().await.unwrap()).await;
    let none = unchanged(&site, site.device(), 0).await;
    let one = unchanged(&site, site.device(), 1).await;
    let tap = Tap::new(Arc::new(site.clock.clone()));
    let device = site.device().transport(Arc::new(tap.clone()));
    let many = unchanged(&site, device, MANY).await;
    println!(
        "reconnect with nothing changed: handshake {none} bytes, first map {} bytes, each of \
         {MANY} maps {} bytes",
        one - none,
        (many - none) / MANY
    );
    assert!(one - none <= MOST_BYTES_PER_MAP, "{}", one - none);
    assert!(many - none <= MANY * MOST_BYTES_PER_MAP, "{}", many - none);
    check_one_round_trip(&tap.take());
}

/// The same for a device that wrote all there is, on the connection it wrote on and after both
/// sides came back from what they had stored.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_03_a_reconnect_stays_cheap_after_own_writes_and_restarts_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let url = |file: &str| format!("sqlite://{}", folder.path().join(file).display());
    let mut site = Site::new().await;
    site.database(&url("grid.db")).await;
    let server = site.start().await;
    let none = unchanged(&site, site.device(), 0).await;
    let device = site
        .device()
        .storage(url("device.db"))
        .open()
        .await
        .unwrap();
    fill(&device).await;
    site.proxy.set(LinkState::Cut);
    let wrote = reconnect(&site, &device).await;
    device.close().await.unwrap();
    server.shutdown().await.unwrap();

    site.database(&url("grid.db")).await;
    let _server = site.start().await;
    site.proxy.set(LinkState::Cut);
    let device = site
        .device()
        .storage(url("device.db"))
        .open()
        .await
        .unwrap();
    let maps = open_maps(&device, MANY);
    let restarted = reconnect(&site, &device).await;
    println!(
        "reconnect of a device that wrote {MANY} maps: {} bytes a map; after restarts of both \
         sides: {} bytes a map",
        (wrote - none) / MANY,
        (restarted - none) / MANY
    );
    assert!(maps.iter().all(|map| map.len() as u64 == ENTRIES));
    assert!(wrote <= none + MANY * MOST_BYTES_PER_MAP, "{wrote}");
    let most = none + MOST_BYTES_OF_LEAVE + MANY * MOST_BYTES_PER_MAP;
    assert!(restarted <= most, "{restarted}");
}
