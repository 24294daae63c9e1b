//! What an error looks like over HTTP.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use grid_core::{Error, ErrorKind};
use serde_json::json;

/// An error as an answer, of the code that its kind stands for.
pub(super) fn refusal(error: &Error) -> Response {
    let code = match error.kind() {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
        _ if error.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    with_code(code, error)
}

/// An error as an answer of this code.
pub(super) fn with_code(code: StatusCode, error: &Error) -> Response {
    let body = json!({
        "error": {
            "kind": error.kind().name(),
            "message": error.to_string(),
            "retryable": error.is_retryable(),
        },
    });
    (code, Json(body)).into_response()
}
