//! One connection.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use grid_core::limits::MAX_FRAME_BYTES;
use grid_core::traits::{Connection, Runtime};
use grid_core::{Error, ErrorKind, Result};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::config::CLOSE_TIMEOUT;
use super::error;
use super::socket::{Side, Socket};

/// A WebSocket after its opening handshake. Dropping it cuts the connection.
#[derive(Debug)]
pub(super) struct WebSocketConnection {
    peer: String,
    socket: Socket,
    /// Why nothing more can be received.
    failure: OnceLock<(ErrorKind, String)>,
    runtime: Arc<dyn Runtime>,
}

impl WebSocketConnection {
    pub(super) fn new(
        peer: String,
        stream: WebSocketStream<TcpStream>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        Self {
            peer,
            socket: Socket::new(stream),
            failure: OnceLock::new(),
            runtime,
        }
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Takes messages that are there until one is pending or `frames` grew by `limit`.
    fn poll_frames(
        &self,
        context: &mut Context<'_>,
        frames: &mut Vec<Bytes>,
        limit: usize,
    ) -> Poll<Result<()>> {
        let before = frames.len();
        while frames.len() - before < limit {
            match self.poll_frame(context) {
                Poll::Ready(Ok(frame)) => frames.push(frame),
                // What came before the failure is delivered first; the next call reports it.
                Poll::Ready(Err(_)) | Poll::Pending if frames.len() > before => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The next frame, past control messages, which the library answers on its own.
    fn poll_frame(&self, context: &mut Context<'_>) -> Poll<Result<Bytes>> {
        if let Some(error) = self.failed() {
            return Poll::Ready(Err(error));
        }
        loop {
            let error = match futures::ready!(self.socket.poll_message(Side::Reader, context)) {
                Some(Ok(Message::Binary(frame))) => return Poll::Ready(Ok(frame)),
                Some(Ok(Message::Text(_))) => Error::new(
                    ErrorKind::Protocol,
                    "receive",
                    "the peer sent a text message; frames are binary messages",
                ),
                // The library answers pings while it is polled for what follows.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(frame))) => {
                    // This step sends the answer; then the server's side ends the TCP
                    // connection, and the client's side need not wait for that.
                    if self.socket.poll_message(Side::Reader, context).is_ready() {
                        self.socket.release();
                    }
                    error::closed_by_peer(frame)
                }
                Some(Ok(Message::Frame(_))) => {
                    Error::new(ErrorKind::Internal, "receive", "a raw frame was read")
                }
                Some(Err(cause)) => error::receive(cause),
                None => error::closed("receive"),
            };
            return Poll::Ready(Err(self.fail(error)));
        }
    }

    fn failed(&self) -> Option<Error> {
        let (kind, message) = self.failure.get()?;
        Some(Error::new(*kind, "receive", message.as_str()).with("peer", &self.peer))
    }

    fn fail(&self, error: Error) -> Error {
        if !self.socket.is_closing() {
            // A second failure cannot be: after the first one nothing is read.
            let _ = self.failure.set((error.kind(), error.message().to_owned()));
        }
        error.with("peer", &self.peer)
    }

    async fn finish(&self) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        poll_fn(|context| self.socket.poll_ready(Side::Closer, context)).await?;
        self.socket.queue(Side::Closer, Message::Close(None))?;
        poll_fn(|context| self.socket.poll_flush(Side::Closer, context)).await?;
        // Closing a socket with unread data resets the connection, and the reset overtakes what
        // the peer has not read yet: so everything is read until the peer closes too.
        while let Some(message) =
            poll_fn(|context| self.socket.poll_message(Side::Closer, context)).await
        {
            message?;
        }
        Ok(())
    }
}

#[async_trait]
impl Connection for WebSocketConnection {
    fn peer(&self) -> String {
        self.peer.clone()
    }

    async fn send(&self, frames: &[Bytes]) -> Result<()> {
        if let Some(frame) = frames.iter().find(|frame| frame.len() > MAX_FRAME_BYTES) {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "send",
                format!(
                    "a frame of {} bytes; at most {MAX_FRAME_BYTES}",
                    frame.len()
                ),
            )
            .with("peer", &self.peer));
        }
        let sending = async {
            for frame in frames {
                poll_fn(|context| self.socket.poll_ready(Side::Writer, context)).await?;
                self.socket
                    .queue(Side::Writer, Message::Binary(frame.clone()))?;
            }
            poll_fn(|context| self.socket.poll_flush(Side::Writer, context)).await
        };
        sending
            .await
            .map_err(|cause| error::send(cause).with("peer", &self.peer))
    }

    async fn receive(&self, frames: &mut Vec<Bytes>, limit: usize) -> Result<()> {
        poll_fn(|context| self.poll_frames(context, frames, limit.max(1))).await
    }

    async fn close(&self) {
        if !self.socket.start_closing() {
            return;
        }
        let timeout = self.runtime.sleep(CLOSE_TIMEOUT);
        futures::select_biased! {
            outcome = Box::pin(self.finish()).fuse() => {
                if let Err(cause) = outcome {
                    tracing::debug!(peer = self.peer, %cause, "the closing handshake failed");
                }
            }
            () = timeout.fuse() => {
                tracing::debug!(peer = self.peer, "the peer did not close in time");
            }
        }
        self.socket.release();
    }
}
