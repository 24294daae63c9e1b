//! Which path is what.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::{exposition, guard, letters, partitions};
use crate::admin::Admin;

/// Asks how many bytes the journal takes up on its disk; none when that cannot be told.
pub(super) type JournalBytes = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// The operator's HTTP routes of one server.
///
/// They ask nobody who they are. Whoever serves them binds an address of the loopback interface, or
/// guards the way there. A page in a browser gets nothing: requests with an `Origin` are refused,
/// and so are those for a `Host` that is neither of the loopback interface nor named by
/// [`AdminRoutes::hosts`].
///
/// | request | answer |
/// |---|---|
/// | `GET /health` | 200 with `{"status": "ok", "reasons": []}`, or 503 with `"degraded"` and why |
/// | `GET /metrics` | OpenMetrics text |
/// | `GET /partitions?limit=N` | `{"partitions": […]}`: those with which the database is furthest behind, or something is wrong |
/// | `GET /dead-letters?after=ID&limit=N` | `{"dead_letters": […], "next": ID or null}`, without values |
/// | `POST /dead-letters/ID/retry` | 204 once it is stored where it belongs |
/// | `DELETE /dead-letters/ID` | 204 once the entry is what the database has of it |
///
/// An error is `{"error": {"kind", "message", "retryable"}}`, with 400, 404, 409, 422 (the database
/// refuses the version again) or 503.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_runtime_tokio::TokioRuntime;
/// use grid_server::{AdminRoutes, MemoryJournal, Server};
/// use grid_storage_memory::MemoryPersistence;
///
/// # let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # tokio.block_on(async {
/// let server = Server::builder()
///     .runtime(Arc::new(TokioRuntime::current()?))
///     .journal(Arc::new(MemoryJournal::new()))
///     .persistence(Arc::new(MemoryPersistence::new()))
///     .start()
///     .await?;
/// let router = AdminRoutes::new(server.admin()).into_router();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
/// # let _never_served =
/// axum::serve(listener, router); // .await, in a task of its own
/// # server.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct AdminRoutes {
    pub(super) admin: Admin,
    pub(super) hosts: Arc<[String]>,
    pub(super) journal_bytes: Option<JournalBytes>,
}

impl fmt::Debug for AdminRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminRoutes")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl AdminRoutes {
    /// Routes to `admin`, for those who ask for a host of the loopback interface.
    #[must_use]
    pub fn new(admin: Admin) -> Self {
        Self {
            admin,
            hosts: Arc::default(),
            journal_bytes: None,
        }
    }

    /// Answers requests for these hosts, too: names or addresses, without ports.
    #[must_use]
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.hosts = hosts.into_iter().collect();
        self
    }

    /// Adds to the metrics how many bytes the journal takes up on its disk, which only the program
    /// knows.
    #[must_use]
    pub fn journal_bytes(mut self, ask: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        self.journal_bytes = Some(Arc::new(ask));
        self
    }

    /// The router.
    pub fn into_router(self) -> Router {
        Router::new()
            .route("/health", get(health))
            .route("/metrics", get(metrics))
            .route("/partitions", get(partitions::list))
            .route("/dead-letters", get(letters::list))
            .route("/dead-letters/{id}", axum::routing::delete(letters::drop))
            .route("/dead-letters/{id}/retry", post(letters::retry))
            .layer(from_fn_with_state(self.clone(), guard::check))
            .with_state(self)
    }
}

async fn health(State(routes): State<AdminRoutes>) -> Response {
    let health = routes.admin.health();
    let (code, status) = if health.is_ok() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "degraded")
    };
    let body = json!({ "status": status, "reasons": health.reasons });
    (code, Json(body)).into_response()
}

async fn metrics(State(routes): State<AdminRoutes>) -> Response {
    let journal_bytes = routes.journal_bytes.as_ref().and_then(|ask| ask());
    let text = exposition::text(&routes.admin.metrics(), journal_bytes);
    ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], text).into_response()
}
