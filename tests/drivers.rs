//! Which drivers there are, under every choice of features: each resolves its URLs, and one whose
//! feature is off is named by the error.

use hybrid_grid::{DriverKind, ErrorKind, registry};

/// Scheme, kind, feature, and whether the feature is on.
const BUILT_IN: &[(&str, DriverKind, &str, bool)] = &[
    (
        "memory",
        DriverKind::Storage,
        "storage-memory",
        cfg!(feature = "storage-memory"),
    ),
    (
        "memory",
        DriverKind::Persistence,
        "storage-memory",
        cfg!(feature = "storage-memory"),
    ),
    (
        "sqlite",
        DriverKind::Storage,
        "storage-sqlite",
        cfg!(feature = "storage-sqlite"),
    ),
    (
        "sqlite",
        DriverKind::Persistence,
        "storage-sqlite",
        cfg!(feature = "storage-sqlite"),
    ),
    (
        "mongodb",
        DriverKind::Persistence,
        "storage-mongodb",
        cfg!(feature = "storage-mongodb"),
    ),
    (
        "postgres",
        DriverKind::Persistence,
        "storage-postgres",
        cfg!(feature = "storage-postgres"),
    ),
    (
        "postgresql",
        DriverKind::Persistence,
        "storage-postgres",
        cfg!(feature = "storage-postgres"),
    ),
    (
        "memory",
        DriverKind::Transport,
        "transport-memory",
        cfg!(feature = "transport-memory"),
    ),
    (
        "ws",
        DriverKind::Transport,
        "transport-websocket",
        cfg!(feature = "transport-websocket"),
    ),
];

#[test]
fn each_driver_that_is_on_resolves_and_each_that_is_off_is_named() {
    for (scheme, kind, feature, on) in BUILT_IN {
        match registry().find(*kind, scheme) {
            Ok(driver) => assert!(*on && driver.schemes.contains(scheme), "{scheme} {kind}"),
            Err(error) => {
                assert!(!on, "{error}");
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(error.to_string().contains(feature), "{error}");
            }
        }
    }
    assert!(registry().find(DriverKind::Codec, "cbor").is_ok());
}

#[test]
fn an_unknown_scheme_lists_the_known_ones() {
    let error = registry()
        .find(DriverKind::Storage, "floppy")
        .unwrap_err()
        .to_string();
    for (scheme, kind, _, on) in BUILT_IN {
        if *kind == DriverKind::Storage {
            assert_eq!(error.contains(&format!(" {scheme}")), *on, "{error}");
        }
    }
}

#[test]
fn encryption_is_refused_with_what_to_do() {
    let error = registry().find(DriverKind::Transport, "wss").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("TLS is not built in"), "{error}");
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn urls_open_what_they_name() {
    use std::sync::Arc;

    use grid_core::traits::Runtime;
    use hybrid_grid::Grid;
    use hybrid_grid::tokio_runtime::TokioRuntime;

    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}", folder.path().join("a.db").display());
    for (scheme, kind, _, on) in BUILT_IN {
        let url = match *scheme {
            "sqlite" => sqlite.as_str(),
            // Nobody listens there: it opens all the same, and says so when it is used.
            "mongodb" => "mongodb://127.0.0.1:1/grid?serverSelectionTimeoutMS=1",
            "postgres" => "postgres://grid@127.0.0.1:1/grid",
            "postgresql" => "postgresql://grid@127.0.0.1:1/grid",
            _ => "memory:",
        };
        match kind {
            DriverKind::Storage => {
                let grid = Grid::builder().storage(url).open().await;
                assert_eq!(grid.is_ok(), *on, "{url}");
                if let Ok(grid) = grid {
                    grid.close().await.unwrap();
                }
            }
            DriverKind::Persistence => {
                let url = url.replace("a.db", "b.db");
                let opened = registry().open_persistence(&url, runtime.clone()).await;
                assert_eq!(opened.is_ok(), *on, "{url}");
            }
            DriverKind::Transport => {
                let url = format!("{scheme}://127.0.0.1:1");
                assert_eq!(registry().transport(&url, runtime.clone()).is_ok(), *on);
            }
            _ => {}
        }
    }
}
