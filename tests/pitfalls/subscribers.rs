//! What subscribers are sent.

use grid_testkit::proxy::{LinkState, Proxy};
use hybrid_grid::{Event, Fate, Map, Subscription};

use crate::world::{Customer, Site, agree, customer, flushed, offline, soon, through, verdict};

const ENTRIES: u32 = 1_000;
const CHANGES: u32 = 50;
/// A changed record of about 110 bytes with key, stamp, cursor, root and frames, at the most.
const MOST_BYTES_PER_CHANGE: u64 = 260;
/// The ack of one op and the event of it, at the most.
const MOST_BYTES_PER_OWN_WRITE: u64 = 300;

/// Greeting, two subscriptions and the word that one of them is level, at the most.
const MOST_BYTES_OF_GREETING: u64 = 500;

/// Waits until a subscriber has seen an entry at this edition.
async fn until_seen(live: &mut Subscription<Customer>, key: &str, edition: u32) {
    let wanted = format!("v{edition}");
    soon("the change", async {
        loop {
            let event = live.next().await.unwrap().unwrap();
            if let Event::Changed { key: seen, value } = event
                && seen.as_str() == key
                && value.is_some_and(|value| value.tags[1] == wanted)
            {
                return;
            }
        }
    })
    .await;
}

async fn fill(map: &Map<Customer>) {
    let entries = (0..ENTRIES).map(|id| (key(id), customer(id, 0)));
    drop(map.put_all(entries).await.unwrap());
}

/// Half of the keys have another prefix.
fn key(id: u32) -> String {
    match id % 2 {
        0 => format!("even/{id}"),
        _ => format!("odd/{id}"),
    }
}

/// Bytes that came down a line since it stood at `before`.
fn since(line: &Proxy, before: (u64, u64)) -> u64 {
    line.bytes().1 - before.1
}

/// Subscribers get what they asked for: on a change the changed records and no others, of other
/// maps nothing at all, and of a prefix nothing beside it.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_09_subscribers_get_the_changes_they_asked_for_and_nothing_else() {
    let mut site = Site::new().await;
    // All maps lie in one partition, so that nothing else keeps them apart.
    site.settings.partition_count = 1;
    site.settings.map_spread = 1;
    let server = site.start().await;
    let writer = site.device().open().await.unwrap();
    let busy = writer.map::<Customer>("busy").unwrap();
    fill(&busy).await;
    fill(&writer.map("quiet").unwrap()).await;
    flushed(&writer).await;
    let (whole, part, quiet) = (
        Site::line(&server).await,
        Site::line(&server).await,
        Site::line(&server).await,
    );
    let watcher = through(&whole).open().await.unwrap();
    let partial = through(&part).open().await.unwrap();
    let other = through(&quiet).open().await.unwrap();
    agree::<Customer>(&[&writer, &watcher], "busy").await;
    agree::<Customer>(&[&writer, &other], "quiet").await;
    let even = partial
        .map_with_prefix::<Customer>("busy", "even/")
        .unwrap();
    flushed(&partial).await;
    assert_eq!(even.len(), ENTRIES as usize / 2);

    let mut live = watcher.map("busy").unwrap().subscribe();
    let first = live.next().await.unwrap().unwrap();
    assert!(matches!(first, Event::Snapshot { entries, .. } if entries.len() == ENTRIES as usize));
    let before = (whole.bytes(), part.bytes(), quiet.bytes());
    for change in 0..CHANGES {
        // One by one, so that each is an event of its own, and of odd keys only.
        let id = 2 * change + 1;
        let put = busy.put(&key(id), &customer(id, 1)).await.unwrap();
        assert_eq!(verdict(put).await.unwrap(), Fate::Acked);
        until_seen(&mut live, &key(id), 1).await;
    }
    let seen = since(&whole, before.0);
    // What was queued for the others is sent before the answer to something of their own.
    let own = other.map::<Customer>("quiet").unwrap();
    let put = own.put(&key(1), &customer(1, 2)).await.unwrap();
    verdict(put).await.unwrap();
    flushed(&other).await;
    let of_other_maps = since(&quiet, before.2);
    let put = even.put(&key(2), &customer(2, 2)).await.unwrap();
    verdict(put).await.unwrap();
    flushed(&partial).await;
    let beside_prefix = since(&part, before.1);
    println!(
        "{CHANGES} changes of a map of {ENTRIES}: {} bytes each to a subscriber; to one of another \
         map {of_other_maps} bytes and to one of another prefix {beside_prefix} bytes, both with \
         one write of their own",
        seen / u64::from(CHANGES)
    );
    assert!(seen <= u64::from(CHANGES) * MOST_BYTES_PER_CHANGE, "{seen}");
    assert!(of_other_maps <= MOST_BYTES_PER_OWN_WRITE, "{of_other_maps}");
    assert!(beside_prefix <= MOST_BYTES_PER_OWN_WRITE, "{beside_prefix}");
}

/// The same for what was missed: who comes back is told what changed of what it follows, though
/// other maps lie in the same partition and changed as well.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_09_a_reconnect_brings_nothing_of_what_was_not_asked_for() {
    let mut site = Site::new().await;
    site.settings.partition_count = 1;
    site.settings.map_spread = 1;
    let server = site.start().await;
    let writer = site.device().open().await.unwrap();
    let busy = writer.map::<Customer>("busy").unwrap();
    let quiet = writer.map::<Customer>("quiet").unwrap();
    fill(&busy).await;
    fill(&quiet).await;
    flushed(&writer).await;
    let line = Site::line(&server).await;
    let device = through(&line).open().await.unwrap();
    let even = device.map_with_prefix::<Customer>("busy", "even/").unwrap();
    agree::<Customer>(&[&writer, &device], "quiet").await;
    flushed(&device).await;
    line.set(LinkState::Cut);
    offline(&device).await;
    for change in 0..CHANGES {
        let id = 2 * change + 1;
        drop(busy.put(&key(id), &customer(id, 1)).await.unwrap());
    }
    drop(quiet.put(&key(0), &customer(0, 1)).await.unwrap());
    flushed(&writer).await;
    let before = line.bytes();
    line.set(LinkState::Up);
    device.connect_now();
    agree::<Customer>(&[&writer, &device], "quiet").await;
    flushed(&device).await;
    let seen = since(&line, before);
    println!("reconnect after {CHANGES} changes of other entries and 1 of its own: {seen} bytes");
    assert_eq!(even.len(), ENTRIES as usize / 2);
    assert!(
        seen <= MOST_BYTES_OF_GREETING + MOST_BYTES_PER_CHANGE,
        "{seen}"
    );
}
