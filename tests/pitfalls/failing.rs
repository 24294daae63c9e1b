//! A database that fails for one map.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use grid_core::traits::{AddressedRecord, Persistence, StateRecord};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use grid_testkit::hooks::{HookedPersistence, PersistenceHooks};
use hybrid_grid::Fate;
use tokio::sync::watch;

use crate::world::{Site, agree, soon, verdict};

const BAD: &str = "bad-map";
const GOOD: [&str; 6] = ["good-map", "other", "a/b", "ключ", "o'neil", "m"];

/// Takes nothing of one map while told so.
#[derive(Debug)]
struct Faults {
    fails: AtomicBool,
    failures: watch::Sender<usize>,
    stored: watch::Sender<usize>,
}

impl Faults {
    fn new() -> Self {
        Self {
            fails: AtomicBool::new(true),
            failures: watch::Sender::new(0),
            stored: watch::Sender::new(0),
        }
    }

    async fn wait(count: &watch::Sender<usize>, least: usize, what: &str) {
        let mut count = count.subscribe();
        let reached = count.wait_for(|count| *count >= least);
        drop(soon(what, reached).await.unwrap());
    }
}

#[async_trait]
impl PersistenceHooks for Faults {
    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        let is_bad = |each: &AddressedRecord| each.address.map.as_str() == BAD;
        if self.fails.load(Ordering::SeqCst) && records.iter().any(is_bad) {
            self.failures.send_modify(|failures| *failures += 1);
            return Err(Error::new(
                ErrorKind::Io,
                "store",
                "a name that it cannot take",
            ));
        }
        inner.store(partition, records, state).await?;
        self.stored.send_modify(|stored| *stored += records.len());
        Ok(())
    }
}

/// A database that fails for one map, again and again, does not hang the server: all maps, that
/// one included, are read, written, acked and followed, the others are stored, and when it works
/// again everything is.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_08_a_storage_error_in_one_map_leaves_the_others_served() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("grid.db").display());
    let mut site = Site::new().await;
    site.database(&database).await;
    let faulty = HookedPersistence::new(site.persistence.clone(), Faults::new());
    let faulty = Arc::new(faulty);
    site.persistence = faulty.clone();
    let faults = faulty.hooks();
    // One worker and one partition for each map: nobody else is to help.
    site.settings.workers = 1;
    site.settings.map_spread = 1;
    let server = site.start().await;
    let device = site.device().open().await.unwrap();
    let other = site.device().open().await.unwrap();
    let bad = device.map::<u32>(BAD).unwrap();
    let put = bad.put("k", &0).await.unwrap();
    assert_eq!(verdict(put).await.unwrap(), Fate::Acked);
    Faults::wait(&faults.failures, 1, "the first failure").await;
    for (round, name) in (1..).zip(GOOD) {
        let map = device.map::<u32>(name).unwrap();
        for key in ["k", "with-hyphen"] {
            let put = map.put(key, &round).await.unwrap();
            assert_eq!(verdict(put).await.unwrap(), Fate::Acked, "{name}");
        }
        let put = bad.put("k", &round).await.unwrap();
        assert_eq!(verdict(put).await.unwrap(), Fate::Acked);
        assert_eq!(agree::<u32>(&[&device, &other], name).await.len(), 2);
        assert_eq!(agree::<u32>(&[&device, &other], BAD).await["k"], round);
    }
    // It went on trying, and kept nobody else's records back.
    Faults::wait(&faults.failures, 3, "more failures").await;
    Faults::wait(&faults.stored, 2 * GOOD.len(), "the others' records").await;
    faults.fails.store(false, Ordering::SeqCst);
    Faults::wait(&faults.stored, 2 * GOOD.len() + 1, "the bad map's record").await;
    server.shutdown().await.unwrap();

    site.database(&database).await;
    let _server = site.start().await;
    let stranger = site.device().open().await.unwrap();
    for name in GOOD {
        assert_eq!(agree::<u32>(&[&stranger, &other], name).await.len(), 2);
    }
    assert_eq!(agree::<u32>(&[&stranger, &other], BAD).await["k"], 6);
}
