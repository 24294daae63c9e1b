//! Databases that no wait helps against: they let the server not in, or a later version wrote them.

use std::path::Path;
use std::time::Duration;

use grid_testkit::process::{build, run};
use grid_testkit::servers::{MongoDoor, MongoServer, PostgresServer};
use mongodb::bson::{Document, doc};
use sqlx::{Connection, PgConnection};

use crate::device::Server;

const LIMIT: Duration = Duration::from_secs(60);
/// Where the header of an `SQLite` file has the number that its writer chose for its schema.
/// <https://www.sqlite.org/fileformat.html>
const USER_VERSION: std::ops::Range<usize> = 60..64;

/// What the program says when it does not start.
async fn refused(folder: &Path, more: &[&str]) -> String {
    let program = &build(&["grid-server"])[0];
    let folder = folder.to_str().unwrap();
    let arguments = ["--data-dir", folder, "--listen", "127.0.0.1:0"];
    let output = run(program, &[&arguments[..], more].concat(), LIMIT).await;
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

async fn refused_at(url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &["--persistence", url]).await
}

/// It is said in one line, which names both versions.
fn names_both_versions(said: &str) {
    assert!(said.contains("version 7"), "{said}");
    assert!(said.contains("knows version 1"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

/// It is said in one line, which names the setting and not the password.
fn names_the_setting(said: &str) {
    for word in ["unauthorized", "user or password", "persistence"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains("wr0ng"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

#[tokio::test]
async fn postgresql_that_is_of_a_later_version_or_refuses_the_password() {
    let postgres = PostgresServer::start(false).unwrap();
    let mut sql = PgConnection::connect(&postgres.url()).await.unwrap();
    let later = "CREATE SCHEMA later; CREATE TABLE later.schema_version (version integer); \
                 INSERT INTO later.schema_version VALUES (7);";
    sqlx::raw_sql(later).execute(&mut sql).await.unwrap();
    names_both_versions(&refused_at(&format!("{}&schema=later", postgres.url())).await);

    let lock = "CREATE ROLE careful LOGIN PASSWORD 'r1ght';
         DO $$ BEGIN EXECUTE format('COPY (SELECT unnest(ARRAY[
             ''host all careful 127.0.0.1/32 scram-sha-256'', ''host all all 127.0.0.1/32 trust''
         ])) TO %L', current_setting('hba_file')); END $$;
         SELECT pg_reload_conf();";
    sqlx::raw_sql(lock).execute(&mut sql).await.unwrap();
    let port = postgres.port();
    let url = format!("postgres://careful:wr0ng@127.0.0.1:{port}/postgres?sslmode=disable");
    names_the_setting(&refused_at(&url).await);
}

#[tokio::test]
async fn mongodb_that_is_of_a_later_version_or_refuses_the_password() {
    let mongo = MongoServer::start().unwrap();
    let url = mongo.url().replacen("/?", "/later?", 1);
    let server = Server::start(&["--persistence", &url]).await;
    server.process.terminate().await.unwrap();
    let client = mongodb::Client::with_uri_str(&url).await.unwrap();
    let schema = client.database("later").collection::<Document>("schema");
    let later = doc! { "$set": { "version": 7 } };
    schema.update_one(doc! {}, later).await.unwrap();
    names_both_versions(&refused_at(&url).await);

    let door = MongoDoor::start().await.unwrap();
    let address = door.address();
    let url = format!("mongodb://careful:wr0ng@{address}/grid?directConnection=true");
    names_the_setting(&refused_at(&url).await);
}

#[tokio::test]
async fn sqlite_that_is_of_a_later_version() {
    let Server { process, folder } = Server::start(&[]).await;
    process.terminate().await.unwrap();
    let database = folder.path().join("grid.db");
    let written = std::fs::read(&database).unwrap();
    let mut later = written.clone();
    later[USER_VERSION].copy_from_slice(&7_u32.to_be_bytes());
    std::fs::write(&database, later).unwrap();
    let said = refused(folder.path(), &[]).await;
    names_both_versions(&said);
    assert!(said.contains(database.to_str().unwrap()), "{said}");
    std::fs::write(&database, written).unwrap();
    let process = crate::device::start(folder.path(), "127.0.0.1:0", &[]).await;
    process.terminate().await.unwrap();
}
