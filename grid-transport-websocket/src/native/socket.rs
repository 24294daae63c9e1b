//! A WebSocket that one task reads, another writes, and any may close.
//!
//! The library's stream wants exclusive access for each step. A short lock gives it, and the same
//! lock guards the closed flag and the wakers of the two tasks, so that closing wakes them without
//! a gap. The library keeps one waker for each direction, which is why there is one task for each.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::{Sink, Stream};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

struct State {
    /// `None` once the closing handshake is over: dropping it frees the descriptor.
    stream: Option<WebSocketStream<TcpStream>>,
    closing: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A WebSocket behind a short lock.
pub(super) struct Socket {
    state: Mutex<State>,
}

/// Who polls: the tasks stop when the socket closes, the closing handshake goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Reader,
    Writer,
    Closer,
}

impl Socket {
    pub(super) fn new(stream: WebSocketStream<TcpStream>) -> Self {
        Self {
            state: Mutex::new(State {
                stream: Some(stream),
                closing: false,
                reader: None,
                writer: None,
            }),
        }
    }

    /// The next message; `None` when there will be no more.
    pub(super) fn poll_message(
        &self,
        side: Side,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, SocketError>>> {
        self.poll(side, context, |stream, context| stream.poll_next(context))
            .map(Option::flatten)
    }

    /// Whether a message can be queued.
    pub(super) fn poll_ready(
        &self,
        side: Side,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SocketError>> {
        self.poll(side, context, |stream, context| stream.poll_ready(context))
            .map(|done| done.unwrap_or(Err(SocketError::AlreadyClosed)))
    }

    /// Queues a message, after [`Socket::poll_ready`].
    pub(super) fn queue(&self, side: Side, message: Message) -> Result<(), SocketError> {
        match self.lock().stream_for(side) {
            Some(stream) => stream.start_send(message),
            None => Err(SocketError::AlreadyClosed),
        }
    }

    /// Hands everything that was queued to the system.
    pub(super) fn poll_flush(
        &self,
        side: Side,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SocketError>> {
        self.poll(side, context, |stream, context| stream.poll_flush(context))
            .map(|done| done.unwrap_or(Err(SocketError::AlreadyClosed)))
    }

    /// Ends both tasks' calls; false when somebody did so before.
    pub(super) fn start_closing(&self) -> bool {
        let mut state = self.lock();
        let first = !state.closing;
        state.closing = true;
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        first
    }

    /// Whether this side closed the socket.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Gives the descriptor back to the system.
    pub(super) fn release(&self) {
        let stream = self.lock().stream.take();
        drop(stream);
    }

    /// One step on the stream; `None` when `side` may not touch it any more.
    fn poll<T>(
        &self,
        side: Side,
        context: &mut Context<'_>,
        step: impl FnOnce(Pin<&mut WebSocketStream<TcpStream>>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<Option<T>> {
        let mut state = self.lock();
        let Some(stream) = state.stream_for(side) else {
            return Poll::Ready(None);
        };
        let outcome = step(stream, context).map(Some);
        if outcome.is_pending() {
            state.remember(side, context.waker());
        }
        outcome
    }

    /// Whether the system sends small packets at once.
    #[cfg(test)]
    pub(super) fn nodelay(&self) -> bool {
        let state = self.lock();
        let stream = state.stream.as_ref().expect("not closed yet");
        stream.get_ref().nodelay().expect("the option can be read")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stream_for(&mut self, side: Side) -> Option<Pin<&mut WebSocketStream<TcpStream>>> {
        if self.closing && side != Side::Closer {
            return None;
        }
        self.stream.as_mut().map(Pin::new)
    }

    fn remember(&mut self, side: Side, waker: &Waker) {
        let slot = match side {
            Side::Reader => &mut self.reader,
            Side::Writer => &mut self.writer,
            // Nobody closes the closer: the library's own waker is enough.
            Side::Closer => return,
        };
        match slot {
            Some(known) if known.will_wake(waker) => {}
            _ => *slot = Some(waker.clone()),
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}
