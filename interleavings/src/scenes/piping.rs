//! The two ends of one direction of a connection.

use std::sync::Arc;

use bytes::Bytes;
use shuttle::{future::block_on, thread};

use crate::pipe::{Pipe, QUEUE_BYTES};

/// Frames of which a pipe takes one at a time.
fn large(count: usize) -> Vec<Bytes> {
    vec![Bytes::from_static(&[7; QUEUE_BYTES]); count]
}

/// A sender that waits for room goes on when there is some, and all that it sent arrives before
/// the end.
pub fn what_is_sent_arrives_and_then_the_end() {
    let pipe = Arc::new(Pipe::default());
    let sender = {
        let pipe = pipe.clone();
        thread::spawn(move || {
            assert_eq!(block_on(pipe.send(&large(2))), Ok(()));
            pipe.finish();
        })
    };
    let mut frames = Vec::new();
    while block_on(pipe.receive(&mut frames, 1)).is_ok() {}
    assert_eq!(frames.len(), 2);
    assert!(sender.join().is_ok());
}

/// A sender that waits for room learns that the receiver is gone.
pub fn a_sender_learns_that_the_receiver_is_gone() {
    let pipe = Arc::new(Pipe::default());
    let receiver = {
        let pipe = pipe.clone();
        thread::spawn(move || {
            let mut frames = Vec::new();
            let _received = block_on(pipe.receive(&mut frames, 1));
            pipe.abandon();
        })
    };
    assert!(block_on(pipe.send(&large(3))).is_err());
    assert!(receiver.join().is_ok());
}
