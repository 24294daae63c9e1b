//! Single partitions over HTTP.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::routes::AdminRoutes;
use crate::admin::PartitionLag;

/// Partitions in one answer, unless another number is asked for.
const DEFAULT_LIMIT: usize = 20;

/// How many.
#[derive(Debug, Deserialize)]
pub(super) struct Worst {
    limit: Option<usize>,
}

/// Tells of the partitions with which the database is furthest behind, or something is wrong.
pub(super) async fn list(
    State(routes): State<AdminRoutes>,
    Query(worst): Query<Worst>,
) -> Response {
    let limit = worst.limit.unwrap_or(DEFAULT_LIMIT);
    let partitions = routes.admin.lag_by_partition(limit);
    let partitions: Vec<Value> = partitions.iter().map(shown).collect();
    Json(json!({ "partitions": partitions })).into_response()
}

fn shown(one: &PartitionLag) -> Value {
    json!({
        "partition": one.partition.0,
        "lag_ops": one.lag.changes,
        "lag_bytes": one.lag.bytes,
        "lag_seconds": one.lag.oldest.as_secs_f64(),
        "dead_letters": one.lag.dead_letters,
        "trouble": one.trouble,
    })
}
