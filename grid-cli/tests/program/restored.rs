//! A server whose database was put back to a backup, and the devices that come back to it.

use std::path::Path;
use std::time::{Duration, Instant};

use grid_testkit::process;

use crate::device::{Device, start};

const LIMIT: Duration = Duration::from_secs(120);
/// A journal that soon gives back what the database has.
const SMALL_JOURNAL: [&str; 4] = [
    "--journal-segment-bytes",
    "65536",
    "--flush-interval-ms",
    "50",
];

/// The number of the oldest file of the journal.
fn oldest_segment(folder: &Path) -> String {
    let files = std::fs::read_dir(folder.join("journal")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let segments = names.filter(|name| name.ends_with(".journal"));
    segments.min().unwrap()
}

/// Copies the database, which nobody has open.
fn copy_database(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("grid.db") && !name.ends_with("lock") {
            std::fs::copy(file.path(), to.join(name)).unwrap();
        }
    }
}

/// Runs the server to its end, which comes at once because it refuses to start.
async fn refused(folder: &Path) -> String {
    let program = &process::build(&["grid-server"])[0];
    let folder = folder.to_str().unwrap();
    let arguments = ["--data-dir", folder, "--listen", "127.0.0.1:0"];
    let output = process::run(program, &arguments, LIMIT).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn an_old_database_is_refused_until_a_new_history_is_ordered_and_then_repairs_devices() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, backup) = (folder.path(), backup.path());
    let server = start(folder, "127.0.0.1:0", &SMALL_JOURNAL).await;
    let address = server.address().to_string();
    let (one, other) = (Device::new(&server.url()), Device::new(&server.url()));
    for key in ["kept", "changed", "removed"] {
        one.run(&["put", "m", key, "1"]).await.code(0);
    }
    other.run(&["sync", "m"]).await.code(0);
    server.terminate().await.unwrap();
    copy_database(folder, backup);

    // More is written, until the journal has given back what the backup would need.
    let server = start(folder, &address, &SMALL_JOURNAL).await;
    one.run(&["put", "m", "changed", "2"]).await.code(0);
    one.run(&["rm", "m", "removed"]).await.code(0);
    one.run(&["put", "m", "lost", "2"]).await.code(0);
    let (before, begin) = (oldest_segment(folder), Instant::now());
    let value = format!("\"{}\"", "x".repeat(50_000));
    while oldest_segment(folder) == before {
        assert!(begin.elapsed() < LIMIT, "the journal gives nothing back");
        one.run(&["put", "filler", "k", &value]).await.code(0);
    }
    other.run(&["sync", "m"]).await.code(0);
    server.terminate().await.unwrap();
    one.run(&["--offline", "put", "m", "pending", "3"])
        .await
        .code(0);

    copy_database(backup, folder);
    let said = refused(folder).await;
    assert!(
        said.contains("restored from a backup") && said.contains("--new-history"),
        "{said}"
    );
    assert_eq!(refused(folder).await, said, "nothing was changed");

    let server = start(folder, &address, &["--new-history"]).await;
    assert!(folder.join("journal.aside-1").is_dir());
    for device in [&one, &other, &one] {
        device.run(&["sync", "m"]).await.code(0);
    }
    let expected = "changed\t1\nkept\t1\npending\t3\nremoved\t1\n";
    let mut exported = Vec::new();
    for device in [&one, &other, &Device::new(&server.url())] {
        device.run(&["sync", "m"]).await.code(0);
        device.run(&["ls", "m"]).await.code(0).prints(expected);
        exported.push(device.run(&["export", "m"]).await.code(0).stdout);
    }
    assert!(exported.iter().all(|all| *all == exported[0]));
    server.terminate().await.unwrap();

    // The order was for once; given again it does nothing.
    let server = start(folder, &address, &["--new-history"]).await;
    assert!(!folder.join("journal.aside-2").exists());
    other.run(&["put", "m", "later", "4"]).await.code(0);
    server.kill().await.unwrap();
    let server = start(folder, &address, &[]).await;
    one.run(&["sync", "m"]).await.code(0);
    one.run(&["get", "m", "later"]).await.code(0).prints("4\n");
    server.terminate().await.unwrap();
}

#[tokio::test]
async fn a_journal_that_is_damaged_can_be_set_aside_and_an_empty_database_is_no_truth() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = start(folder, "127.0.0.1:0", &[]).await;
    let address = server.address().to_string();
    let device = Device::new(&server.url());
    device.run(&["put", "m", "k", "1"]).await.code(0);
    server.terminate().await.unwrap();
    let head = folder.join("journal/journal.head");
    std::fs::write(&head, "no head of a journal").unwrap();
    let said = refused(folder).await;
    assert!(said.contains("journal.head"), "{said}");

    // Not with the wrong database, and then the journal is where it was.
    let database = folder.join("grid.db");
    let hidden = folder.join("hidden.db");
    std::fs::rename(&database, &hidden).unwrap();
    let program = &process::build(&["grid-server"])[0];
    let text = folder.to_str().unwrap();
    let arguments = [
        "--data-dir",
        text,
        "--listen",
        "127.0.0.1:0",
        "--new-history",
    ];
    let output = process::run(program, &arguments, LIMIT).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("database is empty"), "{said}");
    assert!(!folder.join("journal.aside-1").exists());
    assert_eq!(std::fs::read(&head).unwrap(), b"no head of a journal");

    std::fs::rename(&hidden, &database).unwrap();
    let server = start(folder, &address, &["--new-history"]).await;
    assert!(folder.join("journal.aside-1/journal.head").exists());
    device.run(&["put", "m", "k", "2"]).await.code(0);
    let newcomer = Device::new(&server.url());
    newcomer.run(&["sync", "m"]).await.code(0);
    newcomer.run(&["ls", "m"]).await.code(0).prints("k\t2\n");
    server.terminate().await.unwrap();
}
