use std::sync::atomic::Ordering;
use std::time::Duration;

use grid_core::{Key, PartitionId};
use grid_server::{PartitionLag, Server};

use super::faulty::faulty_persistence;
use super::support::{address, cbor, run};

/// Long enough for everything to be written to the database.
const FLUSHED: Duration = Duration::from_secs(40);

async fn put(server: &Server, key: &str) -> PartitionId {
    let key = Key::new(key).unwrap();
    let written = server.handle().put(&address("m"), &key, cbor(b"1")).await;
    written.unwrap().partition
}

fn partitions(behind: &[PartitionLag]) -> Vec<PartitionId> {
    behind.iter().map(|one| one.partition).collect()
}

#[test]
fn the_partitions_that_are_furthest_behind_are_named_first_and_before_them_what_is_wrong() {
    run(|mut world| async move {
        let persistence = faulty_persistence();
        world.persistence = persistence.clone();
        world.settings.dead_letters = 0;
        let server = world.start().await;
        let admin = server.admin();
        assert_eq!(admin.lag_by_partition(10), []);
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let mut expected = Vec::new();
        for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            let partition = put(&server, key).await;
            if !expected.contains(&partition) {
                expected.push(partition);
            }
            world.sleep(Duration::from_secs(1)).await;
        }
        assert!(expected.len() > 2);
        let behind = admin.lag_by_partition(10);
        assert_eq!(partitions(&behind), expected);
        assert!(behind.iter().all(|one| one.trouble.is_none()));
        assert!(behind[0].lag.oldest >= Duration::from_secs(8));
        let sum = behind.iter().map(|one| one.lag.changes).sum::<u64>();
        assert_eq!((sum, admin.lag().changes), (8, 8));
        assert_eq!(partitions(&admin.lag_by_partition(1)), expected[..1]);

        // One of them is refused for good, with no room for a dead letter.
        persistence.hooks().refused.lock().unwrap().insert("bad");
        let refused = put(&server, "bad").await;
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        world.sleep(FLUSHED).await;
        let behind = admin.lag_by_partition(10);
        assert_eq!(partitions(&behind), [refused]);
        let trouble = behind[0].trouble.as_ref().unwrap();
        assert!(trouble.starts_with("cannot be stored: "), "{trouble}");
        persistence.hooks().fails.store(true, Ordering::SeqCst);
        let other = expected.iter().find(|one| **one != refused).unwrap();
        while put(&server, &format!("k{}", world.now_ms())).await != *other {
            world.sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(partitions(&admin.lag_by_partition(10))[0], refused);
        persistence.hooks().refused.lock().unwrap().clear();
        persistence.hooks().fails.store(false, Ordering::SeqCst);
        world.sleep(FLUSHED).await;
        assert_eq!(admin.lag_by_partition(10), []);
    });
}
