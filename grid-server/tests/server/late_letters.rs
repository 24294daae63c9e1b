//! Dead letters that arrive after what they hold is of the past.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use grid_core::traits::{AddressedRecord, Persistence, RecordCursor, StateRecord};
use grid_core::{Error, ErrorKind, Key, PartitionId, Result};
use grid_server::{DeadLetter, LocalOwnership, Server};
use grid_storage_memory::MemoryPersistence;
use grid_testkit::hooks::{HookedPersistence, PersistenceHooks, lasting};
use tokio::sync::Semaphore;

use super::dead_letters::settled;
use super::owners::{give_all_to, two, value};
use super::support::{World, address, cbor, run};

/// A table that refuses entries while it is told so, and on the way to which the first letter is
/// held up.
#[derive(Debug)]
struct Slow {
    refuses: AtomicBool,
    holds: AtomicBool,
    /// Lets the letter that is held up go on.
    open: Semaphore,
}

#[async_trait]
impl PersistenceHooks for Slow {
    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        if partition == PartitionId::DEAD_LETTERS {
            if self.holds.swap(false, Ordering::SeqCst) {
                self.open.acquire().await.unwrap().forget();
            }
        } else if self.refuses.load(Ordering::SeqCst) && !records.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "store", "told to refuse"));
        }
        inner.store(partition, records, state).await
    }
}

/// Two servers, and a letter of the first one that has arrived after the second one had stored that
/// the entry `k` was removed.
struct Late {
    database: Arc<HookedPersistence<Slow>>,
    owners: LocalOwnership,
    first: Server,
    second: Server,
    partition: PartitionId,
}

impl Late {
    async fn new(world: &mut World) -> Self {
        let slow = Slow {
            refuses: AtomicBool::new(true),
            holds: AtomicBool::new(true),
            open: Semaphore::new(0),
        };
        let memory = lasting(Arc::new(MemoryPersistence::new()));
        let database = Arc::new(HookedPersistence::new(memory, slow));
        world.persistence = database.clone();
        world.settings.retention_ms = 10_000;
        let owners = LocalOwnership::new();
        let (first, second) = two(world, &owners, false).await;
        let (map, key) = (address("m"), Key::new("k").unwrap());
        first.handle().put(&map, &key, cbor(b"1")).await.unwrap();
        let is_held_up = || !database.hooks().holds.load(Ordering::SeqCst);
        world.wait_until("no letter is written", is_held_up).await;
        give_all_to(&owners, "second").await;
        world.sleep(Duration::from_millis(100)).await;
        database.hooks().refuses.store(false, Ordering::SeqCst);
        let removed = second.handle().remove(&map, &key).await.unwrap();
        settled(world, &second).await;
        assert_eq!(letters(&second).await, []);
        database.hooks().open.add_permits(1);
        world.sleep(Duration::from_millis(100)).await;
        assert_eq!(letters(&second).await.len(), 1);
        Self {
            database,
            owners,
            first,
            second,
            partition: removed.partition,
        }
    }

    /// Whether the database has the entry, be it as a tombstone.
    async fn has_entry(&self) -> bool {
        let page = self.database.load(self.partition, None, 10).await.unwrap();
        let keys = page.records.iter().map(|each| RecordCursor::of(each).key);
        keys.into_iter().any(|key| key.as_str() == "k")
    }
}

async fn letters(server: &Server) -> Vec<DeadLetter> {
    let page = server.admin().dead_letters(None, 10).await.unwrap();
    page.letters
}

#[test]
fn a_letter_that_arrives_late_brings_nothing_back_when_the_removal_is_forgotten() {
    run(|mut world| async move {
        let late = Late::new(&mut world).await;
        assert!(late.has_entry().await, "its tombstone");
        // For longer than tombstones are kept.
        world.sleep(Duration::from_secs(25)).await;
        assert!(!late.has_entry().await);
        late.first.shutdown().await.unwrap();
        late.second.shutdown().await.unwrap();
        give_all_to(&late.owners, "third").await;
        let builder = world.builder().ownership(Arc::new(late.owners.clone()));
        let third = builder.node("third").start().await.unwrap();
        assert_eq!(value(&third, "k").await.unwrap(), None);
        assert_eq!(letters(&third).await, []);
    });
}

#[test]
fn an_operator_who_asks_for_a_letter_that_arrived_late_is_told_that_it_is_settled() {
    for drops in [false, true] {
        run(move |mut world| async move {
            let late = Late::new(&mut world).await;
            let id = letters(&late.second).await.remove(0).id;
            let admin = late.second.admin();
            let answer = if drops {
                admin.drop_dead_letter(&id).await
            } else {
                admin.retry_dead_letter(&id).await
            };
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(letters(&late.second).await, []);
            assert_eq!(value(&late.second, "k").await.unwrap(), None);
        });
    }
}
