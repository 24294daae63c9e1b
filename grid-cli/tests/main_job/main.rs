//! The main job on real input: real processes, real sockets, SQLite stores, kill -9.
//!
//! The data are the airports of the PyPI package `airportsdata` (28,000 entries, MIT licence),
//! which `cargo xtask setup` brings into the cache folder; `GRID_TEST_AIRPORTS` may name the file.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test of real processes panics when something fails, and waits in real time"
)]

mod airports;
mod device;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grid_testkit::process::{self, ServerProcess};
use serde_json::{Value, json};

use crate::device::Device;

const MAP: &str = "airports";
/// How often the server is killed at least.
const KILLS: usize = 5;

type State = BTreeMap<String, Value>;

/// A server that is killed and started again on its folder and port.
struct Server {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    process: Option<ServerProcess>,
}

impl Server {
    async fn start(program: &Path, folder: &Path) -> Self {
        let process = ServerProcess::start(program, folder, "127.0.0.1:0", &[])
            .await
            .unwrap();
        let address = process.address();
        Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            address,
            process: Some(process),
        }
    }

    async fn kill_and_restart(&mut self) {
        self.process.take().unwrap().kill().await.unwrap();
        let listen = self.address.to_string();
        let process = ServerProcess::start(&self.program, &self.folder, &listen, &[]).await;
        self.process = Some(process.unwrap());
    }

    fn url(&self) -> String {
        format!("ws://{}", self.address)
    }
}

/// Kills the server again and again while `device` imports; returns how often it did.
async fn import_under_kills(server: &mut Server, device: &Device, file: &Path) -> usize {
    let mut import = device.start(&[
        "--timeout",
        "300",
        "import",
        MAP,
        &device::text(file),
        "--key",
        "icao",
    ]);
    let mut kills = 0;
    loop {
        let pause = Duration::from_millis(150 + 70 * u64::try_from(kills % 5).unwrap());
        // The pauses spread the kills over the import; nothing waits for them.
        match tokio::time::timeout(pause, import.wait()).await {
            Ok(status) => {
                assert_eq!(
                    status.unwrap().code(),
                    Some(0),
                    "the import says that all is acked"
                );
                return kills;
            }
            // The import ends once its last op is acked, so some are not.
            Err(_) => {
                server.kill_and_restart().await;
                kills += 1;
            }
        }
    }
}

/// Writes edits of `keys` as JSON Lines and brings them in with one import.
async fn edit(device: &Device, online: bool, keys: &[&String], model: &mut State, note: &str) {
    let mut lines = String::new();
    for key in keys {
        let mut value = model[*key].clone();
        value["note"] = json!(note);
        lines += &json!({ "key": key, "value": value }).to_string();
        lines.push('\n');
        model.insert((*key).clone(), value);
    }
    let file = device.folder().join(format!("{note}.jsonl"));
    std::fs::write(&file, lines).unwrap();
    let offline: &[&str] = if online { &[] } else { &["--offline"] };
    let file = device::text(&file);
    let arguments = [offline, &["import", MAP, &file]].concat();
    device.run(&arguments).await.expect_code(0);
}

/// The parties, and what the rules say that all of them must hold in the end.
struct Job {
    server: Server,
    a: Device,
    b: Device,
    c: Device,
    keys: Vec<String>,
    model: State,
    kills: usize,
}

impl Job {
    async fn begin(programs: &[PathBuf], folder: &Path) -> Self {
        let (_, model) = airports::load();
        assert!(model.len() >= 20_000, "{} entries", model.len());
        let server = Server::start(&programs[0], &folder.join("server")).await;
        let device = |name: &str| Device::new(&programs[1], folder, name, &server.url());
        let (a, b, c) = (device("a"), device("b"), device("c"));
        let keys = model.keys().cloned().collect();
        Self {
            server,
            a,
            b,
            c,
            keys,
            model,
            kills: 0,
        }
    }

    async fn remove(device: &Device, model: &mut State, key: &str) {
        device
            .run(&["--offline", "rm", MAP, key])
            .await
            .expect_code(0);
        model.remove(key);
    }

    /// B knows nothing yet and edits offline; A imports everything, stamped later, so A wins.
    async fn import(&mut self) {
        let key = self.keys[0].clone();
        let put = |key, value| ["--offline", "put", MAP, key, value];
        self.b
            .run(&put(&key, "{\"icao\":\"older\"}"))
            .await
            .expect_code(0);
        self.b
            .run(&put("only-b", "{\"note\":\"made by b\"}"))
            .await
            .expect_code(0);
        self.model
            .insert("only-b".into(), json!({ "note": "made by b" }));
        let (file, _) = airports::load();
        while self.kills < KILLS {
            // Again on a fast machine: the same values change nothing but the stamps.
            self.kills += import_under_kills(&mut self.server, &self.a, &file).await;
        }
        for device in [&self.b, &self.c] {
            device.run(&["sync", MAP]).await.expect_code(0);
        }
    }

    /// Offline and online edits of the same and of different entries, in this order of time.
    async fn edits(&mut self) {
        let Self {
            a,
            b,
            c,
            keys,
            model,
            ..
        } = self;
        let some = |range: std::ops::Range<usize>| keys[range].iter().collect::<Vec<_>>();
        edit(b, false, &some(100..700), model, "b-offline").await;
        for key in &keys[700..720] {
            Self::remove(b, model, key).await;
        }
        edit(a, true, &some(400..690), model, "a-online").await;
        edit(c, false, &some(600..700), model, "c-offline").await;
        for key in &keys[100..110] {
            Self::remove(c, model, key).await;
        }
        // B removed this one; C puts it later, so it lives.
        let again = json!({ "note": "again" });
        c.run(&["--offline", "put", MAP, &keys[705], &again.to_string()])
            .await
            .expect_code(0);
        model.insert(keys[705].clone(), again);
    }

    /// C first, so that B's older edits arrive after newer ones; and the server dies again.
    async fn heal(&mut self) {
        self.c.run(&["sync", MAP]).await.expect_code(0);
        self.server.kill_and_restart().await;
        self.b.run(&["sync", MAP]).await.expect_code(0);
        self.server.kill_and_restart().await;
        self.kills += 2;
        for device in [&self.a, &self.b, &self.c] {
            device.run(&["sync", MAP]).await.expect_code(0);
        }
    }

    /// The server's state, as a newcomer gets it, and those of the clients: one export for all.
    async fn export(&self, newcomer: &Device) -> String {
        newcomer.run(&["sync", MAP]).await.expect_code(0);
        let mut exports = BTreeSet::new();
        for device in [&self.a, &self.b, &self.c, newcomer] {
            let status = device.run(&["--offline", "--json", "status"]).await;
            assert_eq!(
                status.expect_code(0).json()["pending"],
                0,
                "{}",
                device.name()
            );
            let export = device.run(&["--offline", "export", MAP]).await;
            exports.insert(export.expect_code(0).stdout);
        }
        assert_eq!(
            exports.len(),
            1,
            "server and clients are equal, byte for byte"
        );
        exports.pop_first().unwrap()
    }

    fn check(&self, export: &str) {
        let lines: Vec<Value> = export
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let entry = |line: &Value| {
            (
                line["key"].as_str().unwrap().to_owned(),
                line["value"].clone(),
            )
        };
        let found: State = lines.iter().map(entry).collect();
        assert_eq!(found.len(), lines.len(), "no key twice");
        for (key, value) in &self.model {
            assert_eq!(found.get(key), Some(value), "{key}");
        }
        assert_eq!(
            found.len(),
            self.model.len(),
            "nothing that should not be there"
        );
        println!(
            "{} entries, {} kills of the server",
            found.len(),
            self.kills
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_made_offline_reaches_the_other_side() {
    let programs = process::build(&["grid-server", "grid-cli:grid"]);
    let folder = tempfile::tempdir().unwrap();
    let mut job = Job::begin(&programs, folder.path()).await;
    job.import().await;
    job.edits().await;
    job.heal().await;
    let newcomer = Device::new(&programs[1], folder.path(), "newcomer", &job.server.url());
    let export = job.export(&newcomer).await;
    job.check(&export);
    let status = job
        .server
        .process
        .take()
        .unwrap()
        .terminate()
        .await
        .unwrap();
    assert_eq!(status.code(), Some(0), "a clean shutdown");
}
