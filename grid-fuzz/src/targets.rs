//! The targets, one file each.

mod descent;
mod frame;
mod gateway;
mod journal;
mod partition;
mod plan;
mod query;
mod query_text;
mod replica;
mod row;
mod settings;
mod url;
mod value;

use crate::target::Target;

/// All of them.
pub const TARGETS: &[Target] = &[
    frame::TARGET,
    row::TARGET,
    value::TARGET,
    url::TARGET,
    descent::TARGET,
    journal::TARGET,
    settings::TARGET,
    partition::TARGET,
    replica::TARGET,
    gateway::TARGET,
    plan::TARGET,
    query::TARGET,
    query_text::TARGET,
];
