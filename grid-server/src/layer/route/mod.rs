//! Route: to the worker of this node that runs the partition, as long as this node owns it.

mod error;
mod layer;
mod routed;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use layer::{RouteLayer, Router};
pub(crate) use routed::{Routed, RoutedWork};
