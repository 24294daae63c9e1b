//! The task that keeps a connection to the server: it connects, sends, receives, notices silence,
//! and comes back after a loss.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, select_biased};
use grid_core::codec::CborCodec;
use grid_core::protocol::{
    FrameChain, Goodbye, Message, end_code, is_damaged_frame, read_frame, write_frame,
};
use grid_core::traits::{Codec, CodecLimits, Connection, Transport};
use grid_core::{Error, ErrorKind, Result};

use crate::connection_state::ConnectionState;
use crate::engine::{Engine, Phase, Task, closed};
use crate::settings::{
    Backoff, CONNECT_TIMEOUT, FRAMES_AT_A_TIME, GOODBYE_TIMEOUT, MAX_UNSAVED_BYTES, STEADY_AFTER,
};

/// Where and how to connect.
pub(crate) struct Link {
    /// It may hold a password: it is neither logged nor shown.
    pub(crate) url: String,
    pub(crate) transport: Arc<dyn Transport>,
    /// The codecs beside the built-in one, best first.
    pub(crate) codecs: Vec<Arc<dyn Codec>>,
    pub(crate) backoff: Backoff,
}

/// Why a connection is over.
struct Ended {
    error: Error,
    /// Whether the server had said welcome.
    welcomed: bool,
    /// Whether the server said no.
    refused: bool,
}

impl Ended {
    fn state(&self) -> ConnectionState {
        if self.refused {
            ConnectionState::Refused {
                message: self.error.message().to_owned(),
                retryable: self.error.is_retryable(),
            }
        } else {
            ConnectionState::Offline {
                reason: Some(self.error.to_string()),
            }
        }
    }
}

/// Keeps connecting until the grid closes.
pub(crate) async fn run(task: Task, link: Link) {
    let engine = &*task.engine;
    let mut failures = 0;
    let mut waited = Duration::ZERO;
    loop {
        engine.state.send_replace(ConnectionState::Connecting);
        let begun = engine.runtime.monotonic();
        let ended = connect(engine, &link).await;
        let lasted = engine.runtime.monotonic().saturating_sub(begun);
        if disconnect(engine) != Phase::Open {
            return;
        }
        let damaged = is_damaged_frame(&ended.error);
        if damaged {
            tracing::warn!(error = %ended.error, "the line damages frames");
        } else {
            tracing::debug!(error = %ended.error, "not connected");
        }
        // A server that went away is tried again soon, one that misbehaves less and less often.
        let served = ended.welcomed && lasted > waited.min(STEADY_AFTER);
        failures = if served && (damaged || ended.error.kind() != ErrorKind::Corrupt) {
            1
        } else {
            failures + 1
        };
        engine.state.send_replace(ended.state());
        waited = link.backoff.wait(failures, engine.runtime.random());
        select_biased! {
            () = closing_of(engine).fuse() => return,
            () = engine.to_connect.notified().fuse() => failures = 0,
            () = engine.runtime.sleep(waited).fuse() => {}
        }
    }
}

fn disconnect(engine: &Engine) -> Phase {
    let mut core = engine.lock();
    core.replica.disconnect();
    let phase = core.phase;
    engine.settle(core);
    phase
}

/// Completes when the grid begins to close.
async fn closing_of(engine: &Engine) {
    let mut phase = engine.watch_phase();
    // The sender lives as long as the engine.
    let _phase = phase.wait_for(|phase| *phase != Phase::Open).await;
}

/// Makes one connection and serves it to its end.
async fn connect(engine: &Engine, link: &Link) -> Ended {
    let connection = select_biased! {
        () = closing_of(engine).fuse() => Err(closed("connect")),
        connection = link.transport.connect(&link.url).fuse() => connection,
        () = engine.runtime.sleep(CONNECT_TIMEOUT).fuse() => Err(Error::new(
            ErrorKind::Timeout,
            "connect",
            "nobody answered in time",
        )),
    };
    let connection = match connection {
        Ok(connection) => connection,
        Err(error) => {
            return Ended {
                // No retry makes a URL of what is none.
                refused: error.kind() == ErrorKind::Invalid,
                error,
                welcomed: false,
            };
        }
    };
    let talk = Talk {
        engine,
        link,
        connection: &*connection,
        codec: OnceLock::new(),
        sent: Mutex::default(),
        received: Mutex::default(),
        refused: AtomicBool::new(false),
    };
    let error = match talk.greet().await {
        Err(error) => error,
        Ok(()) => talk.serve().await,
    };
    select_biased! {
        () = connection.close().fuse() => {}
        () = engine.runtime.sleep(GOODBYE_TIMEOUT).fuse() => {}
    }
    Ended {
        welcomed: talk.codec.get().is_some(),
        // A token that was good for a while may be refused on a connection that was welcome.
        refused: talk.refused.load(Ordering::Relaxed) || error.kind() == ErrorKind::Unauthorized,
        error,
    }
}

/// Only whole changes happen under the lock, so what a panic elsewhere left is usable.
fn chain(chain: &Mutex<FrameChain>) -> MutexGuard<'_, FrameChain> {
    chain.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection.
struct Talk<'a> {
    engine: &'a Engine,
    link: &'a Link,
    connection: &'a dyn Connection,
    /// The codec that the server chose.
    codec: OnceLock<Arc<dyn Codec>>,
    /// What was sent and what was received, as heartbeats compare it.
    sent: Mutex<FrameChain>,
    received: Mutex<FrameChain>,
    /// Whether the server said no.
    refused: AtomicBool,
}

impl Talk<'_> {
    async fn greet(&self) -> Result<()> {
        let names = std::iter::once(CborCodec::NAME)
            .chain(self.link.codecs.iter().map(|codec| codec.name()));
        let names = names.map(str::to_owned).collect();
        let hello = {
            let mut core = self.engine.lock();
            let token = core.token.clone();
            core.replica.connect(names, token, self.engine.now())
        };
        let frame = self.frame(Message::Hello(hello))?;
        self.connection.send(&[frame]).await
    }

    /// Sends, receives and keeps time until one of these fails, or the grid closes.
    async fn serve(&self) -> Error {
        let error = select_biased! {
            () = closing_of(self.engine).fuse() => None,
            error = self.talk().fuse() => Some(error),
        };
        match error {
            Some(error) => {
                if is_damaged_frame(&error) {
                    self.say_goodbye(&error).await;
                }
                error
            }
            None => {
                let error = closed("connect");
                self.say_goodbye(&error).await;
                error
            }
        }
    }

    /// Tells the server why the client goes, if it takes that at once.
    async fn say_goodbye(&self, error: &Error) {
        let goodbye = Message::Goodbye(Goodbye {
            code: end_code(error),
            message: error.message().to_owned(),
        });
        if let Ok(frame) = self.encode(&goodbye) {
            let frames = [frame];
            select_biased! {
                _sent = self.connection.send(&frames).fuse() => {}
                () = self.engine.runtime.sleep(GOODBYE_TIMEOUT).fuse() => {}
            }
        }
    }

    async fn talk(&self) -> Error {
        select_biased! {
            error = self.receive().fuse() => error,
            error = self.send().fuse() => error,
            error = self.keep_time().fuse() => error,
        }
    }

    /// The frame of the next message to be sent. Heartbeats tell what was sent before them.
    fn frame(&self, message: Message) -> Result<Bytes> {
        let mut sent = chain(&self.sent);
        let frame = self.encode(&match message {
            Message::Ping(_) => Message::Ping(sent.value()),
            Message::Pong(_) => Message::Pong(sent.value()),
            other => other,
        })?;
        sent.add(&frame);
        Ok(frame)
    }

    /// The message of the next frame that was received.
    ///
    /// # Errors
    /// As the codec's; `Protocol` when a heartbeat shows that a frame was lost or doubled.
    fn message(&self, frame: &Bytes) -> Result<Message> {
        let message = self.decode(frame.clone())?;
        let mut received = chain(&self.received);
        if let Message::Ping(sent) | Message::Pong(sent) = message
            && sent != received.value()
        {
            let message = "the transport lost, doubled or reordered a frame";
            return Err(Error::new(ErrorKind::Protocol, "heartbeat", message).with_retryable(true));
        }
        received.add(frame);
        Ok(message)
    }

    fn encode(&self, message: &Message) -> Result<Bytes> {
        let mut buffer = BytesMut::new();
        match self.codec.get() {
            Some(codec) => write_frame(&**codec, message, &mut buffer)?,
            None => write_frame(&CborCodec, message, &mut buffer)?,
        }
        Ok(buffer.freeze())
    }

    fn decode(&self, frame: Bytes) -> Result<Message> {
        let limits = CodecLimits::default();
        match self.codec.get() {
            Some(codec) => read_frame(&**codec, frame, &limits),
            None => read_frame(&CborCodec, frame, &limits),
        }
    }

    async fn receive(&self) -> Error {
        let mut frames = Vec::new();
        loop {
            if let Err(error) = self.connection.receive(&mut frames, FRAMES_AT_A_TIME).await {
                return error;
            }
            for frame in frames.drain(..) {
                if let Err(error) = self.take(&frame) {
                    return error;
                }
            }
            // A slow store slows the server down, instead of filling the memory.
            while self.engine.lock().replica.unsaved_bytes() > MAX_UNSAVED_BYTES {
                self.engine.stored.notified().await;
            }
        }
    }

    fn take(&self, frame: &Bytes) -> Result<()> {
        let message = self.message(frame)?;
        let chosen = match &message {
            Message::Welcome(welcome) => Some(self.codec_named(&welcome.codec)?),
            Message::Refused(_) => {
                self.refused.store(true, Ordering::Relaxed);
                None
            }
            _ => None,
        };
        let mut core = self.engine.lock();
        let before = core.replica.deadline();
        let taken = core.replica.receive(message, self.engine.now());
        let nearer = core.replica.deadline() < before;
        let welcomed = self.engine.settle(core);
        if nearer {
            self.engine.to_tick.notify_one();
        }
        if let Some(codec) = chosen.filter(|_| welcomed) {
            // A second welcome does not get here.
            let _first = self.codec.set(codec);
            self.engine.state.send_replace(ConnectionState::Connected);
            // Whoever asked for a connection before has one.
            let _asked = self.engine.to_connect.notified().now_or_never();
        }
        taken
    }

    fn codec_named(&self, name: &str) -> Result<Arc<dyn Codec>> {
        if name == CborCodec::NAME {
            return Ok(Arc::new(CborCodec));
        }
        let found = self.link.codecs.iter().find(|codec| codec.name() == name);
        found.cloned().ok_or_else(|| {
            let message = format!("the server chose the codec `{name}`, which was not offered");
            Error::new(ErrorKind::Protocol, "connect", message)
        })
    }

    async fn send(&self) -> Error {
        let mut frames = Vec::with_capacity(FRAMES_AT_A_TIME);
        loop {
            let now = self.engine.now();
            let (messages, nearer) = {
                let mut core = self.engine.lock();
                let before = core.replica.deadline();
                let messages: Vec<Message> = std::iter::from_fn(|| core.replica.next_message(now))
                    .take(FRAMES_AT_A_TIME)
                    .collect();
                (messages, core.replica.deadline() < before)
            };
            if nearer {
                self.engine.to_tick.notify_one();
            }
            if messages.is_empty() {
                self.engine.to_send.notified().await;
                continue;
            }
            for message in messages {
                match self.frame(message) {
                    Ok(frame) => frames.push(frame),
                    Err(error) => return error,
                }
            }
            if let Err(error) = self.connection.send(&frames).await {
                return error;
            }
            frames.clear();
        }
    }

    async fn keep_time(&self) -> Error {
        loop {
            let now = self.engine.now();
            let (ticked, deadline) = {
                let mut core = self.engine.lock();
                (core.replica.tick(now), core.replica.deadline())
            };
            if let Err(error) = ticked {
                return error;
            }
            self.engine.to_send.notify_one();
            let wait = deadline.map_or(Duration::from_secs(1), |at| at.saturating_sub(now.elapsed));
            select_biased! {
                () = self.engine.to_tick.notified().fuse() => {}
                () = self.engine.runtime.sleep(wait).fuse() => {}
            }
        }
    }
}
