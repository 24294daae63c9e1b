//! Dead letters over HTTP.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use grid_core::ErrorKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{refusal, with_code};
use super::routes::AdminRoutes;
use crate::write_behind::DeadLetter;

/// Letters in one answer, unless another number is asked for.
const DEFAULT_LIMIT: usize = 100;

/// Which letters.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// The id of the letter before the first one that is wanted.
    after: Option<String>,
    limit: Option<usize>,
}

/// Tells what the database refused for good.
pub(super) async fn list(State(routes): State<AdminRoutes>, Query(page): Query<Page>) -> Response {
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    let found = match routes
        .admin
        .dead_letters(page.after.as_deref(), limit)
        .await
    {
        Ok(found) => found,
        Err(error) => return refusal(&error),
    };
    let next = found.letters.last().filter(|_| found.more);
    let next = next.map(|last| last.id.clone());
    let letters: Vec<Value> = found.letters.iter().map(shown).collect();
    Json(json!({ "dead_letters": letters, "next": next })).into_response()
}

/// A letter without the value, which is nobody's business who looks for what went wrong.
fn shown(letter: &DeadLetter) -> Value {
    let value = letter.record.value.as_ref();
    json!({
        "id": letter.id,
        "partition": letter.partition.0,
        "namespace": letter.address.namespace.as_str(),
        "map": letter.address.map.as_str(),
        "key": letter.record.key.as_str(),
        "sequence": letter.record.sequence.0,
        "removed": value.is_none(),
        "value_bytes": value.map_or(0, bytes::Bytes::len),
        "reason": letter.reason,
        "refused_at_ms": letter.refused_at_ms,
    })
}

/// Stores a letter where it belongs.
pub(super) async fn retry(State(routes): State<AdminRoutes>, Path(id): Path<String>) -> Response {
    match routes.admin.retry_dead_letter(&id).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        // What is wrong is the version, not the request.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Unsupported
            ) =>
        {
            with_code(StatusCode::UNPROCESSABLE_ENTITY, &error)
        }
        Err(error) => refusal(&error),
    }
}

/// Gives a letter up.
pub(super) async fn drop(State(routes): State<AdminRoutes>, Path(id): Path<String>) -> Response {
    match routes.admin.drop_dead_letter(&id).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refusal(&error),
    }
}
