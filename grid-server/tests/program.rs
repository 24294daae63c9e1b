//! The program `grid-server`: what it says on bad input, and how it ends.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use grid_testkit::process::{ServerProcess, run};

const LIMIT: Duration = Duration::from_secs(60);

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_grid-server"))
}

#[cfg(test)]
async fn refused(arguments: &[&str]) -> Output {
    run(&program(), arguments, LIMIT).await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[cfg(test)]
async fn start(data_dir: &Path) -> ServerProcess {
    ServerProcess::start(&program(), data_dir, "127.0.0.1:0", &[])
        .await
        .unwrap()
}

#[tokio::test]
async fn it_makes_its_folder_listens_and_ends_with_0_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let server = start(&data_dir).await;
    assert_ne!(server.address().port(), 0);
    let status = server.terminate().await.unwrap();
    assert_eq!(status.code(), Some(0));
    // And again, over what it left; and after a kill.
    start(&data_dir).await.kill().await.unwrap();
    let status = start(&data_dir).await.terminate().await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_second_one_on_the_same_folder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let path = folder.path().to_str().unwrap();
    let output = refused(&["--data-dir", path, "--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    let holder = format!("process: {}", server.pid().unwrap());
    assert!(said.contains(&holder), "{said}");
    assert!(
        said.contains(path) && said.contains("another grid-server"),
        "{said}"
    );
    server.terminate().await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_and_a_missing_parent_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder.path().join("first")).await;
    let second = folder.path().join("second");
    let address = server.address().to_string();
    let output = refused(&["--data-dir", second.to_str().unwrap(), "--listen", &address]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&address), "{}", said(&output));
    server.terminate().await.unwrap();

    let nowhere = folder.path().join("no/where");
    let nowhere = nowhere.to_str().unwrap();
    let output = refused(&["--data-dir", nowhere, "--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(nowhere), "{}", said(&output));
}

#[tokio::test]
async fn unknown_and_impossible_settings_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grid.toml");
    std::fs::write(&file, "hearbeat_ms = 500\n").unwrap();
    let file = file.to_str().unwrap();
    let output = refused(&["--config", file]).await;
    assert_eq!(output.status.code(), Some(2));
    let text = said(&output);
    assert!(
        text.contains("`hearbeat_ms`") && text.contains("`heartbeat_ms`"),
        "{text}"
    );
    assert!(text.contains(file), "{text}");
    let output = refused(&["--workers", "1000"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("from 0 to 256"), "{}", said(&output));
    let output = refused(&["--data-dri", "x"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--data-dir"), "{}", said(&output));
    let path = folder.path().to_str().unwrap();
    let output = refused(&["--listen", "gopher://x", "--data-dir", path]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("gopher"), "{}", said(&output));
}

#[tokio::test]
async fn another_partition_count_than_the_folder_was_made_with_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let status = start(folder.path()).await.terminate().await.unwrap();
    assert_eq!(status.code(), Some(0));
    let path = folder.path().to_str().unwrap();
    let arguments = [
        "--data-dir",
        path,
        "--listen",
        "127.0.0.1:0",
        "--partition-count",
        "7",
    ];
    let output = refused(&arguments).await;
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("271") && said.contains('7'), "{said}");
}

#[tokio::test]
async fn a_damaged_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("grid.db"), "no database at all").unwrap();
    let path = folder.path().to_str().unwrap();
    let output = refused(&["--data-dir", path, "--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("grid.db"), "{}", said(&output));
}

#[tokio::test]
async fn the_table_of_settings_can_be_printed() {
    let output = refused(&["--print-settings"]).await;
    assert_eq!(output.status.code(), Some(0));
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table, grid_server::config::markdown());
}
