//! The handshake: who is it, and what do both sides speak.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use grid_core::codec::{agree_version, read_hello};
use grid_core::protocol::{Hello, Message, Welcome};
use grid_core::traits::{CodecLimits, Connection};
use grid_core::{Error, ErrorKind, Result};

use super::context::GatewayContext;
use crate::layer::auth::authenticate;
use crate::sessions::{Introduction, Outgoing, Session};

/// Reads the first frames of a connection, and says welcome.
///
/// # Errors
/// Whatever the client is to be refused for. Nothing was sent then.
pub(super) async fn introduce(
    context: &GatewayContext,
    connection: &dyn Connection,
    frames: &mut Vec<Bytes>,
) -> Result<Session> {
    connection.receive(frames, 1).await?;
    let hello = read_hello(&frames[0], &CodecLimits::default())?;
    let now_ms = context.runtime.now_ms();
    let version = agree_version(&hello)?;
    let codec = choose_codec(context, &hello)?;
    let authenticated = authenticate(
        &*context.authenticator,
        &*context.runtime,
        hello.token.as_deref(),
        &hello.namespace,
    )
    .await?;
    let outgoing = Outgoing::new(
        context.codecs[codec].clone(),
        context.settings.send_queue_bytes,
    );
    let offset_ms = hello
        .now_ms
        .cast_signed()
        .wrapping_sub(now_ms.cast_signed());
    let introduction = Introduction {
        id: context.last_session.fetch_add(1, Ordering::Relaxed) + 1,
        peer: connection.peer(),
        authenticated,
        offset_ms,
        codec,
    };
    let session = Session::new(introduction, outgoing);
    let welcome = welcome(context, version, codec, now_ms);
    session.outgoing().welcome(&welcome)?;
    Ok(session)
}

fn choose_codec(context: &GatewayContext, hello: &Hello) -> Result<usize> {
    let spoken = |name: &String| context.codecs.iter().position(|codec| codec.name() == name);
    hello.codecs.iter().find_map(spoken).ok_or_else(|| {
        let names: Vec<&str> = context.codecs.iter().map(|codec| codec.name()).collect();
        Error::new(
            ErrorKind::Unsupported,
            "agree on codec",
            format!(
                "the client offers {:?}; this server speaks {}",
                hello.codecs,
                names.join(", ")
            ),
        )
    })
}

fn welcome(context: &GatewayContext, version: u16, codec: usize, now_ms: u64) -> Message {
    let settings = &context.settings;
    Message::Welcome(Welcome {
        version,
        codec: context.codecs[codec].name().to_owned(),
        now_ms,
        history: context.history,
        partition_count: settings.partition_count,
        digest_key: context.digest_key.0,
        max_value_bytes: settings.max_value_bytes,
        push_window: settings.push_window(),
        heartbeat_ms: u32::try_from(settings.heartbeat_ms).unwrap_or(u32::MAX),
    })
}
