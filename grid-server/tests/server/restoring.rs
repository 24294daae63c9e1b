//! A server whose database, or whose journal, was put back to a backup.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use grid_core::address::Placement;
use grid_core::protocol::{CaughtUp, Message, Selector, Subscribe};
use grid_core::traits::{Append, Epoch, Journal, Position};
use grid_core::{ErrorKind, History, Key, MapName, PartitionId, Sequence};
use grid_server::{MemoryJournal, Server};

use super::faulty::{FaultyPersistence, faulty_persistence};
use super::support::{Client, World, address, cbor, hello, run};

/// Long enough for everything to be written to the database.
const FLUSHED: Duration = Duration::from_secs(3);

/// A world whose database outlives the servers, and can be copied.
fn lasting(world: &mut World) -> Arc<FaultyPersistence> {
    let persistence = faulty_persistence();
    world.persistence = persistence.clone();
    persistence
}

async fn put(server: &Server, key: &str, value: &[u8]) {
    let key = Key::new(key).unwrap();
    let (handle, map) = (server.handle(), address("m"));
    handle.put(&map, &key, cbor(value)).await.unwrap();
}

async fn get(server: &Server, key: &str) -> Option<bytes::Bytes> {
    let key = Key::new(key).unwrap();
    let record = server.handle().get(&address("m"), &key).await.unwrap();
    record.and_then(|record| record.value)
}

pub(crate) async fn history(world: &World) -> History {
    let mut client = world.connect().await;
    client.send(&hello(world.now_ms())).await;
    match client.next().await {
        Message::Welcome(welcome) => welcome.history,
        other => panic!("{other:?}"),
    }
}

async fn diverged(world: &World) -> String {
    let error = world.builder().start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged, "{error}");
    let told = error.to_string();
    assert!(told.contains("--new-history"), "{told}");
    told
}

/// Starts with the order of a new history.
async fn ordered(world: &World) -> Server {
    world.start_with(world.builder().new_history(true)).await
}

#[test]
fn an_old_database_stops_the_start_until_a_new_history_is_ordered() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let server = world.start().await;
        put(&server, "kept", b"1").await;
        put(&server, "changed", b"1").await;
        world.sleep(FLUSHED).await;
        let backup = persistence.hooks().copy();
        put(&server, "changed", b"2").await;
        put(&server, "lost", b"2").await;
        let old = history(&world).await;
        server.shutdown().await.unwrap();
        world.persistence = backup;
        let told = diverged(&world).await;
        assert!(told.contains("restored from a backup"), "{told}");
        diverged(&world).await;

        let server = ordered(&world).await;
        let new = history(&world).await;
        assert_ne!(new, old);
        assert_eq!(get(&server, "kept").await, Some(cbor(b"1")));
        assert_eq!(get(&server, "changed").await, Some(cbor(b"1")));
        assert_eq!(get(&server, "lost").await, None);
        put(&server, "later", b"3").await;
        world.kill(server);
        // The order was for one start: what follows is a start like any other.
        let server = world.start().await;
        assert_eq!(history(&world).await, new);
        assert_eq!(get(&server, "later").await, Some(cbor(b"3")));
        assert_eq!(get(&server, "lost").await, None);
    });
}

#[test]
fn a_database_without_its_journal_stops_the_start_even_if_nothing_was_written_yet() {
    run(|mut world| async move {
        lasting(&mut world);
        let server = world.start().await;
        let old = history(&world).await;
        server.shutdown().await.unwrap();
        world.journal = Arc::new(MemoryJournal::new());
        let told = diverged(&world).await;
        let (warning, order) = (told.find("another server may"), told.find("--new-history"));
        assert!(warning.is_some() && warning < order, "{told}");
        let server = ordered(&world).await;
        assert_ne!(history(&world).await, old);
        put(&server, "k", b"1").await;
        world.kill(server);
        let server = world.start().await;
        assert_eq!(get(&server, "k").await, Some(cbor(b"1")));
    });
}

#[test]
fn what_only_the_journal_had_is_gone_after_the_order_and_stays_gone() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let server = world.start().await;
        put(&server, "stored", b"1").await;
        world.sleep(FLUSHED).await;
        let backup = persistence.hooks().copy();
        put(&server, "more", b"1").await;
        world.sleep(FLUSHED).await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        // Of this, the database never hears; and of the backup's partitions, some fit the journal.
        for number in 0..30 {
            put(&server, &format!("journalled-{number}"), b"1").await;
        }
        world.kill(server);
        world.persistence = backup;
        diverged(&world).await;
        let server = ordered(&world).await;
        let keys = keys(&server).await;
        assert_eq!(keys, ["stored"]);
        world.kill(server);
        let server = world.start().await;
        assert_eq!(self::keys(&server).await, ["stored"]);
    });
}

async fn records(server: &Server) -> Vec<grid_core::Record> {
    let (handle, map) = (server.handle(), address("m"));
    let page = handle.page(&map, &Selector::All, None, 100);
    page.await.unwrap().records
}

async fn keys(server: &Server) -> Vec<String> {
    let records = records(server).await;
    records.iter().map(|one| one.key.to_string()).collect()
}

#[test]
fn an_order_that_was_not_completed_has_to_be_given_again() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let server = world.start().await;
        for number in 0..30 {
            put(&server, &format!("k{number}"), b"1").await;
        }
        server.shutdown().await.unwrap();
        let partitions = u64::from(world.settings.partition_count);
        for succeeds in 0..=partitions {
            let restored = persistence.hooks().copy();
            world.persistence = restored.clone();
            world.journal = Arc::new(MemoryJournal::new());
            restored
                .hooks()
                .succeeds
                .store(succeeds + 1, Ordering::SeqCst);
            let order = world.builder().new_history(true).start().await;
            assert_eq!(order.unwrap_err().kind(), ErrorKind::Unavailable);
            restored.hooks().fails.store(false, Ordering::SeqCst);
            diverged(&world).await;
            let server = ordered(&world).await;
            assert_eq!(keys(&server).await.len(), 30, "after {succeeds} stores");
            put(&server, "again", b"2").await;
            world.kill(server);
            let server = world.start().await;
            assert_eq!(keys(&server).await.len(), 31, "after {succeeds} stores");
            world.kill(server);
        }
    });
}

#[test]
fn an_order_that_is_not_needed_changes_nothing() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let server = world.start().await;
        put(&server, "stored", b"1").await;
        world.sleep(FLUSHED).await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        put(&server, "journalled", b"1").await;
        let old = history(&world).await;
        world.kill(server);
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        let server = ordered(&world).await;
        assert_eq!(history(&world).await, old);
        assert_eq!(keys(&server).await, ["journalled", "stored"]);
    });
}

#[test]
fn a_new_history_does_not_begin_with_nothing() {
    run(|mut world| async move {
        let persistence = lasting(&mut world);
        let order = world.builder().new_history(true).start().await;
        assert_eq!(order.unwrap_err().kind(), ErrorKind::Conflict);
        let server = world.start().await;
        put(&server, "k", b"1").await;
        world.sleep(FLUSHED).await;
        world.kill(server);
        // The wrong database.
        let empty = faulty_persistence();
        world.persistence = empty.clone();
        diverged(&world).await;
        let order = world.builder().new_history(true).start().await;
        let error = order.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.message().contains("empty"), "{error}");
        assert_eq!(
            empty.hooks().stores.load(Ordering::SeqCst),
            0,
            "nothing was begun"
        );
        world.persistence = persistence;
        let server = world.start().await;
        assert_eq!(get(&server, "k").await, Some(cbor(b"1")));
    });
}

/// Another journal of the same data set, as of before the first write.
async fn journal_of_before(world: &World) -> Arc<dyn Journal> {
    let identity = PartitionId::IDENTITY;
    let entries = world.journal.read(identity, first(world).await, 9_999);
    let append = Append {
        partition: identity,
        epoch: Epoch(1),
        tail: Position(0),
        batch: entries.await.unwrap().pop().unwrap().batch,
    };
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    journal.append(vec![append]).await.remove(0).unwrap();
    journal
}

#[test]
fn an_older_journal_than_the_database_stops_the_start() {
    run(|mut world| async move {
        lasting(&mut world);
        let server = world.start().await;
        put(&server, "k", b"1").await;
        world.sleep(FLUSHED).await;
        world.kill(server);
        world.journal = journal_of_before(&world).await;
        let told = diverged(&world).await;
        assert!(told.contains("journal ends at: 0"), "{told}");
        let server = ordered(&world).await;
        assert_eq!(get(&server, "k").await, Some(cbor(b"1")));
        put(&server, "k", b"2").await;
        assert_eq!(get(&server, "k").await, Some(cbor(b"2")));
    });
}

#[test]
fn an_older_journal_than_the_database_stops_the_start_also_amid_a_flush() {
    run(|mut world| async move {
        world.settings.map_spread = 1;
        world.settings.flush_records = 3;
        let persistence = lasting(&mut world);
        let server = world.start().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut client = world.client().await;
        let puts = (1..10).map(|number| world.put(9, number, "m", &format!("k{number}"), b"1"));
        client.push(puts.collect()).await;
        client.acks(9).await;
        // The first parts of a flush are stored, and the state record lags them.
        persistence.hooks().succeeds.store(3, Ordering::SeqCst);
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        world.sleep(FLUSHED).await;
        world.kill(server);
        let known = persistence.hooks().records.load(Ordering::SeqCst);
        assert!((1..9).contains(&known), "{known} of 9 records are stored");
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        world.journal = journal_of_before(&world).await;
        let told = diverged(&world).await;
        assert!(told.contains("database holds sequence"), "{told}");
        let server = ordered(&world).await;
        assert_eq!(keys(&server).await.len() as u64, known);
        put(&server, "later", b"2").await;
        let records = records(&server).await;
        let mut sequences: Vec<u64> = records.iter().map(|one| one.sequence.0).collect();
        sequences.sort_unstable();
        sequences.dedup();
        assert_eq!(sequences.len() as u64, known + 1, "no two share a place");
    });
}

async fn first(world: &World) -> Position {
    let identity = PartitionId::IDENTITY;
    world.journal.extent(identity).await.unwrap().truncated
}

/// A client's request whose cursor is beyond everything that was ever written.
pub(crate) fn ahead(world: &World, history: History) -> Message {
    let settings = &world.settings;
    let placement = Placement::new(&address("m"), settings.map_spread, settings.partition_count);
    Message::Subscribe(Subscribe {
        request: 1,
        map: MapName::new("m").unwrap(),
        selector: Selector::All,
        history,
        cursor: placement
            .partitions()
            .map(|id| (id, Sequence(500)))
            .collect(),
    })
}

pub(crate) async fn caught_up(client: &mut Client) -> CaughtUp {
    client
        .wait_for(|message| match message {
            Message::CaughtUp(caught_up) => Some(caught_up.clone()),
            _ => None,
        })
        .await
}

#[test]
fn a_cursor_beyond_what_there_is_is_told_to_be_of_no_use() {
    run(|world| async move {
        let server = world.start().await;
        put(&server, "k", b"1").await;
        let history = history(&world).await;
        let mut client = world.client().await;
        client.send(&ahead(&world, history)).await;
        let told = caught_up(&mut client).await;
        assert!(told.reset);
        assert_eq!(told.cursor.len(), usize::from(world.settings.map_spread));
        assert!(told.cursor.iter().all(|(_, sequence)| sequence.0 <= 1));
    });
}
