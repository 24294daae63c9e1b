//! What the cases share: a connection with both its ends.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join;
use grid_core::traits::{Connection, Listener, Transport};
use grid_core::{ErrorKind, Result};

use super::TransportFixture;

/// Two ends of one connection, and what keeps them.
pub(super) struct Pair {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) near: Arc<dyn Connection>,
    pub(super) far: Arc<dyn Connection>,
}

/// Connects one pair.
pub(super) async fn pair<F: TransportFixture>(fixture: &F) -> Result<Pair> {
    let transport = fixture.transport();
    let listener = transport.listen(&fixture.url()).await?;
    let url = listener.url();
    let (near, far) = try_join(transport.connect(&url), listener.accept()).await?;
    Ok(Pair {
        transport,
        listener,
        near,
        far,
    })
}

/// The next `count` frames of `connection`, however many calls it takes.
pub(super) async fn take(connection: &dyn Connection, count: usize) -> Result<Vec<Bytes>> {
    let mut frames = Vec::new();
    while frames.len() < count {
        let left = count - frames.len();
        connection.receive(&mut frames, left).await?;
    }
    Ok(frames)
}

/// Numbered frames of mixed sizes: frame `n` says who it is and has its own length.
pub(super) fn numbered(count: u16) -> Vec<Bytes> {
    (0..count)
        .map(|number| {
            let mut frame = vec![number.to_le_bytes()[0]; 2 + usize::from(number) * 7919 % 3000];
            frame[..2].copy_from_slice(&number.to_le_bytes());
            frame.into()
        })
        .collect()
}

/// What the next receive of `connection` fails with.
pub(super) async fn receive_error(connection: &dyn Connection) -> ErrorKind {
    let mut frames = Vec::new();
    match connection.receive(&mut frames, 1).await {
        Ok(()) => panic!("an end was expected, not {frames:?}"),
        Err(error) => error.kind(),
    }
}
