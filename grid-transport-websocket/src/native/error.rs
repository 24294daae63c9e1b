//! What TCP and the WebSocket library say, as the grid's errors.

use std::io;

use grid_core::{Error, ErrorKind};
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::address::Address;

/// Why no socket could be bound to `address`.
pub(super) fn listen(address: &Address, cause: io::Error) -> Error {
    let (kind, advice) = match cause.kind() {
        io::ErrorKind::AddrInUse => (
            ErrorKind::Locked,
            "the address is in use; stop the program that listens there, or choose another port",
        ),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Io,
            "permission denied; ports below 1024 need privileges, choose a higher one",
        ),
        io::ErrorKind::AddrNotAvailable => (
            ErrorKind::Invalid,
            "this machine does not have that address; use 127.0.0.1, 0.0.0.0 or one that it has",
        ),
        _ => (ErrorKind::Io, "the operating system refused the address"),
    };
    Error::new(kind, "listen", advice)
        .with("address", address)
        .with_source(cause)
}

/// Why TCP did not reach `address`.
pub(super) fn reach(address: &Address, cause: io::Error) -> Error {
    let advice = match cause.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nobody listens there; start the server, or correct the address"
        }
        _ => "the server cannot be reached",
    };
    Error::new(ErrorKind::Unavailable, "connect", advice)
        .with("address", address)
        .with_source(cause)
}

/// Why the opening handshake with `address` failed.
pub(super) fn handshake(address: &Address, cause: SocketError) -> Error {
    let (kind, advice) = match &cause {
        SocketError::Io(_)
        | SocketError::ConnectionClosed
        | SocketError::Protocol(ProtocolError::HandshakeIncomplete) => (
            ErrorKind::Unavailable,
            "the connection broke during the handshake",
        ),
        SocketError::Http(response) if response.status() >= StatusCode::INTERNAL_SERVER_ERROR => {
            (ErrorKind::Unavailable, "the server is not ready")
        }
        _ => (
            ErrorKind::Protocol,
            "what answers there is no grid server; correct the address",
        ),
    };
    Error::new(kind, "connect", advice)
        .with("address", address)
        .with_source(cause)
}

/// Why the opening handshake with `address` was given up.
pub(super) fn handshake_timeout(address: &Address) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "connect",
        "the server does not answer",
    )
    .with("address", address)
}

/// The error of a connection that is over.
pub(super) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the connection is closed")
}

/// The error of a connection that the peer closed, with what it said of it.
pub(super) fn closed_by_peer(frame: Option<CloseFrame>) -> Error {
    let Some(frame) = frame.filter(|frame| frame.code != CloseCode::Normal) else {
        return closed("receive");
    };
    let code = u16::from(frame.code);
    let mut message = format!("the peer closed the connection with code {code}");
    if !frame.reason.is_empty() {
        message.push_str(": ");
        message.extend(frame.reason.escape_debug());
    }
    Error::new(ErrorKind::Closed, "receive", message)
}

/// Why nothing more can be received.
pub(super) fn receive(cause: SocketError) -> Error {
    let (kind, advice) = match &cause {
        SocketError::ConnectionClosed | SocketError::AlreadyClosed => return closed("receive"),
        SocketError::Io(_) | SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            (ErrorKind::Unavailable, "the connection broke")
        }
        SocketError::Capacity(_) => (
            ErrorKind::TooLarge,
            "the peer announced a frame beyond the bound",
        ),
        _ => (ErrorKind::Protocol, "the peer broke the WebSocket protocol"),
    };
    Error::new(kind, "receive", advice).with_source(cause)
}

/// Why nothing more can be sent: whatever it was, the connection is gone.
pub(super) fn send(cause: SocketError) -> Error {
    closed("send").with_source(cause)
}
