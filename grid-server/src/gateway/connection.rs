//! The task of one connection: it reads, and hands on, one request after the other.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use futures::{FutureExt, select_biased};
use grid_core::protocol::{
    DAMAGED_FRAME, FrameChain, Goodbye, Message, is_damaged_frame, read_frame,
};
use grid_core::traits::{CodecLimits, Connection};
use grid_core::{Error, ErrorKind, Result};
use tower::{Service, ServiceExt};

use super::context::GatewayContext;
use super::handshake::introduce;
use super::heartbeat::{Heartbeat, check_chain};
use super::writer::write;
use crate::layer::auth::expiry;
use crate::layer::{GatewayService, Request};
use crate::lifecycle::Phase;
use crate::sessions::{Session, encode, goodbye, refused};
use crate::worker::WorkerMessage;

/// Most frames that are taken from a connection at once.
const FRAMES_PER_READ: usize = 64;

/// Serves a connection until it ends; returns what is to [`leave`], if it was let in.
pub(super) async fn serve(
    context: &GatewayContext,
    connection: Arc<dyn Connection>,
) -> Option<Arc<Session>> {
    let mut frames = Vec::new();
    let introduced = {
        let introduction = introduce(context, &*connection, &mut frames).fuse();
        let timeout = context
            .runtime
            .sleep(Duration::from_millis(context.settings.handshake_timeout_ms));
        let draining = context.lifecycle.reached(Phase::Draining);
        futures::pin_mut!(introduction, draining);
        match select(introduction, select(timeout, draining)).await {
            Either::Left((introduced, _)) => introduced,
            Either::Right((Either::Left(_), _)) => Err(Error::new(
                ErrorKind::Timeout,
                "handshake",
                "the client did not say who it is in time",
            )),
            Either::Right((Either::Right(_), _)) => Err(shutting_down()),
        }
    };
    match introduced {
        Ok(session) => {
            let mut received = FrameChain::default();
            frames.iter().for_each(|hello| received.add(hello));
            let session = Arc::new(session);
            serve_session(context, connection, session.clone(), received).await;
            Some(session)
        }
        Err(error) => {
            refuse(context, &*connection, &error).await;
            None
        }
    }
}

/// Tells a client why it is not let in.
pub(super) async fn refuse(context: &GatewayContext, connection: &dyn Connection, error: &Error) {
    tracing::debug!(peer = connection.peer(), %error, "a client is refused");
    let codec = &grid_core::codec::CborCodec;
    if let Ok(frame) = encode(codec, &refused(error)) {
        let told = [frame];
        let timeout = context
            .runtime
            .sleep(Duration::from_millis(context.settings.drain_ms));
        // The client is gone or too slow to be told: then it does not get to know.
        let _ = select(connection.send(&told), timeout).await;
    }
    connection.close().await;
}

async fn serve_session(
    context: &GatewayContext,
    connection: Arc<dyn Connection>,
    session: Arc<Session>,
    received: FrameChain,
) {
    tracing::debug!(session = session.id(), peer = session.peer(), "connected");
    let (done, written) = tokio::sync::oneshot::channel::<()>();
    let writer = write(
        connection.clone(),
        session.clone(),
        context.mailboxes.clone(),
    );
    context.runtime.spawn(
        "connection writer",
        Box::pin(async move {
            writer.await;
            drop(done);
        }),
    );
    let mut reader = Reader {
        pipeline: context.pipeline.clone(),
        context,
        connection: &*connection,
        session: &session,
        heartbeat: Heartbeat::new(
            Duration::from_millis(context.settings.heartbeat_ms),
            context.runtime.monotonic(),
            received,
        ),
    };
    let ended = reader.run().await;
    let last = ended.as_ref().err().map(goodbye);
    match &ended {
        Err(error) if is_damaged_frame(error) => {
            tracing::warn!(session = session.id(), peer = session.peer(), %error, "the line damages frames");
        }
        Err(error) => tracing::debug!(session = session.id(), %error, "the connection ends"),
        Ok(()) => {}
    }
    session.outgoing().end(last.as_ref());
    // A client that does not read is not waited for for ever.
    let timeout = context
        .runtime
        .sleep(Duration::from_millis(context.settings.drain_ms));
    let _ = select(written, timeout).await;
    connection.close().await;
    session.outgoing().clear();
}

/// Tells everybody that a client is gone, once the workers have room for that.
pub(super) async fn leave(context: &GatewayContext, session: &Session) {
    for view in std::mem::take(&mut *session.views()) {
        context.views.unfollow(view);
    }
    let id = session.id();
    // An error means that the server is ending, and the workers with it.
    let _ = context
        .mailboxes
        .send_all(|| WorkerMessage::Leave(id))
        .await;
}

/// What reads from a connection.
struct Reader<'a> {
    context: &'a GatewayContext,
    connection: &'a dyn Connection,
    session: &'a Arc<Session>,
    pipeline: GatewayService,
    heartbeat: Heartbeat,
}

impl Reader<'_> {
    /// Reads until the client leaves (`Ok`), or something is wrong.
    async fn run(&mut self) -> Result<()> {
        let runtime = self.context.runtime.clone();
        let period = Duration::from_millis(self.context.settings.heartbeat_ms);
        let lifecycle = self.context.lifecycle.clone();
        let draining = lifecycle.reached(Phase::Draining).fuse();
        let expiry = expiry(self.session, &*runtime, period).fuse();
        futures::pin_mut!(draining, expiry);
        let mut beat = runtime.sleep(period).fuse();
        let mut arrived: Vec<Bytes> = Vec::new();
        let mut frames: VecDeque<Bytes> = VecDeque::new();
        loop {
            let (connection, session) = (self.connection, self.session);
            let is_more = !frames.is_empty();
            let receive = async {
                session.outgoing().room_for_answers().await;
                if is_more {
                    return Ok(());
                }
                connection.receive(&mut arrived, FRAMES_PER_READ).await
            };
            let received = select_biased! {
                () = draining => return self.drain().await,
                received = receive.fuse() => Some(received),
                error = expiry => return Err(error),
                () = beat => None,
            };
            match received {
                Some(Err(error)) if error.kind() == ErrorKind::Closed => return Ok(()),
                Some(received) => received?,
                None => {
                    beat = runtime.sleep(period).fuse();
                    self.heartbeat.beat(runtime.monotonic(), self.session)?;
                }
            }
            frames.extend(arrived.drain(..));
            while session.outgoing().has_room_for_answers() {
                let Some(frame) = frames.pop_front() else {
                    break;
                };
                if self.take(frame).await?.is_break() {
                    return Ok(());
                }
            }
        }
    }

    /// Takes one frame; breaks when it was the last.
    async fn take(&mut self, frame: Bytes) -> Result<ControlFlow<()>> {
        let before = self
            .heartbeat
            .frame(self.context.runtime.monotonic(), &frame);
        let codec = &self.context.codecs[self.session.codec()];
        let message = read_frame(&**codec, frame, &CodecLimits::default())?;
        match message {
            Message::Ping(chain) => {
                check_chain(chain, before)?;
                self.session.outgoing().answer_chained(Message::Pong)?;
            }
            Message::Pong(chain) => check_chain(chain, before)?,
            Message::Goodbye(goodbye) => {
                self.log_goodbye(&goodbye);
                return Ok(ControlFlow::Break(()));
            }
            message => {
                let request = Request::new(self.session.clone(), message);
                self.pipeline.ready().await?.call(request).await?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// A client leaves once: a line that damages frames is told once for each connection.
    fn log_goodbye(&self, Goodbye { code, message }: &Goodbye) {
        let (session, peer) = (self.session.id(), self.session.peer());
        if *code == DAMAGED_FRAME {
            tracing::warn!(
                session,
                peer,
                "the line damages frames on their way to a client"
            );
        } else {
            tracing::debug!(session, peer, code, message, "the client leaves");
        }
    }

    /// The server is ending: nothing more is read, and what was read gets its answers.
    async fn drain(&mut self) -> Result<()> {
        self.context.lifecycle.reached(Phase::Drained).await;
        Err(shutting_down())
    }
}

fn shutting_down() -> Error {
    Error::new(
        ErrorKind::Closed,
        "serve",
        "the server is shutting down; connect again later",
    )
}
