use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{Either, select};
use grid_core::op::AckLevel;
use grid_core::protocol::{Message, Selector};
use grid_core::traits::Journal;
use grid_core::{ErrorKind, Key, PartitionId};
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_testkit::ModelDisk;

use super::faulty::faulty_persistence;
use super::owners::give_to;
use super::support::{World, address, cbor, run};

#[test]
fn a_shutdown_answers_what_was_taken_stores_it_and_says_goodbye() {
    run(|mut world| async move {
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        let server = world.start().await;
        let mut client = world.client().await;
        let ops = (1..=50).map(|n| world.put(9, n, "m", &format!("k{n}"), b"v"));
        client.push(ops.collect()).await;
        client.acks(50).await;
        server.shutdown().await.unwrap();
        let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
            panic!("no goodbye");
        };
        assert_eq!(goodbye.code, 4);
        assert_eq!(persistence.hooks().records.load(Ordering::SeqCst), 50);
        // Everything is in the database now, and the journal is empty but for the data set.
        for id in (0..world.settings.partition_count).map(PartitionId) {
            let extent = world.journal.extent(id).await.unwrap();
            assert_eq!(extent.truncated, extent.tail, "partition {id}");
        }
        let again = world.start().await;
        let page = again
            .handle()
            .page(&address("m"), &Selector::All, None, 100)
            .await
            .unwrap();
        assert_eq!(page.records.len(), 50);
    });
}

#[test]
fn a_shutdown_answers_who_waits_for_the_database_once_it_has_the_write() {
    run(|mut world| async move {
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        world.settings.flush_interval_ms = 3_600_000;
        let server = world.start().await;
        let mut client = world.client().await;
        let gate = persistence.hooks().gate.lock().await;
        // As many partitions as both workers have.
        let mut ops: Vec<_> = (1..=20)
            .map(|n| world.put(9, n, "m", &format!("k{n}"), b"v"))
            .collect();
        for op in &mut ops {
            op.ack = Some(AckLevel::Stored);
        }
        client.push(ops).await;
        client.answer_pings(Duration::from_millis(100)).await;
        let handle = server.handle();
        let shutdown = Box::pin(server.shutdown());
        // It waits for the database, which is slow.
        let waiting = select(shutdown, Box::pin(world.sleep(Duration::from_secs(1)))).await;
        let Either::Right((_, shutdown)) = waiting else {
            panic!("it did not wait for the database");
        };
        let key = Key::new("late").unwrap();
        let error = handle.put(&address("m"), &key, cbor(b"v")).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Closed);
        drop(gate);
        shutdown.await.unwrap();
        let acks = client.acks(20).await;
        assert!(acks.iter().all(|ack| ack.exceptions.is_empty()));
        assert!(matches!(client.farewell().await, Some(Message::Goodbye(_))));
        assert_eq!(persistence.hooks().records.load(Ordering::SeqCst), 20);
    });
}

#[test]
fn a_shutdown_does_not_wait_for_a_database_for_ever() {
    run(|mut world| async move {
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        let server = world.start().await;
        let mut client = world.client().await;
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut op = world.put(9, 1, "m", "k", b"v");
        op.ack = Some(AckLevel::Stored);
        client.push(vec![op]).await;
        client.answer_pings(Duration::from_millis(100)).await;
        let begun = world.now_ms();
        server.shutdown().await.unwrap();
        let took = world.now_ms() - begun;
        let patience = world.settings.drain_ms;
        assert!((patience..4 * patience).contains(&took), "{took} ms");
        assert!(matches!(client.farewell().await, Some(Message::Goodbye(_))));
        // It was not acked, and not lost.
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        let again = world.start().await;
        let key = Key::new("k").unwrap();
        let found = again.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(found.unwrap().value, Some(cbor(b"v")));
    });
}

/// A layer that takes note of the connections that it sees.
#[derive(Clone)]
struct Seen {
    inner: grid_server::GatewayService,
    session: Arc<std::sync::Mutex<std::sync::Weak<grid_server::Session>>>,
}

impl tower::Service<grid_server::Request> for Seen {
    type Response = ();
    type Error = grid_core::Error;
    type Future = <grid_server::GatewayService as tower::Service<grid_server::Request>>::Future;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<grid_core::Result<()>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: grid_server::Request) -> Self::Future {
        *self.session.lock().unwrap() = Arc::downgrade(&request.session);
        self.inner.call(request)
    }
}

#[test]
fn nothing_is_kept_of_a_connection_that_is_gone() {
    run(|world| async move {
        let session = Arc::<std::sync::Mutex<std::sync::Weak<grid_server::Session>>>::default();
        let noted = session.clone();
        let layer = tower::layer::layer_fn(move |inner| {
            let session = noted.clone();
            Seen { inner, session }
        });
        let builder = world.builder().layer(grid_server::GatewayLayer::new(layer));
        let _server = world.start_with(builder).await;
        let mut client = world.client().await;
        client
            .subscribe("m", Selector::All, grid_core::History(0), Vec::new())
            .await;
        client.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        client.acks(1).await;
        assert!(session.lock().unwrap().upgrade().is_some());
        client.connection.close().await;
        // Until those who wait for it to end have noticed.
        world.sleep(Duration::from_secs(60)).await;
        assert!(session.lock().unwrap().upgrade().is_none());
    });
}

#[test]
fn a_setting_that_is_zero_and_must_not_be_stops_the_start_by_name() {
    run(|world| async move {
        type Change = fn(&mut grid_server::Settings);
        let cases: [(&str, Change); 6] = [
            ("mailbox_messages", |settings| settings.mailbox_messages = 0),
            ("batch_ops", |settings| settings.batch_ops = 0),
            ("flush_records", |settings| settings.flush_records = 0),
            ("send_queue_bytes", |settings| settings.send_queue_bytes = 0),
            ("push_window", |settings| settings.push_window = 0),
            ("housekeeping_ms", |settings| settings.housekeeping_ms = 0),
        ];
        for (name, change) in cases {
            let mut world = world.clone();
            change(&mut world.settings);
            let error = world.builder().start().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
            assert!(error.message().contains(name), "{error}");
        }
    });
}

#[test]
fn a_client_that_has_not_said_who_it_is_does_not_delay_a_shutdown() {
    run(|world| async move {
        let server = world.start().await;
        let mut silent = world.connect().await;
        world.client().await;
        let before = world.now_ms();
        server.shutdown().await.unwrap();
        assert!(world.now_ms() - before < 1_000);
        let Some(Message::Refused(refused)) = silent.farewell().await else {
            panic!("not told why");
        };
        assert!(refused.retryable && refused.code == 4, "{refused:?}");
    });
}

#[test]
fn a_dropped_server_lets_go_of_its_address_and_connections() {
    run(|world| async move {
        let server = world.start().await;
        let mut client = world.client().await;
        drop(server);
        client.farewell().await;
        world.sleep(Duration::from_millis(1)).await;
        let _again = world.start().await;
        world.client().await;
    });
}

#[test]
fn a_data_set_cannot_be_opened_with_other_partitions_or_mixed_up_with_another() {
    run(|world| async move {
        let server = world.start().await;
        server.shutdown().await.unwrap();
        let mut other = world.clone();
        other.persistence = faulty_persistence();
        other.settings.partition_count = 14;
        let error = other.builder().start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(
            error.message().contains("13") && error.message().contains("14"),
            "{error}"
        );
        let mut spread = world.clone();
        spread.persistence = faulty_persistence();
        spread.settings.map_spread = 4;
        let error = spread.builder().start().await.unwrap_err();
        assert!(error.message().contains("`map_spread` 3"), "{error}");
        // A database of another data set.
        let mut foreign = world.clone();
        foreign.persistence = faulty_persistence();
        let mut own = foreign.clone();
        own.journal = Arc::new(grid_server::MemoryJournal::new());
        own.start().await.shutdown().await.unwrap();
        let error = foreign.builder().start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Diverged);
        assert!(error.message().contains("different data sets"), "{error}");
    });
}

#[test]
fn a_fenced_server_writes_nothing_more() {
    run(|mut world| async move {
        world.settings.workers = 1;
        let ownership = Arc::new(grid_server::LocalOwnership::new());
        let builder = world.builder().ownership(ownership.clone()).node("first");
        let server = world.start_with(builder).await;
        let mut client = world.client().await;
        let mut expires = world.put(9, 1, "m", "k", b"1");
        expires.action = grid_core::op::Action::Put {
            value: cbor(b"1"),
            ttl_ms: Some(2_000),
        };
        client.push(vec![expires]).await;
        let partition = client.acks(1).await[0].partition;
        // Another node takes over, in the table and in the journal.
        give_to(&ownership, partition, "second").await;
        world.sleep(Duration::from_millis(1)).await;
        client.push(vec![world.put(9, 2, "m", "k", b"2")]).await;
        let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
            panic!("no goodbye");
        };
        assert!(goodbye.message.contains("does not own"), "{goodbye:?}");
        // What is due by time is the new owner's business too.
        world.sleep(Duration::from_secs(5)).await;
        let extent = world.journal.extent(partition).await.unwrap();
        assert_eq!(extent.tail.0, 2, "the epoch record and the first write");
        drop(server);
    });
}

/// A merge rule with a fault.
#[derive(Debug)]
struct Panics;

impl grid_core::traits::Resolver for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn resolve(
        &self,
        _: &grid_core::Record,
        _: &grid_core::Record,
    ) -> grid_core::traits::Resolution {
        panic!("told to")
    }
}

#[tokio::test]
async fn a_panic_in_a_worker_ends_the_server_and_is_told() {
    let runtime: Arc<dyn grid_core::traits::Runtime> =
        Arc::new(grid_runtime_tokio::TokioRuntime::current().unwrap());
    let server = grid_server::Server::builder()
        .runtime(runtime.clone())
        .journal(Arc::new(grid_server::MemoryJournal::new()))
        .persistence(faulty_persistence())
        .resolver(Arc::new(Panics))
        .start()
        .await
        .unwrap();
    let (key, map) = (Key::new("k").unwrap(), address("m"));
    server.handle().put(&map, &key, cbor(b"1")).await.unwrap();
    let error = server
        .handle()
        .put(&map, &key, cbor(b"2"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    let failed = Box::pin(server.failed());
    let told = select(failed, runtime.sleep(Duration::from_secs(30))).await;
    assert!(matches!(told, Either::Left(_)));
    drop(told);
    // Whatever is asked of it now gets an answer.
    let error = server.handle().get(&map, &key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(server.shutdown().await.is_err());
}

/// Completes when the server fails, which is soon.
async fn fails(world: &World, server: &grid_server::Server) -> bool {
    let failed = Box::pin(server.failed());
    let failed = select(failed, Box::pin(world.sleep(Duration::from_secs(30)))).await;
    matches!(failed, Either::Left(_))
}

#[test]
fn a_journal_that_ends_by_itself_ends_the_server() {
    run(|mut world| async move {
        let (key, map) = (Key::new("k").unwrap(), address("m"));
        for has_unstored in [false, true] {
            let disk = Arc::new(ModelDisk::new(1));
            let options = JournalOptions::default();
            let journal = LocalJournal::open(disk, world.runtime(), options).await;
            let journal = Arc::new(journal.unwrap());
            world.journal = journal.clone();
            world.persistence = faulty_persistence();
            let server = world.builder().start().await.unwrap();
            if has_unstored {
                server.handle().put(&map, &key, cbor(b"1")).await.unwrap();
            }
            // As if its task had panicked: it answers nobody any more.
            journal.close().await.unwrap();
            if !has_unstored {
                let refused = server.handle().put(&map, &key, cbor(b"1")).await;
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
            }
            // Else what was stored is to be forgotten.
            assert!(fails(&world, &server).await);
        }
    });
}
