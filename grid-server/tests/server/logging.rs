use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use grid_core::protocol::{DAMAGED_FRAME, Goodbye, Message};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::dead_letters;
use super::faulty::{Mode, faulty_journal, faulty_persistence};
use super::support::run;

/// Keeps the levels of what is logged and not hidden by default.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<Level>>>);

impl Log {
    fn count(&self, level: Level) -> usize {
        let levels = self.0.lock().unwrap();
        levels.iter().filter(|logged| **logged == level).count()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(*event.metadata().level());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_full_disk_is_logged_when_it_begins_and_when_it_ends() {
    let log = Log::default();
    let told = log.clone();
    let test = || {
        run(|mut world| async move {
            let journal = faulty_journal();
            world.journal = journal.clone();
            world.settings.workers = 1;
            let _server = world.start().await;
            let mut client = world.client().await;
            journal.hooks().set(Mode::Full);
            let ops: Vec<_> = (1..20)
                .map(|number| world.put(9, number, "m", &format!("k{number}"), b"x"))
                .collect();
            client.push(ops.clone()).await;
            client.deferred().await;
            for _ in 0..10 {
                world.sleep(Duration::from_millis(500)).await;
                client.resume(ops.clone()).await;
                client.deferred().await;
            }
            assert_eq!((log.count(Level::WARN), log.count(Level::INFO)), (1, 0));
            journal.hooks().set(Mode::Well);
            for _ in 0..2 {
                client.resume(ops.clone()).await;
                client.acks(19).await;
            }
            assert_eq!((log.count(Level::WARN), log.count(Level::INFO)), (1, 1));
        });
    };
    tracing::subscriber::with_default(told, test);
}

#[test]
fn a_database_that_goes_away_and_comes_back_is_told_of_at_both_times() {
    let log = Log::default();
    let told = log.clone();
    let test = || {
        run(|mut world| async move {
            let persistence = faulty_persistence();
            world.persistence = persistence.clone();
            // Each worker has a write-behind of its own, and one line is enough.
            world.settings.workers = 2;
            world.settings.map_spread = 16;
            let server = world.start().await;
            let mut client = world.client().await;
            for round in 0..2 {
                let warnings = log.count(Level::WARN);
                persistence.hooks().fails.store(true, Ordering::SeqCst);
                let ops = (1..=40).map(|number| {
                    world.put(9, 40 * round + number, "m", &format!("k{number}"), b"x")
                });
                client.push(ops.collect()).await;
                client.acks(40).await;
                client.answer_pings(Duration::from_secs(20)).await;
                assert!(log.count(Level::WARN) > warnings);
                assert_eq!(log.count(Level::INFO) as u64, round);
                persistence.hooks().fails.store(false, Ordering::SeqCst);
                dead_letters::settled(&world, &server).await;
                assert_eq!(log.count(Level::INFO) as u64, round + 1);
            }
        });
    };
    tracing::subscriber::with_default(told, test);
}

#[test]
fn what_an_operator_does_with_a_dead_letter_is_told() {
    let log = Log::default();
    let told = log.clone();
    let test = || {
        run(|mut world| async move {
            let (persistence, server) = dead_letters::start(&mut world, &["a", "b"]).await;
            let mut client = world.client().await;
            dead_letters::push(&world, &mut client, 1, &["a", "b"]).await;
            let letters = dead_letters::letters(&server).await;
            let before = (log.count(Level::WARN), log.count(Level::INFO));
            let admin = server.admin();
            admin.retry_dead_letter(&letters[0].id).await.unwrap_err();
            assert_eq!((log.count(Level::WARN), log.count(Level::INFO)), before);
            persistence.hooks().refused.lock().unwrap().clear();
            admin.retry_dead_letter(&letters[0].id).await.unwrap();
            let retried = (before.0, before.1 + 1);
            assert_eq!((log.count(Level::WARN), log.count(Level::INFO)), retried);
            for _ in 0..2 {
                // The second time there is no such letter, and nothing is done.
                let _ = admin.drop_dead_letter(&letters[1].id).await;
                let dropped = (before.0 + 1, before.1 + 1);
                assert_eq!((log.count(Level::WARN), log.count(Level::INFO)), dropped);
            }
        });
    };
    tracing::subscriber::with_default(told, test);
}

#[test]
fn a_line_that_damages_frames_is_told_whichever_side_sees_it() {
    let log = Log::default();
    let told = log.clone();
    let test = || {
        run(|world| async move {
            let _server = world.start().await;
            for (code, warnings) in [(4, 0), (DAMAGED_FRAME, 1), (DAMAGED_FRAME, 2)] {
                let mut client = world.client().await;
                let message = "told by the client".to_owned();
                let goodbye = Message::Goodbye(Goodbye { code, message });
                client.send(&goodbye).await;
                client.farewell().await;
                assert_eq!(log.count(Level::WARN), warnings);
            }
            let mut client = world.client().await;
            client
                .send_raw(Bytes::from_static(b"noise on the line"))
                .await;
            client.farewell().await;
            assert_eq!(log.count(Level::WARN), 3);
        });
    };
    tracing::subscriber::with_default(told, test);
}

#[test]
fn a_server_that_was_put_back_says_once_for_each_partition_that_clients_saw_more() {
    let log = Log::default();
    let told = log.clone();
    let test = || {
        run(|mut world| async move {
            world.settings.map_spread = 1;
            let _server = world.start().await;
            let history = super::restoring::history(&world).await;
            for _ in 0..3 {
                let mut client = world.client().await;
                client.send(&super::restoring::ahead(&world, history)).await;
                super::restoring::caught_up(&mut client).await;
            }
            assert_eq!(log.count(Level::ERROR), 1);
        });
    };
    tracing::subscriber::with_default(told, test);
}
