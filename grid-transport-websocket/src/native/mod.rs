//! WebSockets on tokio and the operating system's TCP.

mod address;
mod config;
mod connection;
mod error;
mod listener;
mod socket;
mod transport;

pub use address::Address;
pub use transport::WebSocketTransport;
