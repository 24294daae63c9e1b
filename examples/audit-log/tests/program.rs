//! The program with the layer, as one would use it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::{Either, select};
use grid_core::traits::Runtime as _;
use grid_runtime_tokio::TokioRuntime;
use grid_testkit::process::{ServerProcess, run};
use hybrid_grid::Grid;

const LIMIT: Duration = Duration::from_secs(60);

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_audit-log"))
}

#[cfg(test)]
async fn start(data_dir: &Path, layers: &str) -> ServerProcess {
    ServerProcess::start(&program(), data_dir, "127.0.0.1:0", &["--layers", layers])
        .await
        .unwrap()
}

#[cfg(test)]
async fn open(server: &ServerProcess) -> Grid {
    Grid::builder()
        .storage("memory:")
        .server(format!("ws://{}", server.address()))
        .open()
        .await
        .unwrap()
}

#[tokio::test]
async fn who_writes_what_is_logged_and_what_cannot_be_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.txt");
    let layers = format!("audit-log:{}", log.display());
    let data_dir = folder.path().join("data");
    let server = start(&data_dir, &layers).await;
    let grid = open(&server).await;
    let todos = grid.map::<String>("todos").unwrap();
    todos
        .put("t1", &"milk".to_owned())
        .await
        .unwrap()
        .acked()
        .await
        .unwrap();
    let logged = std::fs::read_to_string(&log).unwrap();
    assert_eq!(logged, "\"anonymous\" \"todos\" \"t1\"\n");
    grid.close().await.unwrap();
    server.terminate().await.unwrap();

    // Every write to this file fails.
    let server = start(&data_dir, "audit-log:/dev/full").await;
    let grid = open(&server).await;
    let todos = grid.map::<String>("todos").unwrap();
    let write = todos.put("t2", &"eggs".to_owned()).await.unwrap();
    let over = TokioRuntime::current()
        .unwrap()
        .sleep(Duration::from_secs(3));
    let taken = select(Box::pin(write.acked()), over).await;
    assert!(
        matches!(taken, Either::Right(_)),
        "it was taken without being logged"
    );
    assert_eq!(
        todos.get("t2").unwrap().as_deref(),
        Some("eggs"),
        "it is pending here"
    );
    server.terminate().await.unwrap();
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_stops_the_start_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let arguments = [
        "--data-dir",
        data_dir.to_str().unwrap(),
        "--layers",
        "audit-log:/nowhere/audit.txt",
    ];
    let output = run(&program(), &arguments, LIMIT).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("/nowhere/audit.txt"), "{said}");
    let unknown = [
        "--data-dir",
        data_dir.to_str().unwrap(),
        "--layers",
        "pigeon:",
    ];
    let output = run(&program(), &unknown, LIMIT).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("`pigeon`") && said.contains("audit-log"),
        "{said}"
    );
}
