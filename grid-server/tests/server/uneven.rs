//! One partition of a worker that the database takes badly, and the others, which go on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use grid_core::address::Placement;
use grid_core::traits::{AddressedRecord, Persistence, Runtime, StateRecord};
use grid_core::{Error, ErrorKind, Key, MapAddress, PartitionId, Result};
use grid_server::Server;
use grid_storage_memory::MemoryPersistence;
use grid_testkit::hooks::{HookedPersistence, PersistenceHooks, lasting};

use super::dead_letters::settled;
use super::support::{World, address, cbor, run};

/// How long one call takes.
const CALL: Duration = Duration::from_millis(10);
/// The longest time after which a write to a sound partition is to be stored: an interval of
/// flushes, one pause because of the sick one, and some calls.
const SOON: Duration = Duration::from_millis(3_500);
/// Maps that are in sound partitions.
const SOUND: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A database that has a sick partition.
#[derive(Debug)]
struct Uneven {
    runtime: Arc<dyn Runtime>,
    /// Which partitions, and how their records fail.
    sick: Mutex<BTreeMap<PartitionId, ErrorKind>>,
    /// Calls for the sick partitions get no answer while it is set.
    is_stuck: AtomicBool,
    /// Calls for the sick partitions that have failed.
    failed: AtomicU64,
}

#[async_trait]
impl PersistenceHooks for Uneven {
    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        self.runtime.sleep(CALL).await;
        let sick = self.sick.lock().unwrap().get(&partition).copied();
        if let Some(kind) = sick.filter(|_| !records.is_empty()) {
            while self.is_stuck.load(Ordering::SeqCst) {
                self.runtime.sleep(CALL).await;
            }
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(Error::new(kind, "store", "the partition is sick"));
        }
        inner.store(partition, records, state).await
    }
}

/// Whether a database has this value.
async fn has(
    world: &World,
    database: &dyn Persistence,
    map: &MapAddress,
    key: &str,
    value: u8,
) -> bool {
    let (spread, count) = (world.settings.map_spread, world.settings.partition_count);
    let key = Key::new(key).unwrap();
    let partition = Placement::new(map, spread, count).partition(&key);
    let page = database.load(partition, None, 1_000).await.unwrap();
    let mut records = page.records.iter();
    records.any(|each| {
        let record = &each.record;
        each.address == *map && record.key == key && record.value == Some(cbor(&[value]))
    })
}

/// One worker, its database, and the maps of which each lies in one partition.
struct Ward {
    world: World,
    database: Arc<HookedPersistence<Uneven>>,
    server: Server,
    sick: MapAddress,
    partition: PartitionId,
}

impl Ward {
    /// A server of which the partition of the map `ailing` has stored one entry.
    async fn new(mut world: World) -> Self {
        world.settings.workers = 1;
        world.settings.map_spread = 1;
        world.settings.partition_count = 271;
        let uneven = Uneven {
            runtime: world.runtime(),
            sick: Mutex::default(),
            is_stuck: AtomicBool::new(false),
            failed: AtomicU64::new(0),
        };
        let memory = lasting(Arc::new(MemoryPersistence::new()));
        let database = Arc::new(HookedPersistence::new(memory, uneven));
        world.persistence = database.clone();
        let server = world.start().await;
        let mut ward = Self {
            world,
            database,
            server,
            sick: address("ailing"),
            partition: PartitionId(0),
        };
        let sick = ward.sick.clone();
        ward.partition = ward.put(&sick, "first", 0).await;
        ward.wait_until_stored(&sick, "first", 0, SOON).await;
        for map in SOUND {
            assert_ne!(ward.put(&address(map), "k", 0).await, ward.partition);
        }
        ward
    }

    /// Calls for the partition of the map `ailing` fail from now on.
    fn fall_sick(&self, kind: ErrorKind) {
        self.sicken(self.partition, kind);
    }

    fn sicken(&self, partition: PartitionId, kind: ErrorKind) {
        let mut sick = self.database.hooks().sick.lock().unwrap();
        sick.insert(partition, kind);
    }

    fn recover(&self) {
        self.database.hooks().sick.lock().unwrap().clear();
    }

    async fn put(&self, map: &MapAddress, key: &str, value: u8) -> PartitionId {
        let key = Key::new(key).unwrap();
        let written = self.server.handle().put(map, &key, cbor(&[value])).await;
        written.unwrap().partition
    }

    async fn is_stored(&self, map: &MapAddress, key: &str, value: u8) -> bool {
        has(&self.world, &*self.database, map, key, value).await
    }

    async fn wait_until_stored(&self, map: &MapAddress, key: &str, value: u8, most: Duration) {
        let mut waited = Duration::ZERO;
        while !self.is_stored(map, key, value).await {
            assert!(waited < most, "{map} is not stored after {waited:?}");
            self.world.sleep(CALL).await;
            waited += CALL;
        }
    }

    /// Writes to every sound partition some times; each write is stored soon.
    async fn others_go_on(&self, times: u8) {
        for value in 1..=times {
            for map in SOUND {
                self.put(&address(map), "k", value).await;
            }
            for map in SOUND {
                let map = address(map);
                self.wait_until_stored(&map, "k", value, SOON).await;
            }
        }
    }

    fn letters(&self) -> u64 {
        self.server.admin().lag().dead_letters
    }
}

#[test]
fn others_go_on_while_the_refused_versions_of_one_partition_are_looked_for() {
    run(|world| async move {
        let ward = Ward::new(world).await;
        ward.fall_sick(ErrorKind::Invalid);
        for number in 0..900 {
            ward.put(&ward.sick, &format!("k{number}"), 1).await;
        }
        // It takes nine seconds and more to find them all.
        ward.others_go_on(4).await;
        assert_eq!(ward.letters(), 0, "they are looked for still");
        let are_found = || ward.letters() == 900;
        ward.world.wait_until("they are not found", are_found).await;
    });
}

#[test]
fn others_go_on_while_one_partition_fails_and_it_is_stored_once_it_does_not() {
    for kind in [
        ErrorKind::Corrupt,
        ErrorKind::Conflict,
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
    ] {
        run(move |world| async move {
            let ward = Ward::new(world).await;
            ward.fall_sick(kind);
            ward.put(&ward.sick, "first", 1).await;
            ward.others_go_on(10).await;
            let failed = ward.server.admin().metrics().counts.failed_batches;
            assert!(failed > 1, "{kind:?}: it was tried {failed} times");
            assert!(!ward.is_stored(&ward.sick, "first", 1).await);
            ward.recover();
            let longest = Duration::from_secs(31);
            ward.wait_until_stored(&ward.sick, "first", 1, longest)
                .await;
            ward.others_go_on(1).await;
        });
    }
}

#[test]
fn others_go_on_while_a_letter_of_one_partition_is_being_stored_again() {
    run(|world| async move {
        let ward = Ward::new(world).await;
        ward.fall_sick(ErrorKind::Invalid);
        ward.put(&ward.sick, "first", 1).await;
        let admin = ward.server.admin();
        settled(&ward.world, &ward.server).await;
        let letter = admin.dead_letters(None, 1).await.unwrap().letters.remove(0);
        ward.database.hooks().is_stuck.store(true, Ordering::SeqCst);
        let retry = admin.retry_dead_letter(&letter.id);
        let others = async {
            ward.others_go_on(3).await;
            assert_eq!(ward.letters(), 1);
            ward.database
                .hooks()
                .is_stuck
                .store(false, Ordering::SeqCst);
        };
        let (refused, ()) = futures::future::join(retry, others).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
        ward.recover();
        admin.retry_dead_letter(&letter.id).await.unwrap();
        assert!(ward.is_stored(&ward.sick, "first", 1).await);
    });
}

#[test]
fn a_shutdown_stores_the_sound_partitions_and_gives_up_each_sick_one_after_a_few_tries() {
    for kind in [
        ErrorKind::Corrupt,
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
    ] {
        run(move |world| async move {
            let ward = Ward::new(world).await;
            let second = address("second");
            ward.fall_sick(kind);
            ward.put(&ward.sick, "first", 1).await;
            ward.sicken(ward.put(&second, "k", 1).await, kind);
            // They fail, and their waits are longer by then.
            ward.world.sleep(Duration::from_secs(5)).await;
            for map in SOUND {
                ward.put(&address(map), "k", 1).await;
            }
            let Ward {
                world,
                database,
                server,
                sick,
                ..
            } = ward;
            let tries = || database.hooks().failed.load(Ordering::SeqCst);
            let (before, begun) = (tries(), world.now_ms());
            server.shutdown().await.unwrap();
            let tries = tries() - before;
            assert!((2..=6).contains(&tries), "{kind:?}: {tries} tries");
            let took = world.now_ms() - begun;
            assert!(took < 1_000, "{kind:?}: it waited {took} ms");
            for map in SOUND {
                let is_stored = has(&world, &*database, &address(map), "k", 1).await;
                assert!(is_stored, "{kind:?}: {map} is not stored");
            }
            database.hooks().sick.lock().unwrap().clear();
            let server = world.start().await;
            settled(&world, &server).await;
            assert!(has(&world, &*database, &sick, "first", 1).await);
            assert!(has(&world, &*database, &second, "k", 1).await);
        });
    }
}
