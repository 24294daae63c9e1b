//! Databases that go away under load, or are away at the start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grid_testkit::http::ask;
use grid_testkit::servers::{MongoServer, PostgresServer};
use hybrid_grid::Grid;
use mongodb::bson::doc;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row};

use crate::device::{Device, Server};

/// How long what happens in the background may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often to look.
const PAUSE: Duration = Duration::from_millis(50);
/// Seconds that the database is away, unless this variable names another number.
const OUTAGE: &str = "GRID_TEST_OUTAGE_S";
const OUTAGE_S: u64 = 5;
/// Keys that the load writes to, one after the other.
const KEYS: u64 = 100;

/// A database that can be killed.
enum Database {
    Postgres(PostgresServer),
    Mongo(MongoServer),
}

impl Database {
    fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Mongo(server) => server.url().replacen("/?", "/outage?", 1),
        }
    }

    fn kill(&self) {
        match self {
            Self::Postgres(server) => server.kill().unwrap(),
            Self::Mongo(server) => server.kill().unwrap(),
        }
    }

    fn restart(&self) {
        match self {
            Self::Postgres(server) => server.restart().unwrap(),
            Self::Mongo(server) => server.restart().unwrap(),
        }
    }

    /// Every entry of the map `m`, by key, with its `n`.
    async fn entries(&self) -> BTreeMap<String, i64> {
        match self {
            Self::Postgres(server) => {
                let mut sql = PgConnection::connect(&server.url()).await.unwrap();
                let query = "SELECT key, (value ->> 'n')::bigint FROM grid.entries WHERE map = 'm'";
                let rows = sqlx::query(query).fetch_all(&mut sql).await.unwrap();
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
            Self::Mongo(server) => {
                let client = mongodb::Client::with_uri_str(server.url()).await.unwrap();
                let records = client.database("outage").collection("records");
                let mut found: Vec<mongodb::bson::Document> = Vec::new();
                let mut cursor = records.find(doc! { "map": "m" }).await.unwrap();
                while cursor.advance().await.unwrap() {
                    found.push(cursor.deserialize_current().unwrap());
                }
                let entry = |each: &mongodb::bson::Document| {
                    let n = each.get_document("value").unwrap().get("n").unwrap();
                    let n = n.as_i64().or(n.as_i32().map(i64::from));
                    (each.get_str("key").unwrap().to_owned(), n.unwrap())
                };
                found.iter().map(entry).collect()
            }
        }
    }
}

async fn metric(server: &Server, name: &str) -> f64 {
    let url = server.process.admin().unwrap();
    let answer = ask(url, "GET", "/metrics", &[]).await.unwrap();
    let mut lines = answer.body.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or("0").parse().unwrap()
}

/// Waits until the server's health has this code; returns what it says.
async fn health(server: &Server, code: u16) -> String {
    let url = server.process.admin().unwrap();
    let begun = Instant::now();
    loop {
        let answer = ask(url, "GET", "/health", &[]).await.unwrap();
        if answer.code == code {
            return answer.body;
        }
        assert!(begun.elapsed() < PATIENCE, "{answer:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until nothing waits for the database.
async fn level(server: &Server) {
    let begun = Instant::now();
    while metric(server, "grid_write_behind_lag_ops").await > 0.0 {
        assert!(begun.elapsed() < PATIENCE, "the lag does not fall");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes until it is told to stop; every write is acked before the next. Returns what was written
/// last to each key, and how many writes there were.
async fn load(server: String, stop: Arc<AtomicBool>) -> (BTreeMap<String, i64>, u64) {
    let grid = Grid::builder().storage("memory:").server(&server);
    let grid = grid.open().await.unwrap();
    let map = grid.map::<Value>("m").unwrap();
    let (mut last, mut writes) = (BTreeMap::new(), 0);
    while !stop.load(Ordering::SeqCst) {
        let key = format!("k{}", writes % KEYS);
        let n = i64::try_from(writes).unwrap();
        let write = map.put(&key, &json!({ "n": n })).await.unwrap();
        write.acked().await.unwrap();
        last.insert(key, n);
        writes += 1;
    }
    grid.close().await.unwrap();
    (last, writes)
}

/// The database goes away under load and comes back: nothing is lost, and nothing stored twice.
async fn goes_away_and_comes_back(database: &Database) -> Server {
    let url = database.url();
    let server = Server::start(&["--persistence", &url, "--flush-interval-ms", "20"]).await;
    health(&server, 200).await;
    let stop = Arc::new(AtomicBool::new(false));
    let loading = tokio::spawn(load(server.url(), stop.clone()));
    let begun = Instant::now();
    while database.entries().await.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nothing is stored");
        tokio::time::sleep(PAUSE).await;
    }

    database.kill();
    let told = health(&server, 503).await;
    assert!(told.contains("the database takes no changes"), "{told}");
    let (lag, seconds) = ("grid_write_behind_lag_ops", "grid_write_behind_lag_seconds");
    let (early, acked) = (metric(&server, lag).await, accepted(&server).await);
    let outage = std::env::var(OUTAGE)
        .ok()
        .and_then(|text| text.parse().ok());
    let outage = Duration::from_secs(outage.unwrap_or(OUTAGE_S));
    tokio::time::sleep(outage).await;
    assert!(metric(&server, lag).await > early, "the lag rises");
    assert!(metric(&server, seconds).await > outage.as_secs_f64() / 2.0);
    assert!(accepted(&server).await > acked, "writes go on");
    health(&server, 503).await;

    database.restart();
    health(&server, 200).await;
    stop.store(true, Ordering::SeqCst);
    let (last, writes) = loading.await.unwrap();
    level(&server).await;
    assert_eq!(database.entries().await, last);
    let writes = f64::from(u32::try_from(writes).unwrap());
    assert_eq!(accepted(&server).await, writes, "each took effect once");
    assert!(metric(&server, "grid_write_behind_retries_total").await > 0.0);
    server
}

async fn accepted(server: &Server) -> f64 {
    metric(server, r#"grid_ops_total{verdict="accepted",reason=""}"#).await
}

/// The server starts while the database is away, and serves what that has when it is back.
async fn is_away_at_the_start(database: &Database, server: Server) {
    let folder = server.folder;
    server.process.terminate().await.unwrap();
    let expected = database.entries().await;
    database.kill();
    let url = database.url();
    let arguments = ["--persistence", url.as_str(), "--flush-interval-ms", "20"];
    let process = crate::device::start(folder.path(), "127.0.0.1:0", &arguments).await;
    let server = Server { process, folder };
    let told = health(&server, 503).await;
    assert!(told.contains("away when the server started"), "{told}");
    let device = Device::new(&server.url());
    database.restart();
    health(&server, 200).await;
    let get = device.run(&["get", "m", "k7"]).await.code(0);
    assert_eq!(get.json()["n"], expected["k7"]);
    let put = device.run(&["put", "m", "k7", r#"{"n":-1}"#]);
    put.await.code(0);
    level(&server).await;
    assert_eq!(database.entries().await["k7"], -1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_may_go_away_under_load_and_be_away_at_the_start() {
    let database = Database::Postgres(PostgresServer::start(false).unwrap());
    let server = goes_away_and_comes_back(&database).await;
    is_away_at_the_start(&database, server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongodb_may_go_away_under_load_and_be_away_at_the_start() {
    let database = Database::Mongo(MongoServer::start().unwrap());
    let server = goes_away_and_comes_back(&database).await;
    is_away_at_the_start(&database, server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_done_though_another_waits_for_the_database() {
    let database = PostgresServer::start(false).unwrap();
    let url = database.url();
    let arguments = ["--persistence", &url, "--ack-levels", "st=stored"];
    let server = Server::start(&arguments).await;
    health(&server, 200).await;
    let device = Device::new(&server.url());
    device.run(&["put", "st", "s1", "1"]).await.code(0);
    database.kill().unwrap();
    let waits = device
        .run(&["--timeout", "2", "put", "st", "s2", "1"])
        .await;
    waits.code(3).says(&["kept on this device", "1 pending"]);
    let put = ["--json", "put", "todos", "r2", "2"];
    let put = device.run(&put).await.code(0).says(&["1 pending"]);
    assert_eq!(put.json()["outcome"], "acked");
    let rm = device.run(&["rm", "todos", "r2"]).await.code(0);
    rm.says(&["1 pending"]);
    assert_eq!(device.status().await["pending"], 1);
    // The one that waits is told as such again once it is the one that was asked for.
    let waits = device.run(&["--timeout", "2", "rm", "st", "s2"]).await;
    waits.code(3).says(&["2 pending"]);

    database.restart().unwrap();
    device.run(&["sync", "st", "todos"]).await.code(0);
    device.run(&["get", "st", "s1"]).await.code(0).prints("1\n");
    device.run(&["get", "st", "s2"]).await.code(4);
    device.run(&["get", "todos", "r2"]).await.code(4);
}
