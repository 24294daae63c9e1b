//! Cases about how connections end.

use bytes::Bytes;
use futures::future::{join, join3};
use grid_core::traits::Connection;
use grid_core::{ErrorKind, Result};

use super::TransportFixture;
use super::pair::{Pair, numbered, pair, receive_error, take};

/// Sends until it fails; returns why.
async fn send_until_it_fails(connection: &dyn Connection) -> ErrorKind {
    let frames = vec![Bytes::from(vec![1; 64 * 1024]); 4];
    loop {
        if let Err(error) = connection.send(&frames).await {
            return error.kind();
        }
    }
}

/// What was sent arrives although the sender closed right behind it, then comes the end: a
/// farewell must be readable.
pub async fn frames_sent_before_close_arrive<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    let sent = numbered(30);
    // The far side has sent something that nobody read: that must not cost the farewell.
    far.send(&numbered(30)).await?;
    let closing = async {
        near.send(&sent).await?;
        near.close().await;
        Ok(())
    };
    let receiving = async {
        let arrived = take(&*far, sent.len()).await?;
        Ok((arrived, receive_error(&*far).await))
    };
    let (closed, received) = join(closing, receiving).await;
    let () = closed?;
    let (arrived, end) = received?;
    assert_eq!(arrived, sent);
    assert_eq!(end, ErrorKind::Closed);
    Ok(())
}

/// Both sides may be waiting in a receive: a close ends both with `Closed`.
pub async fn close_ends_the_receiver_on_both_sides<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    let (near_end, far_end, ()) =
        join3(receive_error(&*near), receive_error(&*far), near.close()).await;
    assert_eq!(near_end, ErrorKind::Closed);
    assert_eq!(far_end, ErrorKind::Closed);
    Ok(())
}

/// After a close, sending fails with `Closed`: at once here, and there as soon as it is known.
pub async fn sending_after_close_fails_on_both_sides<F: TransportFixture>(
    fixture: &F,
) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    let (end, ()) = join(receive_error(&*far), near.close()).await;
    assert_eq!(end, ErrorKind::Closed);
    for connection in [&*near, &*far] {
        assert_eq!(send_until_it_fails(connection).await, ErrorKind::Closed);
    }
    Ok(())
}

/// A sender whose peer does not read waits; it learns when the peer closes instead.
pub async fn sender_that_waits_learns_of_a_close<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    let (end, ()) = join(send_until_it_fails(&*near), far.close()).await;
    assert_eq!(end, ErrorKind::Closed);
    Ok(())
}

/// After the first error every receive fails with the same kind.
pub async fn errors_stay<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    let (end, ()) = join(receive_error(&*far), near.close()).await;
    for connection in [&*near, &*far] {
        assert_eq!(receive_error(connection).await, end);
        assert_eq!(receive_error(connection).await, end);
    }
    Ok(())
}

/// Closing twice, one after the other or from both sides at once, is no problem.
pub async fn second_close_is_harmless<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    join(near.close(), far.close()).await;
    join(near.close(), far.close()).await;
    assert_eq!(receive_error(&*near).await, ErrorKind::Closed);
    Ok(())
}

/// A connection that is dropped without a close ends too; whether as closed or as broken is left
/// to the transport.
pub async fn dropping_a_connection_ends_the_other_side<F: TransportFixture>(
    fixture: &F,
) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    drop(near);
    let end = receive_error(&*far).await;
    assert!(
        matches!(end, ErrorKind::Closed | ErrorKind::Unavailable),
        "{end:?}"
    );
    assert_eq!(send_until_it_fails(&*far).await, ErrorKind::Closed);
    Ok(())
}
