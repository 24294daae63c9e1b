//! Dead letters of real databases, and the operator who settles them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use grid_testkit::http::ask;
use grid_testkit::servers::{mongodb_url, postgres_url};
use hybrid_grid::Grid;
use mongodb::bson::doc;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::device::{Device, Server};

/// How long what happens in the background may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look.
const PAUSE: Duration = Duration::from_millis(50);

/// A name that no other run uses.
fn place(what: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!(
        "cli_{what}_{}_{:x}",
        std::process::id(),
        now.unwrap().as_micros()
    )
}

/// The letters, once there are as many.
async fn letters(device: &Device, server: &Server, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let list = ["dead-letters", "list", "--json"];
        let list = device.admin(server, &list).await.code(0);
        let lines = list.stdout.lines();
        let letters: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        if letters.len() == count {
            return letters;
        }
        assert!(begun.elapsed() < PATIENCE, "{} of {count}", letters.len());
        tokio::time::sleep(PAUSE).await;
    }
}

async fn settle(device: &Device, server: &Server, how: &str, letter: &Value) {
    let id = letter["id"].as_str().unwrap();
    let settled = device.admin(server, &["dead-letters", how, id]).await;
    assert!(settled.code(0).stdout.contains(id));
}

/// A schema of PostgreSQL, as its owner sees it.
struct Owner {
    schema: String,
    sql: PgConnection,
}

impl Owner {
    async fn run(&mut self, statement: &str) {
        let statement = statement.replace("{schema}", &self.schema);
        let run = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.sql);
        run.await.unwrap();
    }

    /// Lets no entry of `m` have an `n` of 10 or more.
    async fn forbid(&mut self) {
        let check = "CHECK (map <> 'm' OR (value ->> 'n')::int < 10) NOT VALID";
        let add = format!("ALTER TABLE {{schema}}.records ADD CONSTRAINT small {check}");
        self.run(&add).await;
    }

    async fn allow(&mut self) {
        let allow = "ALTER TABLE {schema}.records DROP CONSTRAINT small";
        self.run(allow).await;
    }

    /// The `n` of an entry.
    async fn stored(&mut self, key: &str) -> String {
        let schema = &self.schema;
        let select = format!("SELECT value ->> 'n' FROM {schema}.entries WHERE key = $1");
        let query = sqlx::query(AssertSqlSafe(select)).bind(key.to_owned());
        query.fetch_one(&mut self.sql).await.unwrap().get(0)
    }
}

#[tokio::test]
async fn an_operator_settles_what_a_constraint_of_postgresql_refuses() {
    let schema = place("check");
    let url = postgres_url();
    let joint = if url.contains('?') { '&' } else { '?' };
    let persistence = format!("{url}{joint}schema={schema}");
    let server = Server::start(&["--persistence", &persistence, "--flush-interval-ms", "20"]).await;
    let device = Device::new(&server.url());
    let sql = PgConnection::connect(&url).await.unwrap();
    let mut owner = Owner { schema, sql };
    let put = device.run(&["put", "m", "stays", r#"{"n":1}"#]);
    put.await.code(0);
    owner.forbid().await;

    // Refused: listed with what the database says, and still served.
    let put = device.run(&["put", "m", "large", r#"{"n":99}"#]);
    put.await.code(0);
    let letter = letters(&device, &server, 1).await.remove(0);
    let named = (letter["map"].as_str(), letter["key"].as_str());
    assert_eq!(named, (Some("m"), Some("large")));
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("small"), "{letter}");
    let table = device.admin(&server, &["dead-letters", "list"]).await;
    let table = table.code(0).stdout;
    assert!(
        table.starts_with("ID") && table.contains("large"),
        "{table}"
    );
    let get = device.run(&["get", "m", "large"]).await;
    get.prints("{\"n\":99}\n");

    // Stored again: only after the reason is mended.
    let id = letter["id"].as_str().unwrap();
    let early = device.admin(&server, &["dead-letters", "retry", id]).await;
    early.code(1).says(&["small"]);
    owner.allow().await;
    settle(&device, &server, "retry", &letter).await;
    letters(&device, &server, 0).await;
    assert_eq!(owner.stored("large").await, "99");
    let again = device.admin(&server, &["dead-letters", "retry", id]).await;
    again.code(4).says(&["there is no letter"]);

    gives_up(&device, &server, &mut owner).await;
    drop(server);
    owner.run("DROP SCHEMA {schema} CASCADE").await;
}

/// What an operator gives up becomes what the database has, for clients that are connected too.
async fn gives_up(device: &Device, server: &Server, owner: &mut Owner) {
    let watcher = Device::new(&server.url());
    let mut watching = watcher.start(&["watch", "m"]);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut sees = async |wanted: &str| {
        let seen = async { while lines.next_line().await.unwrap().unwrap() != wanted {} };
        tokio::time::timeout(PATIENCE, seen).await.unwrap();
    };
    sees("stays\t{\"n\":1}").await;
    owner.forbid().await;
    let put = device.run(&["put", "m", "stays", r#"{"n":50}"#]);
    put.await.code(0);
    sees("stays\t{\"n\":50}").await;
    let letter = letters(device, server, 1).await.remove(0);
    settle(device, server, "drop", &letter).await;
    sees("stays\t{\"n\":1}").await;
    letters(device, server, 0).await;
    assert_eq!(owner.stored("stays").await, "1");
}

#[tokio::test]
async fn letters_of_large_values_are_listed_page_by_page() {
    // Together 9.6 MB, and one answer is made of 8 MiB.
    const LETTERS: usize = 40;
    let text = "x".repeat(240_000);
    let schema = place("large");
    let url = postgres_url();
    let joint = if url.contains('?') { '&' } else { '?' };
    let persistence = format!("{url}{joint}schema={schema}");
    let server = Server::start(&["--persistence", &persistence, "--flush-interval-ms", "20"]).await;
    let sql = PgConnection::connect(&url).await.unwrap();
    let mut owner = Owner { schema, sql };
    owner.forbid().await;
    let grid = Grid::builder().storage("memory:").server(server.url());
    let grid = grid.open().await.unwrap();
    let map = grid.map::<Value>("m").unwrap();
    for number in 0..LETTERS {
        let value = json!({ "n": 99, "text": text });
        let write = map.put(&format!("k{number}"), &value).await.unwrap();
        write.acked().await.unwrap();
    }
    grid.close().await.unwrap();

    let device = Device::new(&server.url());
    let all = letters(&device, &server, LETTERS).await;
    let ids: BTreeSet<_> = all.iter().map(|letter| letter["id"].as_str()).collect();
    assert_eq!(ids.len(), LETTERS);
    let admin = server.process.admin().unwrap();
    let page = ask(admin, "GET", "/dead-letters?limit=1000", &[]).await;
    let page: Value = serde_json::from_str(&page.unwrap().body).unwrap();
    let found = page["dead_letters"].as_array().unwrap();
    assert!(found.len() < LETTERS, "{} at once", found.len());
    assert_eq!(page["next"], found.last().unwrap()["id"]);
    drop(server);
    owner.run("DROP SCHEMA {schema} CASCADE").await;
}

#[tokio::test]
async fn an_operator_settles_what_a_unique_index_of_mongodb_refuses() {
    let database = place("unique");
    let url = mongodb_url();
    let (base, parameters) = url.split_once('?').unwrap_or((&url, ""));
    let persistence = format!("{}/{database}?{parameters}", base.trim_end_matches('/'));
    let server = Server::start(&["--persistence", &persistence, "--flush-interval-ms", "20"]).await;
    let device = Device::new(&server.url());
    let users = mongodb::Client::with_uri_str(&url).await.unwrap();
    let users = users.database(&database);
    let index = doc! {
        "createIndexes": "records",
        "indexes": [{ "key": { "value.mail": 1 }, "name": "mail", "unique": true, "sparse": true }],
    };
    users.run_command(index).await.unwrap();

    device
        .run(&["put", "m", "first", r#"{"mail":"a"}"#])
        .await
        .code(0);
    device
        .run(&["put", "m", "second", r#"{"mail":"a"}"#])
        .await
        .code(0);
    let letter = letters(&device, &server, 1).await.remove(0);
    let refused = letter["key"].as_str().unwrap();
    assert!(["first", "second"].contains(&refused), "{letter}");
    assert!(
        letter["reason"].as_str().unwrap().contains("unique index"),
        "{letter}"
    );
    let id = letter["id"].as_str().unwrap();
    let early = device.admin(&server, &["dead-letters", "retry", id]).await;
    early.code(1).says(&["unique index"]);
    // Mended by another value of the entry that was there first.
    let other = if refused == "first" {
        "second"
    } else {
        "first"
    };
    let put = ["put", "m", other, r#"{"mail":"b"}"#];
    device.run(&put).await.code(0);
    let records = users.collection::<mongodb::bson::Document>("records");
    let begun = Instant::now();
    let mended = doc! { "map": "m", "key": other, "value.mail": "b" };
    while records.find_one(mended.clone()).await.unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "it is not stored");
        tokio::time::sleep(PAUSE).await;
    }
    settle(&device, &server, "retry", &letter).await;
    letters(&device, &server, 0).await;
    let found = records
        .find_one(doc! { "map": "m", "key": refused })
        .await
        .unwrap();
    let found = found.unwrap();
    let value = found.get_document("value").unwrap();
    assert_eq!(value.get_str("mail").unwrap(), "a");
    drop(server);
    users.drop().await.unwrap();
}
