//! The gateway: connections in, from the handshake to the workers' mailboxes and back out.

mod accept;
mod connection;
mod context;
mod dispatch;
mod handshake;
mod heartbeat;
mod pipeline;
mod views;
mod writer;

pub(crate) use accept::accept;
pub(crate) use context::GatewayContext;
pub(crate) use dispatch::Dispatch;
pub(crate) use pipeline::{Stack, gateway_pipeline};
pub(crate) use views::Views;
