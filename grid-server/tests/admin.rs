//! The program `grid-server` as operators see it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use grid_testkit::http::{Answer, ask};
use grid_testkit::process::{ServerProcess, run};

const LIMIT: Duration = Duration::from_secs(60);

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_grid-server"))
}

#[cfg(test)]
async fn start(data_dir: &Path) -> ServerProcess {
    ServerProcess::start(&program(), data_dir, "127.0.0.1:0", &[])
        .await
        .unwrap()
}

#[cfg(test)]
async fn get(server: &ServerProcess, path: &str, headers: &[&str]) -> Answer {
    let url = server.admin().unwrap();
    ask(url, "GET", path, headers).await.unwrap()
}

#[tokio::test]
async fn a_server_that_serves_is_healthy_and_tells_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let health = get(&server, "/health", &[]).await;
    assert_eq!(health.code, 200);
    assert_eq!(health.body, r#"{"reasons":[],"status":"ok"}"#);
    let metrics = get(&server, "/metrics", &[]).await;
    assert_eq!(metrics.code, 200);
    assert!(metrics.head.contains("application/openmetrics-text"));
    let value = |name: &str| {
        let line = metrics.body.lines().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(' '))
        });
        let line = line.unwrap_or_else(|| panic!("no {name} in {}", metrics.body));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    for (name, expected) in [
        ("grid_partitions", 271.0),
        ("grid_partitions_served", 271.0),
        ("grid_partitions_wanted", 0.0),
        ("grid_connections", 0.0),
        ("grid_connections_bound", 10_000.0),
        ("grid_sessions_total", 0.0),
        ("grid_write_behind_lag_ops", 0.0),
        ("grid_write_behind_lag_bytes", 0.0),
        ("grid_write_behind_lag_seconds", 0.0),
        ("grid_write_behind_backlog_bound_ops", 1_000_000.0),
        ("grid_write_behind_backlog_bound_bytes", 1_073_741_824.0),
        ("grid_dead_letters", 0.0),
        ("grid_write_behind_retries_total", 0.0),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert!(value("grid_journal_bytes") > 0.0);
    assert!(metrics.body.ends_with("# EOF\n"));
    server.terminate().await.unwrap();
}

#[tokio::test]
async fn pages_of_a_browser_get_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    for headers in [
        &["Host: evil.example:7172"] as &[&str],
        &["Host: localhost", "Host: evil.example"],
        &["Origin: http://127.0.0.1:3000"],
        &["Host: localhost:7172", "Origin: null"],
    ] {
        let answer = get(&server, "/health", headers).await;
        assert!(matches!(answer.code, 400 | 403), "{headers:?}: {answer:?}");
        assert!(!answer.body.contains("status"), "{}", answer.body);
    }
    assert_eq!(
        get(&server, "/health", &["Host: localhost:1"]).await.code,
        200
    );
    // A form of another site cannot change anything either.
    let url = server.admin().unwrap();
    let origin = ["Origin: https://evil.example", "Content-Length: 0"];
    let posted = ask(url, "POST", "/dead-letters/x/retry", &origin).await;
    assert_eq!(posted.unwrap().code, 403);
    server.terminate().await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_and_what_cannot_be_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let list = get(&server, "/dead-letters", &[]).await;
    assert_eq!(
        (list.code, list.body.as_str()),
        (200, r#"{"dead_letters":[],"next":null}"#)
    );
    let partitions = get(&server, "/partitions?limit=3", &[]).await;
    assert_eq!(partitions.body, r#"{"partitions":[]}"#);
    assert_eq!(get(&server, "/partitions?limit=x", &[]).await.code, 400);
    assert_eq!(get(&server, "/dead-letters?limit=x", &[]).await.code, 400);
    assert_eq!(get(&server, "/nowhere", &[]).await.code, 404);
    let url = server.admin().unwrap();
    let post = |method, path| ask(url, method, path, &["Content-Length: 0"]);
    for (method, path) in [
        ("POST", "/dead-letters/00001-ff/retry"),
        ("DELETE", "/dead-letters/00001-ff"),
        ("DELETE", "/dead-letters/nothing-like-it"),
    ] {
        let answer = post(method, path).await.unwrap();
        assert_eq!(answer.code, 404, "{answer:?}");
        assert!(
            answer.body.contains("there is no letter of this id"),
            "{answer:?}"
        );
    }
    server.terminate().await.unwrap();
}

#[tokio::test]
async fn the_port_may_be_taken_refused_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder.path().join("first")).await;
    let taken = server.admin().unwrap().strip_prefix("http://").unwrap();
    let second = folder.path().join("second");
    let second = second.to_str().unwrap();
    let refused = async |admin: &str| {
        let arguments = [
            "--data-dir",
            second,
            "--listen",
            "127.0.0.1:0",
            "--admin",
            admin,
        ];
        let output = run(&program(), &arguments, LIMIT).await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused(taken).await;
    assert!(said.contains("`admin`") && said.contains(taken), "{said}");
    let said = refused("0.0.0.0:0").await;
    assert!(said.contains("`admin_hosts`"), "{said}");
    server.terminate().await.unwrap();

    let off = ["--admin", "off"];
    let server = ServerProcess::start(&program(), second.as_ref(), "127.0.0.1:0", &off)
        .await
        .unwrap();
    assert_eq!(server.admin(), None);
    server.terminate().await.unwrap();

    let open = ["--admin", "0.0.0.0:0", "--admin-hosts", "grid.example"];
    let server = ServerProcess::start(&program(), second.as_ref(), "127.0.0.1:0", &open)
        .await
        .unwrap();
    let port = server.admin().unwrap().rsplit(':').next().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let answer = ask(&url, "GET", "/health", &["Host: grid.example"]).await;
    assert_eq!(answer.unwrap().code, 200);
    let answer = ask(&url, "GET", "/health", &["Host: other.example"]).await;
    assert_eq!(answer.unwrap().code, 403);
    server.terminate().await.unwrap();
}
