//! The bounds of a native WebSocket.

use std::time::Duration;

use grid_core::limits::MAX_FRAME_BYTES;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// How long a connection may take from the first packet to the last of its handshake.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long `close` waits for the peer's side of the closing handshake.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a listener rests after the system refused it a socket, as it does when the process
/// has no file descriptor left.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Handshakes under way at one listener; another caller ends the one that takes longest, so that
/// those who say nothing keep nobody out.
pub(super) const MAX_HANDSHAKES: usize = 1024;
/// Connections whose handshake is done and that wait to be accepted.
pub(super) const READY_CONNECTIONS: usize = 64;

/// Bytes that every connection holds for reading: small, for most connections are idle.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes that gather before a write that was not flushed goes out.
const WRITE_BUFFER_BYTES: usize = 32 * 1024;

/// The library's settings.
pub(super) fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES))
}
