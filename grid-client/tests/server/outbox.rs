//! Large outboxes.

use grid_client::{Grid, Map};

use crate::world::{World, run};

/// In unoptimised code a fifth of a million has to do.
const OPS: u64 = if cfg!(debug_assertions) {
    200_000
} else {
    1_000_000
};
const BATCH: u64 = 10_000;

async fn fill(map: &Map<u64>, from: u64, to: u64) {
    let mut next = from;
    while next < to {
        let entries = (next..to.min(next + BATCH)).map(|number| (format!("k{number}"), number));
        let batch = map.put_all(entries).await.unwrap();
        assert_eq!(batch.ops().len() as u64, BATCH.min(to - next));
        next += BATCH;
    }
}

async fn reopen(world: &World, device: &crate::world::Device, grid: Grid) -> (Grid, Map<u64>) {
    world.crash(device, grid);
    let grid = world.open(device).await;
    let map = grid.map::<u64>("m").unwrap();
    (grid, map)
}

/// Pitfall 6: past some number of pending ops, writes stay in RAM only and a restart loses them.
/// Pitfall 5: an outbox larger than one frame never drains.
#[test]
fn a_huge_outbox_survives_crashes_and_drains() {
    run(80, |world| async move {
        let device = world.device(0);
        let grid = world.open(&device).await;
        let map = grid.map::<u64>("m").unwrap();
        fill(&map, 0, OPS / 2).await;
        drop(map);
        let (grid, map) = reopen(&world, &device, grid).await;
        fill(&map, OPS / 2, OPS).await;
        drop(map);
        let (grid, map) = reopen(&world, &device, grid).await;
        assert_eq!(grid.status().pending as u64, OPS);
        assert_eq!(map.len() as u64, OPS);
        assert_eq!(map.get(&format!("k{}", OPS - 1)).unwrap(), Some(OPS - 1));
        let server = world.start().await;
        grid.connect_now();
        // In the middle of it the server dies once.
        let mut live = map.subscribe();
        while grid.status().pending as u64 > OPS * 9 / 10 {
            world.sleep(std::time::Duration::from_millis(100)).await;
        }
        world.kill(server, false);
        let _server = world.start().await;
        grid.connect_now();
        world.flushed(&grid).await;
        assert_eq!(grid.status().pending, 0);
        assert_eq!(map.len() as u64, OPS);
        drop(live.next().await.unwrap().unwrap());
    });
}
