//! Cases about frames on their way.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{try_join, try_join4};
use grid_core::{ErrorKind, Result};

use super::TransportFixture;
use super::pair::{Pair, numbered, pair, take};
use crate::conformance::refused::assert_refused;

/// Frames of any size and content arrive as they were sent, in their order.
pub async fn frames_arrive_whole_and_in_order<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    let mut frames = numbered(500);
    frames.push(Bytes::new());
    frames.push((0..=255).collect());
    let sending = async {
        for chunk in frames.chunks(7) {
            near.send(chunk).await?;
        }
        Ok(())
    };
    let ((), arrived) = try_join(sending, take(&*far, frames.len())).await?;
    assert!(arrived == frames, "what arrived is not what was sent");
    Ok(())
}

/// Much data in both directions at once holds up neither.
pub async fn both_directions_carry_at_once<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    let frames = vec![Bytes::from(vec![7; 16 * 1024]); 1000];
    let (near_sends, far_sends) = (near.send(&frames), far.send(&frames));
    let (near_takes, far_takes) = (take(&*near, 1000), take(&*far, 1000));
    let ((), (), back, there) = try_join4(near_sends, far_sends, near_takes, far_takes).await?;
    assert!(back == frames && there == frames);
    Ok(())
}

/// A frame of the declared bound arrives.
pub async fn largest_frame_arrives<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair {
        transport,
        near,
        far,
        ..
    } = pair(fixture).await?;
    let largest = Bytes::from(vec![0xAB; transport.capabilities().max_frame_bytes]);
    let sent = [largest.clone()];
    let ((), arrived) = try_join(near.send(&sent), take(&*far, 1)).await?;
    assert!(arrived == [largest]);
    Ok(())
}

/// One byte beyond the bound fails the whole call: no frame of it arrives, the next ones do.
pub async fn oversize_frame_sends_nothing<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair {
        transport,
        near,
        far,
        ..
    } = pair(fixture).await?;
    let oversize = Bytes::from(vec![0; transport.capabilities().max_frame_bytes + 1]);
    let sent = near
        .send(&["before".into(), oversize, "behind".into()])
        .await;
    assert_refused(sent, ErrorKind::TooLarge, "one frame is too large");
    near.send(&["after".into()]).await?;
    assert_eq!(take(&*far, 1).await?, ["after"]);
    Ok(())
}

/// Sending an empty list does nothing.
pub async fn sending_nothing_is_no_error<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    near.send(&[]).await?;
    near.send(&["one".into()]).await?;
    assert_eq!(take(&*far, 1).await?, ["one"]);
    Ok(())
}

/// A call takes at least one frame and at most its limit.
pub async fn receive_keeps_its_limit<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    let sent = numbered(20);
    near.send(&sent).await?;
    let mut arrived = Vec::new();
    while arrived.len() < sent.len() {
        let mut frames = Vec::new();
        far.receive(&mut frames, 3).await?;
        assert!((1..=3).contains(&frames.len()), "{} frames", frames.len());
        arrived.append(&mut frames);
    }
    assert_eq!(arrived, sent);
    Ok(())
}

/// What the list holds already stays, and does not count towards the limit.
pub async fn receive_appends<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    near.send(&["new".into()]).await?;
    let mut frames = vec![Bytes::from("old"); 4];
    far.receive(&mut frames, 1).await?;
    assert_eq!(frames, ["old", "old", "old", "old", "new"]);
    Ok(())
}

/// Frames that arrived together are taken by one call, so that they can be handled together.
pub async fn one_receive_takes_what_is_there<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    let mut most = 0;
    // How the system cuts a stream is its own affair, but not every time at every frame.
    for _ in 0..20 {
        near.send(&vec![Bytes::from_static(b"small"); 10]).await?;
        let mut taken = 0;
        while taken < 10 {
            let mut frames = Vec::new();
            far.receive(&mut frames, 100).await?;
            taken += frames.len();
            most = most.max(frames.len());
        }
    }
    assert!(most > 1, "every frame took a call of its own");
    Ok(())
}

/// A receive that is given up after any number of steps takes no frame with it.
pub async fn dropped_receive_loses_no_frame<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    let sent = numbered(300);
    let sending = async {
        for frame in &sent {
            near.send(std::slice::from_ref(frame)).await?;
        }
        Ok(())
    };
    let receiving = async {
        let mut arrived = Vec::new();
        while arrived.len() < sent.len() {
            let given_up = far.receive(&mut arrived, 2).now_or_never();
            given_up.transpose()?;
            if arrived.len() < sent.len() {
                far.receive(&mut arrived, 2).await?;
            }
        }
        Ok(arrived)
    };
    let ((), arrived) = try_join(sending, receiving).await?;
    assert_eq!(arrived, sent);
    Ok(())
}
