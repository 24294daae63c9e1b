//! A journal that ends within a record, and one that is damaged before its end.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use grid_testkit::process::{ServerProcess, build, run};
use tokio::process::Command;

use crate::device::Device;

const LIMIT: Duration = Duration::from_secs(60);
/// The database gets nothing while a test goes on: what the journal has nobody else has.
const NEVER: [&str; 2] = ["--flush-interval-ms", "3600000"];

/// Starts a server, whose log goes into a file of its folder.
async fn start(folder: &Path) -> ServerProcess {
    let mut log = OpenOptions::new();
    let log = log.write(true).create(true).truncate(true);
    let log = log.open(folder.join("log")).unwrap();
    let mut command = Command::new(&build(&["grid-server"])[0]);
    command
        .arg("--data-dir")
        .arg(folder.join("data"))
        .args(["--listen", "127.0.0.1:0"])
        .args(NEVER)
        .stderr(Stdio::from(log));
    ServerProcess::spawn(command).await.unwrap()
}

/// Writes four entries, each acknowledged before the next, and kills the server.
async fn written(folder: &Path) -> Device {
    let server = start(folder).await;
    let device = Device::new(&server.url());
    for (key, value) in ["k1", "k2", "k3", "k4"].iter().zip(VALUES) {
        let value = format!("{value:?}");
        device.run(&["put", "m", key, &value]).await.code(0);
    }
    server.kill().await.unwrap();
    device
}

const VALUES: [&str; 4] = ["value-one", "value-two", "value-three", "value-four"];

/// The last segment, and where in it this value stands.
fn find(folder: &Path, value: &str) -> (PathBuf, usize) {
    let files = std::fs::read_dir(folder.join("data/journal")).unwrap();
    let names = files.map(|file| file.unwrap().path());
    let segments = names.filter(|name| name.extension().is_some_and(|end| end == "journal"));
    let last = segments.max().unwrap();
    let bytes = std::fs::read(&last).unwrap();
    let mut places = bytes.windows(value.len());
    let place = places.position(|each| each == value.as_bytes());
    (last, place.unwrap())
}

#[tokio::test]
async fn a_torn_end_costs_what_was_torn_and_nothing_before() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let device = written(folder).await;
    let (segment, place) = find(folder, VALUES[3]);
    let file = OpenOptions::new().write(true).open(&segment);
    file.unwrap().set_len(place as u64 + 3).unwrap();

    let server = start(folder).await;
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(log.contains("a crash interrupted"), "{log}");
    assert!(log.contains(name), "{log}");
    let kept = "k1\t\"value-one\"\nk2\t\"value-two\"\nk3\t\"value-three\"\n";
    let newcomer = Device::new(&server.url());
    newcomer.run(&["sync", "m"]).await.code(0);
    newcomer.run(&["ls", "m"]).await.prints(kept);

    // It goes on from there, and a later crash finds nothing wrong.
    newcomer.run(&["put", "m", "k5", "5"]).await.code(0);
    server.kill().await.unwrap();
    let server = start(folder).await;
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(!log.contains("a crash interrupted"), "{log}");
    for device in [Device::new(&server.url()), device.moved(&server.url())] {
        device.run(&["sync", "m"]).await.code(0);
        let ls = device.run(&["ls", "m"]).await;
        ls.prints(&format!("{kept}k5\t5\n"));
    }
    server.terminate().await.unwrap();
}

/// What the program says when it does not start.
async fn refused(folder: &Path) -> String {
    let data = folder.join("data");
    let arguments = ["--data-dir", data.to_str().unwrap()];
    let arguments = [&arguments[..], &["--listen", "127.0.0.1:0"], &NEVER].concat();
    let output = run(&build(&["grid-server"])[0], &arguments, LIMIT).await;
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn damage_before_the_end_is_refused_with_its_place_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    written(folder).await;
    let (segment, place) = find(folder, VALUES[1]);
    let whole = std::fs::read(&segment).unwrap();
    let mut damaged = whole.clone();
    damaged[place] ^= 1;
    std::fs::write(&segment, &damaged).unwrap();

    let said = refused(folder).await;
    let name = segment.file_name().unwrap().to_str().unwrap();
    let journal = folder.join("data/journal");
    let journal = journal.to_str().unwrap();
    for word in ["checksum", name, journal, "backup", "--new-history"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let offset = said.split("offset: ").nth(1).unwrap();
    let digits = offset.split(|each: char| !each.is_ascii_digit()).next();
    let offset: usize = digits.unwrap().parse().unwrap();
    let record = &whole[offset..place];
    assert!(!contains(record, VALUES[0]), "a later record than {offset}");
    assert_eq!(refused(folder).await, said);
    assert_eq!(std::fs::read(&segment).unwrap(), damaged, "it is kept");

    // The right file in its place, as from a backup, is all that it takes.
    std::fs::write(&segment, &whole).unwrap();
    let server = start(folder).await;
    let newcomer = Device::new(&server.url());
    newcomer.run(&["sync", "m"]).await.code(0);
    let all = newcomer.run(&["ls", "m"]).await.code(0).stdout;
    assert_eq!(all.lines().count(), VALUES.len(), "{all}");
    server.terminate().await.unwrap();
}

fn contains(bytes: &[u8], text: &str) -> bool {
    let mut windows = bytes.windows(text.len());
    windows.any(|each| each == text.as_bytes())
}
