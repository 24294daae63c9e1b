//! Limits on what clients send.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grid_core::Result;
use grid_core::protocol::Message;
use grid_core::traits::{Append, Journal, Position};
use grid_server::MemoryJournal;
use grid_testkit::hooks::{HookedJournal, JournalHooks};

use super::support::{World, hello, run, welcome_of};

/// A client that keeps to its window is told how long to wait, and everything it wrote arrives.
#[test]
fn what_comes_too_fast_is_put_off_and_comes_again() {
    run(|mut world: World| async move {
        world.settings.client_ops_per_second = 10;
        let server = world.start().await;
        let mut newcomer = world.connect().await;
        newcomer.send(&hello(world.now_ms())).await;
        let welcome = welcome_of(newcomer.next().await);
        assert_eq!(welcome.push_window, 10, "no more than may come at once");
        let mut client = world.client().await;
        let op = |number: u64| world.put(9, number, "m", &format!("k{number}"), b"v");
        let began = world.now_ms();
        client.push((1..=10).map(op).collect()).await;
        client.acks(10).await;
        assert!(
            world.now_ms() - began < 500,
            "a second's worth is let in at once"
        );
        client.push((11..=15).map(op).collect()).await;
        let deferred = client.deferred().await;
        assert_eq!((deferred.run.0, deferred.from), (9, 11));
        assert!(
            (100..=150).contains(&deferred.retry_after_ms),
            "{deferred:?}"
        );
        // What was on its way already is dropped, and comes again.
        client.push((16..=17).map(op).collect()).await;
        let wait = Duration::from_millis(deferred.retry_after_ms.into());
        world.sleep(wait).await;
        client.resume((11..=15).map(op).collect()).await;
        client.acks(5).await;
        world.sleep(Duration::from_secs(1)).await;
        client.push((16..=17).map(op).collect()).await;
        client.acks(2).await;
        server.shutdown().await.unwrap();
    });
}

/// A journal that does not come back from an append until it is told to.
#[derive(Debug, Default)]
struct Stuck(tokio::sync::Notify);

#[async_trait]
impl JournalHooks for Stuck {
    async fn append(&self, inner: &dyn Journal, appends: Vec<Append>) -> Vec<Result<Position>> {
        self.0.notified().await;
        self.0.notify_one();
        inner.append(appends).await
    }
}

/// A world in which one worker is stuck with its first batch and may have one message waiting.
fn stuck(world: &mut World) -> Arc<HookedJournal<Stuck>> {
    let journal = Arc::new(HookedJournal::new(
        Arc::new(MemoryJournal::new()),
        Stuck::default(),
    ));
    world.journal = journal.clone();
    world.settings.workers = 1;
    world.settings.mailbox_messages = 1;
    journal
}

#[test]
fn a_server_that_is_behind_puts_off_what_it_has_no_room_for() {
    run(|mut world: World| async move {
        let journal = stuck(&mut world);
        world.settings.waiting_bytes = 1000;
        journal.hooks().0.notify_one();
        let server = world.start().await;
        journal.hooks().0.notified().await;
        let value = [7; 400];
        let op = |run, number| world.put(run, number, "m", "k", &value);
        // One is decided, one is in the mailbox, one waits for it; then there is no room.
        let mut first = world.client().await;
        for number in 1..=4 {
            first.push(vec![op(9, number)]).await;
        }
        world.sleep(Duration::from_millis(10)).await;
        let mut second = world.client().await;
        for number in 1..=3 {
            second.push(vec![op(8, number), op(8, 10 + number)]).await;
        }
        let deferred = second.deferred().await;
        assert_eq!(deferred.run.0, 8);
        assert!(deferred.message.contains("try again later"), "{deferred:?}");
        journal.hooks().0.notify_one();
        first.acks(4).await;
        let again = (deferred.from..=3).flat_map(|number| [op(8, number)]);
        second.resume(again.collect()).await;
        second.acks(1).await;
        drop(server);
    });
}

#[test]
fn a_request_that_waits_too_long_ends_its_connection() {
    run(|mut world: World| async move {
        let journal = stuck(&mut world);
        world.settings.request_timeout_ms = 2000;
        journal.hooks().0.notify_one();
        let server = world.start().await;
        journal.hooks().0.notified().await;
        let mut client = world.client().await;
        for number in 1..=5 {
            client
                .push(vec![world.put(9, number, "m", "k", b"v")])
                .await;
        }
        let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
            panic!("no goodbye");
        };
        assert!(goodbye.message.contains("2000 ms"), "{}", goodbye.message);
        // It comes back, pushes again what has no verdict, and everything is there once.
        journal.hooks().0.notify_one();
        let mut client = world.client().await;
        let again = (1..=5).map(|number| world.put(9, number, "m", "k", b"v"));
        client.resume(again.collect()).await;
        client.acks(5).await;
        drop(server);
    });
}
