//! What a reconnect costs.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::protocol::Message;
use grid_testkit::proxy::LinkState;
use hybrid_grid::Grid;

use crate::world::{Direction, Seen, Site, Tap, contents, flushed, offline};

/// Bytes that an unchanged map may cost, both directions added.
const MOST_BYTES_PER_MAP: u64 = 200;
const ENTRIES: u64 = 300;
const MANY: u64 = 9;

fn map_name(number: u64) -> String {
    format!("map-{number}")
}

/// What a device that holds `maps` maps sends and receives when it reconnects and nothing changed.
async fn reconnect(site: &Site, maps: u64) -> (u64, Vec<Seen>) {
    let tap = Tap::new(Arc::new(site.clock.clone()));
    let device = site.device().transport(Arc::new(tap.clone()));
    let device: Grid = device.open().await.unwrap();
    let opened: Vec<_> = (0..maps)
        .map(|number| device.map::<u64>(&map_name(number)).unwrap())
        .collect();
    flushed(&device).await;
    assert!(opened.iter().all(|map| map.len() as u64 == ENTRIES));
    site.proxy.set(LinkState::Cut);
    offline(&device).await;
    tap.take();
    let before = site.proxy.bytes();
    site.proxy.set(LinkState::Up);
    device.connect_now();
    flushed(&device).await;
    let after = site.proxy.bytes();
    let seen = tap.take();
    // The data is still there, and whole.
    let expected: BTreeMap<String, u64> = (0..ENTRIES).map(|n| (format!("k{n}"), n)).collect();
    assert!(opened.iter().all(|map| contents(map) == expected));
    device.close().await.unwrap();
    (after.0 + after.1 - before.0 - before.1, seen)
}

/// Both sides compute the same digest of the same data, so a reconnect with nothing changed costs
/// one round trip and at most 200 bytes a map, the handshake excluded. (The digests themselves are
/// held against one file of vectors, `grid-core/vectors/digest.txt`, natively and in wasm.)
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_03_an_unchanged_reconnect_costs_one_round_trip_and_200_bytes_a_map() {
    let site = Site::new().await;
    let server = site.start().await;
    let line = Site::line(&server).await;
    let writer = crate::world::through(&line).open().await.unwrap();
    for number in 0..MANY {
        let map = writer.map::<u64>(&map_name(number)).unwrap();
        let entries = (0..ENTRIES).map(|entry| (format!("k{entry}"), entry));
        drop(map.put_all(entries).await.unwrap());
    }
    flushed(&writer).await;
    let (none, _) = reconnect(&site, 0).await;
    let (one, _) = reconnect(&site, 1).await;
    let (many, seen) = reconnect(&site, MANY).await;
    println!(
        "reconnect with nothing changed: handshake {none} bytes, first map {} bytes, each of {MANY} \
         maps {} bytes",
        one - none,
        (many - none) / MANY
    );
    assert!(one - none <= MOST_BYTES_PER_MAP, "{}", one - none);
    assert!(many - none <= MANY * MOST_BYTES_PER_MAP, "{}", many - none);

    // All maps are asked for at once, and each question has one answer: one round trip.
    let welcome = seen
        .iter()
        .position(|seen| matches!(seen.message, Message::Welcome(_)))
        .unwrap();
    let after = &seen[welcome + 1..];
    let asked = after
        .iter()
        .take_while(|seen| seen.direction == Direction::ToServer);
    assert_eq!(asked.count() as u64, MANY, "{after:?}");
    let answers = &after[usize::try_from(MANY).unwrap()..];
    for seen in answers {
        assert_eq!(seen.direction, Direction::ToDevice, "{answers:?}");
        let expected = matches!(seen.message, Message::Subscribed(_) | Message::CaughtUp(_));
        assert!(expected, "{:?}", seen.message);
    }
}
