//! Servers that die, links that go silent, devices that crash: nothing is lost, nothing doubled.

use std::sync::Arc;
use std::time::Duration;

use grid_client::ConnectionState;
use grid_storage_memory::MemoryStorage;
use grid_testkit::sim::LinkFaults;

use crate::pausing_storage::PausingStorage;
use crate::world::{SERVER, contents, run};

#[test]
fn edits_made_offline_reach_the_server_when_it_comes() {
    run(20, |world| async move {
        let one = world.open(&world.device(0)).await;
        let two = world.open(&world.device(1)).await;
        for (grid, base) in [(&one, 100), (&two, 200)] {
            // Writes take no time in this world; without it neither edit is the later one.
            world.sleep(Duration::from_secs(1)).await;
            let map = grid.map::<u64>("m").unwrap();
            for number in 0..50 {
                drop(
                    map.put(&format!("k{}", base + number), &number)
                        .await
                        .unwrap(),
                );
                drop(map.put("shared", &(base + number)).await.unwrap());
            }
            // So that the edits of the second are later by the clock, and not by chance.
            world.sleep(Duration::from_millis(5)).await;
        }
        world.sleep(Duration::from_secs(3_600)).await;
        assert_eq!(one.status().pending, 100);
        let _server = world.start().await;
        one.connect_now();
        two.connect_now();
        let level = world.level(&[&one, &two], "m").await;
        assert_eq!(level.len(), 101);
        assert_eq!(level["shared"], 249, "the later edit");
    });
}

#[test]
fn a_server_killed_again_and_again_loses_no_acked_write() {
    for seed in 30..36 {
        run(seed, |world| async move {
            let mut server = world.start().await;
            let grid = world.open(&world.device(0)).await;
            let map = grid.map::<u64>("m").unwrap();
            let mut acked = std::collections::BTreeMap::new();
            for round in 0..6u64 {
                let mut writes = Vec::new();
                for number in 0..30 {
                    let key = format!("k{number}");
                    let value = round * 100 + number;
                    writes.push((key.clone(), value, map.put(&key, &value).await.unwrap()));
                }
                // Half of them are waited for, then the server dies in the middle of the rest.
                for (key, value, write) in writes.drain(..15) {
                    world.soon("ack", write.acked()).await.unwrap();
                    acked.insert(key, value);
                }
                world.kill(server, round % 2 == 0);
                world.sleep(Duration::from_millis(50 * round)).await;
                server = world.start().await;
                let fresh = world.open(&world.device(7)).await;
                let theirs = fresh.map::<u64>("m").unwrap();
                world.flushed(&fresh).await;
                for (key, value) in &acked {
                    let found = theirs.get(key).unwrap();
                    assert!(found >= Some(*value), "{key}: {found:?}, acked {value}");
                }
                fresh.close().await.unwrap();
                for (key, value, write) in writes {
                    world.soon("ack", write.acked()).await.unwrap();
                    acked.insert(key, value);
                }
            }
            world.flushed(&grid).await;
            assert_eq!(contents(&map), acked);
            drop(server);
        });
    }
}

/// An open socket that has gone silent counts as lost.
#[test]
fn a_silent_link_is_noticed_and_its_ops_go_out_on_the_next() {
    run(40, |world| async move {
        let _server = world.start().await;
        let device = world.device(0);
        let grid = world.open(&device).await;
        let map = grid.map::<u64>("m").unwrap();
        world.flushed(&grid).await;
        world.network.cut(device.party, SERVER);
        world.network.cut(SERVER, device.party);
        let before = world.elapsed();
        let write = map.put("k", &1).await.unwrap();
        let mut watch = grid.connection();
        let lost = |state: &ConnectionState| matches!(state, ConnectionState::Offline { .. });
        world.soon("loss", watch.until(lost)).await;
        let noticed = world.elapsed() - before;
        assert!(noticed >= Duration::from_secs(2), "{noticed:?}");
        assert!(
            noticed <= Duration::from_secs(4),
            "{noticed:?}: three heartbeats of a second"
        );
        world.sleep(Duration::from_secs(60)).await;
        world.network.heal();
        world.soon("ack", write.acked()).await.unwrap();
        world.flushed(&grid).await;
    });
}

#[test]
fn a_device_that_crashes_loses_nothing_that_a_put_returned_for() {
    run(41, |world| async move {
        let _server = world.start().await;
        let device = world.device(0);
        let witness = world.open(&world.device(1)).await;
        let mut expected = std::collections::BTreeMap::new();
        for life in 0..8u64 {
            let grid = world.open(&device).await;
            let map = grid.map::<u64>("m").unwrap();
            for number in 0..=life * 3 {
                let key = format!("k{number}");
                let value = life * 1_000 + number;
                drop(map.put(&key, &value).await.unwrap());
                expected.insert(key, value);
            }
            world.sleep(Duration::from_millis(7 * life)).await;
            assert_eq!(contents(&map), expected, "life {life}");
            drop(map);
            world.crash(&device, grid);
        }
        let grid = world.open(&device).await;
        let level = world.level(&[&grid, &witness], "m").await;
        assert_eq!(level, expected);
    });
}

#[test]
fn a_network_that_loses_doubles_and_reorders_is_seen_through() {
    for seed in 50..60 {
        run(seed, |world| async move {
            let _server = world.start().await;
            let one = world.open(&world.device(0)).await;
            let two = world.open(&world.device(1)).await;
            let maps = [one.map::<u64>("m").unwrap(), two.map::<u64>("m").unwrap()];
            world.network.set_faults(LinkFaults {
                delay_ms: (1, 80),
                drop_percent: 2,
                duplicate_percent: 2,
                reorder_percent: 2,
                reset_percent: 1,
                corrupt_percent: 0,
            });
            for round in 0..120u64 {
                let map = &maps[usize::try_from(round % 2).unwrap()];
                drop(map.put(&format!("k{}", round % 17), &round).await.unwrap());
                if round % 5 == 0 {
                    drop(map.remove(&format!("k{}", round % 7)).await.unwrap());
                }
                world.sleep(Duration::from_millis(40)).await;
            }
            world.network.heal();
            world.level(&[&one, &two], "m").await;
        });
    }
}

#[test]
fn a_full_store_stops_writes_and_loses_nothing_of_what_the_server_sent() {
    run(61, |world| async move {
        let _server = world.start().await;
        let device = world.device(0);
        let inner = Arc::new(MemoryStorage::open(&device.store).unwrap());
        let storage = Arc::new(PausingStorage::new(inner));
        let grid = world
            .builder(&device, storage.clone())
            .open()
            .await
            .unwrap();
        let map = grid.map::<u64>("m").unwrap();
        world.flushed(&grid).await;
        storage.set_full(true);
        let other = world.open(&world.device(1)).await;
        let theirs = other.map::<u64>("m").unwrap();
        drop(theirs.put("k", &1).await.unwrap());
        world.flushed(&other).await;
        let refused = world
            .soon("refusal", map.put("mine", &2))
            .await
            .unwrap_err();
        assert!(refused.is_retryable(), "{refused}");
        assert_eq!(map.get("mine").unwrap(), None);
        assert!(grid.storage_error().is_some());
        world.sleep(Duration::from_secs(30)).await;
        storage.set_full(false);
        world.flushed(&grid).await;
        assert_eq!(grid.storage_error(), None);
        // It is in the store, not only in memory.
        drop(map);
        world.crash(&device, grid);
        drop(storage);
        let storage = Arc::new(MemoryStorage::open(&device.store).unwrap());
        let again = world.builder(&device, storage).open().await.unwrap();
        assert_eq!(contents(&again.map("m").unwrap())["k"], 1);
    });
}

/// However often the connection is made anew while the store is full.
#[test]
fn a_full_store_bounds_what_the_server_can_put_into_memory() {
    run(64, |world| async move {
        const ENTRIES: usize = 200;
        let _server = world.start().await;
        let device = world.device(0);
        let inner = Arc::new(MemoryStorage::open(&device.store).unwrap());
        let storage = Arc::new(PausingStorage::new(inner));
        let builder = world.builder(&device, storage.clone());
        let grid = builder.open().await.unwrap();
        let map = grid.map::<String>("m").unwrap();
        world.flushed(&grid).await;
        storage.set_full(true);
        let other = world.open(&world.device(1)).await;
        let theirs = other.map::<String>("m").unwrap();
        let value = "x".repeat(200_000);
        for number in 0..ENTRIES {
            drop(theirs.put(&format!("k{number}"), &value).await.unwrap());
        }
        world.flushed(&other).await;
        world.sleep(Duration::from_secs(120)).await;
        // 8 MiB that wait, and what one look at the connection can bring beyond.
        let most = (8 * 1024 * 1024) / value.len() + 64;
        let held = grid.status().maps[0].confirmed;
        assert!(held > 0, "it reads while there is room");
        assert!(held <= most, "{held} entries wait for the store");
        storage.set_full(false);
        world.flushed(&grid).await;
        assert_eq!(map.len(), ENTRIES);
    });
}

#[test]
fn closing_says_goodbye_and_keeps_what_is_pending() {
    run(62, |world| async move {
        let device = world.device(0);
        let grid = world.open(&device).await;
        let map = grid.map::<u64>("m").unwrap();
        let write = map.put("k", &1).await.unwrap();
        world.soon("end", grid.close()).await.unwrap();
        let fate = write.acked().await.unwrap_err();
        assert!(fate.rejected().is_none(), "closed, not rejected");
        let _server = world.start().await;
        let again = world.open(&device).await;
        let map = again.map::<u64>("m").unwrap();
        world.flushed(&again).await;
        assert_eq!(map.get("k").unwrap(), Some(1));
        world.soon("end", again.close()).await.unwrap();
    });
}

#[test]
fn dropping_the_last_handle_ends_the_tasks() {
    run(63, |world| async move {
        let _server = world.start().await;
        let device = world.device(0);
        let grid = world.open(&device).await;
        let map = grid.map::<u64>("m").unwrap();
        drop(map.put("k", &1).await.unwrap());
        drop(grid);
        drop(map.put("k", &2).await.unwrap());
        drop(map);
        world.sleep(Duration::from_secs(5)).await;
        // The store is free again: no task holds it.
        let again = world.open(&device).await;
        assert_eq!(contents(&again.map("m").unwrap())["k"], 2);
    });
}
