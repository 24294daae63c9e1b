//! What an ack promises, on a disk that forgets what was not synced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::Runtime;
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_server::{Server, Settings};
use grid_testkit::ModelDisk;
use grid_testkit::sim::{Executor, Network, PartyId, SimRuntime};
use hybrid_grid::{Fate, Grid, registry};

use crate::world::contents;

const MAP: &str = "notes";
const TEST: PartyId = PartyId(1);
const SERVER: PartyId = PartyId(2);
const DEVICE: PartyId = PartyId(3);
const STRANGER: PartyId = PartyId(4);
const URL: &str = "sim://server";
/// Steps after which a run counts as stuck.
const MAX_STEPS: u64 = 5_000_000;
const LIVES: u32 = 5;
const WRITES: u32 = 25;
const SEEDS: u64 = 10;

/// A server in a simulated world, on a disk that loses what was not synced when its power fails.
#[derive(Clone)]
struct World {
    executor: Executor,
    network: Network,
    disk: ModelDisk,
    database: String,
}

impl World {
    fn new(seed: u64, ignore_sync: bool) -> Self {
        let executor = Executor::new(seed);
        let disk = ModelDisk::new(seed);
        disk.ignore_sync(ignore_sync);
        Self {
            network: Network::new(&executor),
            disk,
            database: format!("memory:pitfall-10-{seed}-{ignore_sync}"),
            executor,
        }
    }

    fn runtime(&self, party: PartyId) -> Arc<dyn Runtime> {
        Arc::new(SimRuntime::new(&self.executor, party))
    }

    async fn start(&self) -> grid_core::Result<Server> {
        let runtime = self.runtime(SERVER);
        let disk = Arc::new(self.disk.clone());
        let options = JournalOptions::default();
        let journal = LocalJournal::open(disk, runtime.clone(), options).await?;
        let backends = registry();
        let database = backends.open_persistence(&self.database, runtime.clone());
        let database = database.await?;
        let listener = self.network.transport(SERVER).listen(URL).await?;
        Server::builder()
            .runtime(runtime)
            .journal(Arc::new(journal))
            .persistence(database)
            .settings(Settings {
                // What was acked must not hang on the database having it by chance.
                flush_interval_ms: 3_600_000,
                ..Settings::default()
            })
            .listen(listener)
            .start()
            .await
    }

    /// Cuts the power of server and disk.
    fn crash(&self, server: Server) {
        self.executor.crash(SERVER);
        self.network.crash(SERVER, false);
        drop(server);
        self.disk.crash();
    }

    async fn open(&self, party: PartyId) -> Grid {
        let builder = Grid::builder().runtime(self.runtime(party)).server(URL);
        let builder = builder.transport(self.network.transport(party));
        builder.open().await.unwrap()
    }
}

/// What the server has, as somebody sees it who has just come.
async fn held(world: &World) -> BTreeMap<String, u32> {
    let grid = world.open(STRANGER).await;
    let map = grid.map::<u32>(MAP).unwrap();
    grid.flushed().await.unwrap();
    let held = contents(&map);
    grid.close().await.unwrap();
    held
}

/// Writes, waits for each ack, and cuts the power the moment the last one has come, some times
/// over. How many acked writes the server does not have afterwards.
async fn lost(world: World) -> usize {
    let mut acked: BTreeMap<String, u32> = BTreeMap::new();
    let mut number = 0;
    for _ in 0..LIVES {
        let Ok(server) = world.start().await else {
            // Not even the journal's own beginning outlived the power cut.
            return acked.len();
        };
        let missing = missing(&acked, &held(&world).await);
        if missing > 0 {
            return missing;
        }
        let grid = world.open(DEVICE).await;
        let map = grid.map::<u32>(MAP).unwrap();
        for _ in 0..WRITES {
            number += 1;
            let key = format!("k{}", number % 40);
            let put = map.put(&key, &number).await.unwrap();
            assert_eq!(put.acked().await.unwrap(), Fate::Acked);
            acked.insert(key, number);
        }
        world.crash(server);
        world.executor.crash(DEVICE);
        world.network.crash(DEVICE, false);
        drop((map, grid));
        // The world goes on for a moment.
        world.runtime(TEST).sleep(Duration::from_secs(1)).await;
    }
    match world.start().await {
        Ok(_server) => missing(&acked, &held(&world).await),
        Err(_) => acked.len(),
    }
}

fn missing(acked: &BTreeMap<String, u32>, held: &BTreeMap<String, u32>) -> usize {
    acked
        .iter()
        .filter(|(key, number)| held.get(*key) != Some(number))
        .count()
}

fn lost_in_all(ignore_sync: bool) -> usize {
    let runs = (0..SEEDS).map(|seed| {
        let world = World::new(seed, ignore_sync);
        let executor = world.executor.clone();
        executor.block_on(TEST, MAX_STEPS, lost(world))
    });
    runs.sum()
}

/// An ack is given once it is true: what was acked is there after the power was cut the moment
/// the ack had come. The same check on a disk whose sync does nothing has to fail, so it is the
/// sync that makes it true.
#[test]
fn pitfall_10_an_ack_is_given_once_it_is_true() {
    assert_eq!(lost_in_all(false), 0, "acked writes were lost");
    let lost = lost_in_all(true);
    println!("on a disk that does not sync, {lost} acked writes were lost");
    assert!(lost > 0, "the check does not notice a missing sync");
}
