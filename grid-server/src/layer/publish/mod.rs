//! Publish: what a batch changed is told to those who follow it, once it is durable and before
//! anybody is told that it is.

mod layer;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use layer::PublishLayer;
