//! The state of the connection as the application sees it.

use std::time::Duration;

use grid_client::ConnectionState;
use grid_core::ErrorKind;
use grid_server::SharedToken;
use grid_storage_memory::MemoryStorage;

use crate::world::{World, run};

#[test]
fn the_state_follows_the_connection_to_the_end() {
    run(10, |world| async move {
        let server = world.start().await;
        let grid = world.open(&world.device(0)).await;
        let mut watch = grid.connection();
        assert_eq!(watch.current(), ConnectionState::Offline { reason: None });
        let mut seen = Vec::new();
        while seen.last() != Some(&ConnectionState::Connected) {
            seen.push(world.soon("connection", watch.changed()).await);
        }
        assert!(grid.connection_state().is_connected());
        world.kill(server, false);
        let offline = world.soon("loss", watch.changed()).await;
        let ConnectionState::Offline { reason: Some(_) } = offline else {
            panic!("{offline:?}");
        };
        let _server = world.start().await;
        world
            .soon("return", watch.until(ConnectionState::is_connected))
            .await;
        grid.close().await.unwrap();
        assert_eq!(watch.until(|_| false).await, ConnectionState::Closed);
        assert_eq!(grid.connection_state(), ConnectionState::Closed);
        let error = grid.map::<u64>("m").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        grid.close().await.unwrap();
    });
}

#[test]
fn a_wrong_token_is_told_and_the_data_stays_usable() {
    run(11, |mut world| async move {
        world.authenticator = std::sync::Arc::new(SharedToken::new("right"));
        let _server = world.start().await;
        let device = world.device(0);
        let storage = || std::sync::Arc::new(MemoryStorage::open(&device.store).unwrap());
        let wrong = world
            .builder(&device, storage())
            .token("wrong")
            .open()
            .await
            .unwrap();
        let map = wrong.map::<u64>("m").unwrap();
        drop(map.put("k", &1).await.unwrap());
        let mut watch = wrong.connection();
        let refused = |state: &ConnectionState| matches!(state, ConnectionState::Refused { .. });
        let state = world.soon("refusal", watch.until(refused)).await;
        let ConnectionState::Refused {
            message,
            retryable: false,
        } = state
        else {
            panic!("{state:?}");
        };
        assert!(
            !message.contains("wrong"),
            "no secret in a message: {message}"
        );
        assert_eq!(map.get("k").unwrap(), Some(1));
        assert_eq!(wrong.status().pending, 1);
        // The right one, without closing, when attempts have become rare.
        world.sleep(Duration::from_secs(300)).await;
        let before = world.elapsed();
        wrong.set_token("right");
        world
            .soon("return", watch.until(ConnectionState::is_connected))
            .await;
        assert!(world.elapsed() - before < Duration::from_secs(1));
        world.flushed(&wrong).await;
        wrong.set_token("right");
        drop(map.put("k", &2).await.unwrap());
        world.flushed(&wrong).await;
        assert!(wrong.connection_state().is_connected());
        // The server ends a connection whose token it does not accept any more.
        wrong.set_token("wrong");
        world.soon("refusal", watch.until(refused)).await;
        wrong.close().await.unwrap();
        let right = world
            .builder(&device, storage())
            .token("right")
            .open()
            .await
            .unwrap();
        right.map::<u64>("m").unwrap();
        world.flushed(&right).await;
    });
}

#[test]
fn a_map_that_may_not_be_read_is_an_error_of_the_flush_not_a_silence() {
    run(12, |world| async move {
        world.denied.map("secret");
        let _server = world.start().await;
        let grid = world.open(&world.device(0)).await;
        let _map = grid.map::<u64>("secret").unwrap();
        let error = world.soon("refusal", grid.flushed()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        assert!(error.to_string().contains("secret"), "{error}");
    });
}

/// How often a device tried to connect in `time`, by what it says of itself.
async fn attempts(world: &World, grid: &grid_client::Grid, time: Duration) -> usize {
    let mut watch = grid.connection();
    let end = world.elapsed() + time;
    let mut attempts = 0;
    while world.elapsed() < end {
        let left = world
            .runtime(crate::world::SERVER)
            .sleep(end - world.elapsed());
        let changed = std::pin::pin!(watch.changed());
        match futures::future::select(changed, left).await {
            futures::future::Either::Left((ConnectionState::Connecting, _)) => attempts += 1,
            futures::future::Either::Left(_) => {}
            futures::future::Either::Right(_) => break,
        }
    }
    attempts
}

#[test]
fn attempts_come_at_once_and_then_less_and_less_often() {
    run(13, |world| async move {
        let grid = world.open(&world.device(0)).await;
        let first = attempts(&world, &grid, Duration::from_secs(2)).await;
        assert!(
            (3..=8).contains(&first),
            "{first} attempts in the first two seconds"
        );
        world.sleep(Duration::from_secs(120)).await;
        let later = attempts(&world, &grid, Duration::from_secs(300)).await;
        assert!(
            (9..=21).contains(&later),
            "{later} attempts in five minutes"
        );
        // The device learns that it is online again.
        let _server = world.start().await;
        let before = world.elapsed();
        grid.connect_now();
        let mut watch = grid.connection();
        world
            .soon("return", watch.until(ConnectionState::is_connected))
            .await;
        assert!(world.elapsed() - before < Duration::from_secs(1));
    });
}
