//! Clients whose confirmed state is not what the server's history says.

use std::sync::Arc;

use grid_core::MapName;
use grid_core::traits::{Batch, Storage, Table, Write};
use grid_server::MemoryJournal;
use grid_storage_memory::{MemoryPersistence, MemoryStorage};

use crate::world::{contents, run};

#[test]
fn a_damaged_store_is_repaired() {
    run(70, |world| async move {
        let _server = world.start().await;
        let device = world.device(0);
        let grid = world.open(&device).await;
        let map = grid.map::<u64>("m").unwrap();
        let entries = (0..3_000u64).map(|number| (format!("k{number}"), number));
        drop(map.put_all(entries).await.unwrap());
        world.flushed(&grid).await;
        let before = contents(&map);
        grid.close().await.unwrap();

        let storage = MemoryStorage::open(&device.store).unwrap();
        let table = Table::Records(MapName::new("m").unwrap());
        let writes = (0..200u64).map(|number| Write::Delete {
            table: table.clone(),
            key: format!("k{}", number * 11).into(),
        });
        let batch = Batch {
            precondition: None,
            writes: writes.collect(),
        };
        storage.apply(batch).await.unwrap();
        storage.close().await.unwrap();
        drop(storage);

        let grid = world.open(&device).await;
        let map = grid.map::<u64>("m").unwrap();
        assert_eq!(map.len(), 2_800);
        world.flushed(&grid).await;
        assert_eq!(contents(&map), before);
        grid.close().await.unwrap();
        // What was repaired is stored: the next opening has it without a server's help.
        let storage = Arc::new(MemoryStorage::open(&device.store).unwrap());
        let offline = grid_client::GridBuilder::new()
            .runtime(world.runtime(device.party))
            .storage_backend(storage);
        let offline = offline.open().await.unwrap();
        assert_eq!(contents(&offline.map("m").unwrap()), before);
    });
}

#[test]
fn a_server_that_lost_everything_gets_what_is_pending_and_tells_the_rest() {
    run(71, |mut world| async move {
        let server = world.start().await;
        let device = world.device(0);
        let grid = world.open(&device).await;
        let map = grid.map::<u64>("m").unwrap();
        for number in 0..400u64 {
            drop(map.put(&format!("k{number}"), &number).await.unwrap());
        }
        world.flushed(&grid).await;
        world.kill(server, false);
        drop(map.put("pending", &1).await.unwrap());
        world.journal = Arc::new(MemoryJournal::new());
        world.persistence = Arc::new(MemoryPersistence::new());
        let _server = world.start().await;
        let other = world.open(&world.device(1)).await;
        let theirs = other.map::<u64>("m").unwrap();
        drop(theirs.put("k1", &1_000).await.unwrap());
        world.flushed(&other).await;
        grid.connect_now();
        let level = world.level(&[&grid, &other], "m").await;
        // The new history is the truth; what was never acked by it is the client's to bring.
        assert_eq!(
            level.into_iter().collect::<Vec<_>>(),
            [("k1".to_owned(), 1_000), ("pending".to_owned(), 1)]
        );
    });
}
