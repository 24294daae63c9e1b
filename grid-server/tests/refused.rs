//! Dead letters on real databases, where it is a trigger or an index of a user's that refuses.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures::future::join_all;
use grid_core::traits::Persistence;
use grid_core::{AckLevel, ErrorKind, Key, MapAddress, MapName, Namespace, PartitionId};
use grid_runtime_tokio::TokioRuntime;
use grid_server::config::AckLevels;
use grid_server::{DeadLetter, MemoryJournal, Server, Settings};
use grid_storage_mongodb::{MongoOptions, MongoPersistence};
use grid_storage_postgres::{PostgresOptions, PostgresPersistence};
use grid_storage_sqlite::{SqliteOptions, SqlitePersistence};
use grid_testkit::servers::{mongodb_url, postgres_url};
use mongodb::bson::{Document, doc};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

/// The value that is refused, as CBOR.
const REFUSED: &[u8] = b"\x66v3tted";

/// Somebody who owns the database beside the server.
#[async_trait]
trait Owner: Send + Sync {
    /// From here on no other record may have the value [`REFUSED`], save dead letters.
    async fn refuse(&self);
    /// Everything is let in again.
    async fn admit(&self);
}

/// A name that no earlier run left.
fn name() -> String {
    #[expect(clippy::disallowed_methods, reason = "no earlier run has it")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("refused_{:x}_{}", now.as_micros(), std::process::id())
}

fn runtime() -> Arc<TokioRuntime> {
    Arc::new(TokioRuntime::current().unwrap())
}

fn todos() -> MapAddress {
    MapAddress {
        namespace: Namespace::default(),
        map: MapName::new("todos").unwrap(),
    }
}

async fn put(server: &Server, key: &str, value: &'static [u8]) -> PartitionId {
    let key = Key::new(key).unwrap();
    let written = server.handle().put(&todos(), &key, value.into()).await;
    written.unwrap().partition
}

async fn get(server: &Server, key: &str) -> Option<Vec<u8>> {
    let key = Key::new(key).unwrap();
    let found = server.handle().get(&todos(), &key).await.unwrap();
    found
        .and_then(|record| record.value)
        .map(|value| value.to_vec())
}

/// The letters, by key.
async fn letters(server: &Server) -> Vec<(String, DeadLetter)> {
    let found = server.admin().dead_letters(None, 100).await.unwrap();
    let mut letters: Vec<_> = found
        .letters
        .into_iter()
        .map(|letter| (letter.record.key.as_str().to_owned(), letter))
        .collect();
    letters.sort_by(|a, b| a.0.cmp(&b.0));
    letters
}

fn keys(letters: &[(String, DeadLetter)]) -> Vec<&str> {
    letters.iter().map(|(key, _)| &**key).collect()
}

/// The keys that the database has.
async fn stored(database: &dyn Persistence, partition: PartitionId) -> Vec<String> {
    let page = database.load(partition, None, 1_000).await.unwrap();
    let live = page.records.iter().map(|each| &each.record);
    live.filter(|record| !record.is_tombstone())
        .map(|record| record.key.as_str().to_owned())
        .collect()
}

/// What is refused among good records is put aside; retried, it is stored once it may be; dropped,
/// it is taken back.
async fn puts_aside_what_is_refused(database: Arc<dyn Persistence>, owner: &dyn Owner) {
    let server = Server::builder()
        .runtime(runtime())
        .journal(Arc::new(MemoryJournal::new()))
        .persistence(Arc::clone(&database))
        .settings(Settings {
            map_spread: 1,
            ack_levels: AckLevels::all(AckLevel::Stored),
            ..Settings::default()
        })
        .start()
        .await
        .unwrap();
    let partition = put(&server, "before", REFUSED).await;
    assert_eq!(stored(&*database, partition).await, ["before"]);

    owner.refuse().await;
    let writes = [
        put(&server, "good-1", b"\x01"),
        put(&server, "bad-1", REFUSED),
        put(&server, "good-2", b"\x02"),
        put(&server, "bad-2", REFUSED),
        put(&server, "good-3", b"\x03"),
    ];
    // Each is told once it is stored or put aside.
    join_all(writes).await;
    let good = ["before", "good-1", "good-2", "good-3"];
    assert_eq!(stored(&*database, partition).await, good);
    let aside = letters(&server).await;
    assert_eq!(keys(&aside), ["bad-1", "bad-2"]);
    for (_, letter) in &aside {
        assert_eq!(letter.record.value.as_deref(), Some(REFUSED));
        assert!(!letter.reason.contains("v3tted"), "{}", letter.reason);
    }
    assert_eq!(get(&server, "bad-1").await.as_deref(), Some(REFUSED));

    let admin = server.admin();
    let again = admin.retry_dead_letter(&aside[0].1.id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Invalid, "{again}");
    admin.drop_dead_letter(&aside[1].1.id).await.unwrap();
    assert_eq!(get(&server, "bad-2").await, None, "it is taken back");
    assert_eq!(keys(&letters(&server).await), ["bad-1"]);

    owner.admit().await;
    admin.retry_dead_letter(&aside[0].1.id).await.unwrap();
    assert_eq!(keys(&letters(&server).await), [""; 0]);
    let all = ["bad-1", "before", "good-1", "good-2", "good-3"];
    assert_eq!(stored(&*database, partition).await, all);
    assert_eq!(get(&server, "bad-1").await.as_deref(), Some(REFUSED));
    server.shutdown().await.unwrap();
}

struct OfPostgres(String);

impl OfPostgres {
    async fn run(&self, statements: String) {
        let mut connection = PgConnection::connect(&postgres_url()).await.unwrap();
        let run = sqlx::raw_sql(AssertSqlSafe(statements));
        run.execute(&mut connection).await.unwrap();
    }
}

#[async_trait]
impl Owner for OfPostgres {
    async fn refuse(&self) {
        let schema = &self.0;
        self.run(format!(
            "CREATE FUNCTION {schema}.vet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'not %', NEW.value USING ERRCODE = 'ZZ001';
             END $$;
             CREATE TRIGGER vet BEFORE INSERT ON {schema}.records FOR EACH ROW
                 WHEN (NEW.partition < 65534 AND NEW.value = '\"v3tted\"')
                 EXECUTE FUNCTION {schema}.vet();"
        ))
        .await;
    }

    async fn admit(&self) {
        let schema = &self.0;
        self.run(format!("DROP TRIGGER vet ON {schema}.records"))
            .await;
    }
}

#[tokio::test]
async fn postgres() {
    let owner = OfPostgres(name());
    let server = postgres_url();
    let joint = if server.contains('?') { '&' } else { '?' };
    let url = format!("{server}{joint}schema={}", owner.0);
    let options = PostgresOptions::from_url(&url).unwrap();
    let database = PostgresPersistence::open(options, runtime()).await.unwrap();
    puts_aside_what_is_refused(Arc::new(database), &owner).await;
    owner.run(format!("DROP SCHEMA {} CASCADE", owner.0)).await;
}

struct OfMongo(mongodb::Database);

#[async_trait]
impl Owner for OfMongo {
    async fn refuse(&self) {
        let index = doc! {
            "createIndexes": "records",
            "indexes": [{
                "key": { "value": 1 },
                "name": "vet",
                "unique": true,
                "partialFilterExpression": { "value": "v3tted" },
            }],
        };
        self.0.run_command(index).await.unwrap();
    }

    async fn admit(&self) {
        // Not all that speak the protocol let go of an index that is dropped; so what is in the way
        // goes: the readable copy of the one that was there before.
        let records = self.0.collection::<Document>("records");
        let before = doc! { "key": "before" };
        let other = doc! { "$set": { "value": "another" } };
        records.update_one(before, other).await.unwrap();
    }
}

#[tokio::test]
async fn mongodb() {
    let (server, name) = (mongodb_url(), name());
    let (scheme, rest) = server.split_once("://").unwrap();
    let (host, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let host = host.split('/').next().unwrap();
    let url = format!("{scheme}://{host}/{name}?{parameters}");
    let client = mongodb::Client::with_uri_str(&server).await.unwrap();
    let owner = OfMongo(client.database(&name));
    let options = MongoOptions::from_url(&url).await.unwrap();
    let database = MongoPersistence::open(options, runtime()).await.unwrap();
    puts_aside_what_is_refused(Arc::new(database), &owner).await;
    owner.0.drop().await.unwrap();
}

struct OfSqlite(PathBuf);

impl OfSqlite {
    async fn run(&self, statement: &'static str) {
        let options = SqliteConnectOptions::new().filename(&self.0);
        let mut connection = options.connect().await.unwrap();
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }
}

#[async_trait]
impl Owner for OfSqlite {
    async fn refuse(&self) {
        self.run(
            "CREATE TRIGGER vet BEFORE INSERT ON records
             WHEN NEW.partition < 65534 AND NEW.value = X'66763374746564'
             BEGIN SELECT RAISE(ABORT, 'not v3tted'); END",
        )
        .await;
    }

    async fn admit(&self) {
        self.run("DROP TRIGGER vet").await;
    }
}

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let owner = OfSqlite(folder.path().join("records.db"));
    let runtime = runtime();
    let database = SqlitePersistence::open(&owner.0, SqliteOptions::default(), &*runtime);
    let database = Arc::new(database.await.unwrap());
    puts_aside_what_is_refused(database, &owner).await;
}
