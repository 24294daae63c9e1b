//! Pitfall 10: an ack claims no more than was done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grid_core::protocol::{Selector, Verdict};
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_testkit::ModelDisk;

use super::support::{World, address, cbor, run};

async fn open(world: &mut World, disk: &ModelDisk) -> grid_core::Result<()> {
    let options = JournalOptions {
        segment_bytes: 64 * 1024,
        ..JournalOptions::default()
    };
    let journal = LocalJournal::open(Arc::new(disk.clone()), world.runtime(), options).await?;
    world.journal = Arc::new(journal);
    Ok(())
}

/// Writes, kills, crashes the disk and starts again, some times; returns acknowledged values that
/// are not there at the end.
async fn lost_writes(mut world: World, disk: ModelDisk) -> usize {
    let mut acknowledged: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut number = 0;
    for life in 0..6u8 {
        if open(&mut world, &disk).await.is_err() {
            return acknowledged.len();
        }
        let Ok(server) = world.try_start().await else {
            // What was acknowledged is not there any more.
            return acknowledged.len();
        };
        let mut client = world.client().await;
        for round in 0..10u8 {
            let mut ops = Vec::new();
            for at in 0..7 {
                number += 1;
                let key = format!("k{}", (u64::from(round) * 7 + at) % 23);
                ops.push((key.clone(), world.put(9, number, "m", &key, &[life, round])));
            }
            client
                .push(ops.iter().map(|(_, op)| op.clone()).collect())
                .await;
            // The last push of a life is not waited for.
            if round < 9 {
                let acks = client.acks(7).await;
                assert!(
                    acks.iter()
                        .flat_map(|ack| &ack.exceptions)
                        .all(|each| matches!(each.verdict, Verdict::Accepted)),
                    "{acks:?}"
                );
                for (key, _) in ops {
                    acknowledged.insert(key, vec![life, round]);
                }
            }
        }
        // Sometimes the database has caught up, sometimes not.
        world
            .sleep(Duration::from_millis(u64::from(life) * 300))
            .await;
        world.kill(server);
        disk.crash();
    }
    if open(&mut world, &disk).await.is_err() {
        return acknowledged.len();
    }
    let Ok(server) = world.try_start().await else {
        return acknowledged.len();
    };
    let page = server
        .handle()
        .page(&address("m"), &Selector::All, None, 1_000)
        .await
        .unwrap();
    let found: BTreeMap<String, _> = page
        .records
        .iter()
        .map(|record| (record.key.to_string(), record.value.clone()))
        .collect();
    acknowledged
        .iter()
        .filter(|(key, value)| {
            // A push that was not waited for may have taken effect as well.
            let last = cbor(&[5, 9]);
            let any_life = (value[0]..6).map(|life| cbor(&[life, 9]));
            let found = found.get(*key).cloned().flatten();
            found != Some(cbor(value))
                && found != Some(last)
                && !any_life.map(Some).any(|each| each == found)
        })
        .count()
}

#[test]
fn pitfall_10_what_was_acknowledged_survives_kill_and_power_cut() {
    for seed in 0..8 {
        run(move |world| async move {
            let lost = lost_writes(world, ModelDisk::new(seed)).await;
            assert_eq!(lost, 0, "seed {seed}");
        });
    }
}

#[test]
fn pitfall_10_a_journal_that_does_not_sync_is_found_out() {
    let found = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for seed in 0..8 {
        let found = found.clone();
        run(move |world| async move {
            let disk = ModelDisk::new(seed);
            disk.ignore_sync(true);
            let lost = lost_writes(world, disk).await;
            found.fetch_add(lost, std::sync::atomic::Ordering::SeqCst);
        });
    }
    assert!(found.load(std::sync::atomic::Ordering::SeqCst) > 0);
}
