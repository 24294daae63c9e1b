//! The metrics as OpenMetrics text.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::admin::Metrics;
use crate::observations::Counts;

/// What the text is.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics as OpenMetrics text. Made anew for each answer: all of them are looked up, none is
/// kept here.
pub(super) fn text(metrics: &Metrics, journal_bytes: Option<u64>) -> String {
    let mut all = Registry::with_prefix("grid");
    backlog(&mut all, metrics);
    write_behind(&mut all, &metrics.counts);
    let mut gauge = |name, help, value| all.register(name, help, ConstGauge::new(value));
    gauge(
        "partitions",
        "Partitions of the data set",
        metrics.partitions,
    );
    gauge(
        "partitions_served",
        "Partitions that this server owns and serves",
        metrics.partitions_served,
    );
    gauge(
        "partitions_wanted",
        "Partitions that this server owns and cannot serve yet",
        metrics.partitions_wanted,
    );
    gauge(
        "connections",
        "Connections that are open",
        metrics.connections,
    );
    gauge(
        "connections_bound",
        "Connections that may be open at once",
        metrics.connections_bound,
    );
    if let Some(bytes) = journal_bytes {
        let help = "What the journal takes up on its disk";
        all.register_with_unit("journal", help, Unit::Bytes, ConstGauge::new(bytes));
    }
    let mut counter = |name, help, value| all.register(name, help, ConstCounter::new(value));
    counter(
        "sessions",
        "Clients that were let in since the start",
        metrics.sessions,
    );
    counter(
        "journal_batches",
        "Batches that the journal has taken for the partitions that are served",
        metrics.journal_batches,
    );
    counter(
        "journal_batches_stored",
        "Those of them that the system of record has",
        metrics.journal_batches_stored,
    );
    let ops = Family::<Vec<(&str, &str)>, Counter>::default();
    for ((verdict, reason), count) in &metrics.counts.ops {
        let labels = vec![("verdict", *verdict), ("reason", *reason)];
        ops.get_or_create(&labels).inc_by(*count);
    }
    all.register("ops", "Ops by what became of them since the start", ops);
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = encode(&mut text, &all);
    text
}

/// What waits for the system of record, and how much may.
fn backlog(all: &mut Registry, metrics: &Metrics) {
    let ops = || Unit::Other("ops".to_owned());
    let mut gauge = |name, help, unit, value: u64| {
        all.register_with_unit(name, help, unit, ConstGauge::new(value));
    };
    let lag = metrics.lag;
    let name = "write_behind_lag";
    let help = "Changes that are acknowledged and not in the system of record";
    gauge(name, help, ops(), lag.changes);
    let help = "The bytes that they take up in the journal";
    gauge(name, help, Unit::Bytes, lag.bytes);
    let help = "The largest backlog of one partition";
    let (name, max) = ("write_behind_backlog_max", metrics);
    gauge(name, help, ops(), max.backlog_changes_max);
    gauge(name, help, Unit::Bytes, max.backlog_bytes_max);
    let help = "The backlog of one partition at which its clients have to wait";
    let name = "write_behind_backlog_bound";
    gauge(name, help, ops(), metrics.backlog_changes_bound);
    gauge(name, help, Unit::Bytes, metrics.backlog_bytes_bound);
    all.register_with_unit(
        "write_behind_lag",
        "How long the oldest of them has been waiting",
        Unit::Seconds,
        ConstGauge::new(lag.oldest.as_secs_f64()),
    );
    all.register(
        "dead_letters",
        "Entries whose version the system of record refuses for good",
        ConstGauge::new(lag.dead_letters),
    );
}

/// What write-behind did.
fn write_behind(all: &mut Registry, counts: &Counts) {
    let mut counter = |name, help, value| all.register(name, help, ConstCounter::new(value));
    counter(
        "write_behind_records",
        "Records that the system of record took",
        counts.stored_records,
    );
    counter(
        "write_behind_batches",
        "Batches that the system of record took",
        counts.stored_batches,
    );
    counter(
        "write_behind_retries",
        "Batches that failed and are tried again",
        counts.failed_batches,
    );
    counter(
        "write_behind_refused",
        "Versions that the system of record refused for good",
        counts.refused_versions,
    );
}
