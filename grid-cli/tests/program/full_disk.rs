//! A journal whose disk is full, on a real file system that is.
//!
//! The server gets a mount namespace of its own, with a small tmpfs in place of the journal's
//! folder. It goes with the process, whatever becomes of the test. It takes root, or a kernel that
//! lets everybody make user namespaces; a limit on the size of files would do without, but then the
//! operating system gives another error than that of a full disk.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use grid_testkit::process::{ServerProcess, build};
use hybrid_grid::Grid;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::device::{Device, Server};

/// The journal's disk, in bytes: a few segments.
const DISK_BYTES: usize = 4 << 20;
/// How long what happens in the background may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look.
const PAUSE: Duration = Duration::from_millis(20);
/// Mounts the small disk at its first argument, and becomes the program that follows.
const MOUNT: &str = r#"mount -t tmpfs -o "size=$1" journal "$2" && shift 2 && exec "$@""#;

/// A server whose journal stands on a small disk.
async fn start() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    std::fs::create_dir(&journal).unwrap();
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new("unshare");
    if !is_root {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "sh", "-c", MOUNT])
        .arg("sh")
        .arg(DISK_BYTES.to_string())
        .arg(&journal)
        .arg(&build(&["grid-server"])[0])
        .arg("--data-dir")
        .arg(folder.path())
        .args(["--listen", "127.0.0.1:0", "--flush-interval-ms", "20"]);
    let process = ServerProcess::spawn(command).await;
    let process = process.unwrap_or_else(|error| {
        panic!(
            "a small disk takes a mount namespace: run the tests as root (in a container with \
             CAP_SYS_ADMIN), or allow everybody to make user namespaces (sysctl \
             kernel.unprivileged_userns_clone=1, \
             kernel.apparmor_restrict_unprivileged_userns=0): {error}"
        )
    });
    Server { process, folder }
}

/// A file on the server's small disk.
fn on_the_disk(server: &Server, name: &str) -> PathBuf {
    let pid = server.process.pid().unwrap();
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let journal = server.folder.path().join("journal");
    root.join(journal.strip_prefix("/").unwrap()).join(name)
}

/// Fills the disk to its last byte.
fn fill(server: &Server) {
    let filled = std::fs::write(on_the_disk(server, "filler"), vec![0; DISK_BYTES]);
    assert_eq!(
        filled.unwrap_err().kind(),
        std::io::ErrorKind::StorageFull,
        "the disk is a small one"
    );
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "it does not come to that");
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_puts_writes_off_and_names_itself_and_reads_go_on() {
    let server = start().await;
    let device = Device::new(&server.url());
    device.run(&["put", "m", "before", "1"]).await.code(0);
    let app = Grid::builder().storage("memory:").server(server.url());
    let app = app.open().await.unwrap();
    let map = app.map::<Value>("app").unwrap();
    app.flushed().await.unwrap();

    fill(&server);
    let large = json!("x".repeat(50_000));
    // Some fit into the room that the journal has taken already.
    let mut taken = 0;
    let (key, write, why) = loop {
        let key = format!("write-{taken:02}");
        let write = map.put(&key, &large).await.unwrap();
        let mut status = app.status();
        until(async || {
            status = app.status();
            status.put_off.is_some() || status.pending == 0
        })
        .await;
        if let Some(why) = status.put_off {
            break (key, write, why);
        }
        taken += 1;
        assert!(
            taken * large.to_string().len() < DISK_BYTES,
            "it is never full"
        );
    };
    assert!(
        why.contains("disk of the server's journal is full"),
        "{why}"
    );
    assert_eq!(app.status().pending, 1, "it is kept");
    assert!(app.connection_state().is_connected());

    // The same from a terminal, whose process ends meanwhile; and who comes now reads on.
    let put = [
        "put",
        "m",
        "from-terminal",
        &large.to_string(),
        "--timeout",
        "2",
    ];
    let put = device.run(&put).await.code(3);
    put.says(&["1 pending", "puts writes off", "journal is full"]);
    let newcomer = Device::new(&server.url());
    newcomer.run(&["sync", "m"]).await.code(0);
    newcomer.run(&["ls", "m"]).await.prints("before\t1\n");
    let health = device.admin(&server, &["health"]).await.code(5).stdout;
    let journal = server.folder.path().join("journal");
    for word in ["writes are put off", "make room", journal.to_str().unwrap()] {
        assert!(health.contains(word), "{word}: {health}");
    }

    // Nobody has to do more than make room.
    std::fs::remove_file(on_the_disk(&server, "filler")).unwrap();
    tokio::time::timeout(PATIENCE, write.acked())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(app.status().put_off, None);
    device.run(&["sync", "m"]).await.code(0);
    newcomer.run(&["sync", "m"]).await.code(0);
    newcomer.run(&["sync", "app"]).await.code(0);
    for (map, key) in [("app", key.as_str()), ("m", "from-terminal")] {
        let get = newcomer.run(&["get", map, key]).await.code(0);
        assert_eq!(get.json(), large);
    }
    until(async || device.admin(&server, &["health"]).await.code == Some(0)).await;
    app.close().await.unwrap();
    let ended = server.process.terminate().await.unwrap();
    assert!(ended.success(), "{ended}");
}
