//! `grid admin` without trouble, and without a server.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::device::{Device, NOWHERE, Server, mute};

/// Time after which what is awaited counts as missing.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_healthy_server_says_so_and_tells_its_numbers() {
    let server = Server::start(&["--flush-interval-ms", "10"]).await;
    let device = Device::new(&server.url());
    device.run(&["put", "m", "k", "1"]).await.code(0);
    let health = device.admin(&server, &["health"]).await.code(0);
    health.prints("ok\n");
    let health = device.admin(&server, &["health", "--json"]).await.code(0);
    assert_eq!(health.json()["status"], "ok");
    let metrics = device.admin(&server, &["metrics"]).await.code(0);
    let accepted = |line: &&str| line.contains("verdict=\"accepted\"");
    let line = metrics.stdout.lines().find(accepted).unwrap();
    assert!(
        line.starts_with("grid_ops_total{") && line.ends_with(" 1"),
        "{line}"
    );
    let metrics = device.admin(&server, &["metrics", "--json"]).await.code(0);
    assert_eq!(metrics.json()["grid_sessions_total"], 1);
    assert_eq!(metrics.json()["grid_partitions_served"], 271);
    let begun = Instant::now();
    while numbers(&device, &server).await["grid_write_behind_lag_ops"] != 0 {
        assert!(begun.elapsed() < PATIENCE, "the lag does not fall");
    }
    let lag = device.admin(&server, &["lag"]).await.code(0);
    lag.prints("").says(&["the database has everything"]);
    let list = device.admin(&server, &["dead-letters", "list"]).await;
    list.code(0).prints("").says(&["there are no dead letters"]);
    let retry = ["dead-letters", "retry", "00001-ff"];
    let retry = device.admin(&server, &retry).await.code(4);
    retry.says(&["there is no letter of this id", "00001-ff"]);
    let drop = ["dead-letters", "drop", "no/letter"];
    device
        .admin(&server, &drop)
        .await
        .code(2)
        .says(&["dead-letters list"]);
}

async fn numbers(device: &Device, server: &Server) -> Value {
    let metrics = device.admin(server, &["metrics", "--json"]).await;
    metrics.code(0).json()
}

#[tokio::test]
async fn what_the_database_does_not_have_yet_is_told_by_partition() {
    let server = Server::start(&["--flush-interval-ms", "3600000"]).await;
    let device = Device::new(&server.url());
    for key in ["a/1", "a/2", "a/3"] {
        device.run(&["put", "m", key, "1"]).await.code(0);
    }
    let lag = device.admin(&server, &["lag", "--json"]).await.code(0);
    let lag: Value = serde_json::from_str(lag.stdout.lines().next().unwrap()).unwrap();
    assert!(lag["lag_ops"].as_u64().unwrap() >= 3, "{lag}");
    assert!(lag["lag_bytes"].as_u64().unwrap() > 100, "{lag}");
    assert!(lag["lag_seconds"].as_f64().unwrap() > 0.0, "{lag}");
    assert_eq!(lag["dead_letters"], 0);
    assert!(lag["trouble"].is_null());
    let table = device.admin(&server, &["lag", "--limit", "1"]).await;
    let table = table.code(0).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].starts_with("PARTITION  OPS"), "{table}");
    let partition = lines[1].split_whitespace().next().unwrap();
    assert_eq!(partition, lag["partition"].to_string());
}

#[tokio::test]
async fn without_a_server_it_says_what_to_do() {
    let device = Device::new(NOWHERE);
    let nobody = device
        .run(&["admin", "--admin", "127.0.0.1:1", "health"])
        .await;
    nobody
        .code(1)
        .says(&["http://127.0.0.1:1", "is grid-server running", "--admin"]);
    let wrong = device
        .run(&["admin", "health", "--admin", "ws://127.0.0.1:1"])
        .await;
    wrong.code(2).says(&["http://HOST:PORT", "`ws`"]);
    let store = device.path("device.db");
    assert!(!store.exists(), "an operator needs no store");
    // The clients' listener is no admin listener.
    let server = Server::start(&[]).await;
    let clients = format!("http://{}", server.process.address());
    let other = device.run(&["admin", "health", "--admin", &clients]).await;
    other.code(1).says(&[&clients, "is this its `admin`"]);
    let (_listener, mute) = mute().await;
    let mute = mute.replace("ws://", "http://");
    let silent = ["admin", "health", "--timeout", "0.2", "--admin", &mute];
    device.run(&silent).await.code(1).says(&["--timeout"]);
}
