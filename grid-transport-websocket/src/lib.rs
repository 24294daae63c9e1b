//! A `Transport` over WebSockets: one frame is one binary message.
//!
//! URLs are `ws://HOST:PORT`. The native side stands on tokio-tungstenite and has to run on tokio;
//! the browser has sockets of its own, so everything that knows an operating system lives in
//! one module.

#[cfg(not(target_arch = "wasm32"))]
mod driver;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(not(target_arch = "wasm32"))]
pub use driver::DRIVER;
#[cfg(not(target_arch = "wasm32"))]
pub use native::{Address, WebSocketTransport};
