//! The journal gives back the room of what the system of record has.

use std::sync::Arc;
use std::time::Duration;

use grid_server::journal::{JournalOptions, LocalJournal};
use grid_testkit::ModelDisk;

use super::faulty::faulty_persistence;
use super::support::{World, address, cbor, run};
use grid_core::protocol::Selector;

const SEGMENT_BYTES: u64 = 64 * 1024;

async fn open(world: &mut World, disk: &ModelDisk) {
    let options = JournalOptions {
        segment_bytes: SEGMENT_BYTES,
        ..JournalOptions::default()
    };
    let journal = LocalJournal::open(Arc::new(disk.clone()), world.runtime(), options).await;
    world.journal = Arc::new(journal.unwrap());
}

fn segments(disk: &ModelDisk) -> usize {
    let files = disk.files();
    let is_segment = |file: &&(String, usize)| file.0.ends_with(".journal");
    files.iter().filter(is_segment).count()
}

#[test]
fn a_server_that_runs_on_keeps_few_segments_and_still_knows_its_data_set() {
    run(|mut world| async move {
        let disk = ModelDisk::new(3);
        world.persistence = faulty_persistence();
        open(&mut world, &disk).await;
        let server = world.start().await;
        let mut client = world.client().await;
        for number in 1..=120 {
            let op = world.put(9, number, "m", "k", &[7; 20_000]);
            client.push(vec![op]).await;
            client.acks(1).await;
            client.answer_pings(Duration::from_millis(500)).await;
        }
        client.answer_pings(Duration::from_secs(15)).await;
        let kept = segments(&disk);
        assert!(kept <= 4, "{kept} segments of what the database has");
        // Whether the data set is known in the journal shows with a foreign database.
        world.kill(server);
        disk.crash();
        let own = world.persistence.clone();
        let mut foreign = world.clone();
        foreign.journal = Arc::new(grid_server::MemoryJournal::new());
        foreign.persistence = faulty_persistence();
        foreign.start().await.shutdown().await.unwrap();
        open(&mut world, &disk).await;
        world.persistence = foreign.persistence;
        let error = world.builder().start().await.unwrap_err();
        assert!(error.message().contains("different data sets"), "{error}");
        world.persistence = own;
        let server = world.start().await;
        let page = server
            .handle()
            .page(&address("m"), &Selector::All, None, 9)
            .await
            .unwrap();
        assert_eq!(page.records[0].value, Some(cbor(&[7; 20_000])));
    });
}

#[test]
fn a_server_that_starts_again_keeps_nothing_for_partitions_that_do_not_change() {
    run(|mut world| async move {
        let disk = ModelDisk::new(4);
        world.persistence = faulty_persistence();
        open(&mut world, &disk).await;
        let server = world.start().await;
        let mut client = world.client().await;
        let keys: Vec<_> = (1..=40)
            .map(|number| world.put(9, number, "idle", &format!("k{number}"), b"x"))
            .collect();
        client.push(keys).await;
        client.acks(40).await;
        server.shutdown().await.unwrap();
        let first = disk.files().remove(0).0;
        assert!(first.ends_with("1.journal"), "{first}");
        open(&mut world, &disk).await;
        let _server = world.start().await;
        let mut client = world.client().await;
        for number in 1..=12 {
            let op = world.put(10, number, "busy", "k", &[7; 20_000]);
            client.push(vec![op]).await;
            client.acks(1).await;
            client.answer_pings(Duration::from_secs(1)).await;
        }
        let names: Vec<String> = disk.files().into_iter().map(|file| file.0).collect();
        assert!(!names.contains(&first), "{names:?}");
    });
}
