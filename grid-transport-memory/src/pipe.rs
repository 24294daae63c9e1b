//! One direction of a connection: a queue with a bound in frames and in bytes.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::sync::{Mutex, MutexGuard, Notify, PoisonError};

/// Frames that wait in one direction; then the sender waits.
pub(crate) const QUEUE_FRAMES: usize = 256;
/// Bytes at which the sender waits; the last frame may go beyond.
pub(crate) const QUEUE_BYTES: usize = 1024 * 1024;

/// The pipe was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PipeClosed;

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
}

/// A queue between one sending and one receiving task.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
}

impl Pipe {
    /// Queues `frames`, waiting for room as needed.
    pub(crate) async fn send(&self, frames: &[Bytes]) -> Result<(), PipeClosed> {
        let mut left = frames;
        loop {
            let taken = self.offer(left)?;
            left = &left[taken..];
            if left.is_empty() {
                return Ok(());
            }
            self.writable.notified().await;
        }
    }

    /// Queues what there is room for; returns how many frames that were.
    fn offer(&self, frames: &[Bytes]) -> Result<usize, PipeClosed> {
        let mut state = self.lock();
        if state.closed {
            return Err(PipeClosed);
        }
        let mut taken = 0;
        while taken < frames.len() && state.frames.len() < QUEUE_FRAMES && state.bytes < QUEUE_BYTES
        {
            state.bytes += frames[taken].len();
            state.frames.push_back(frames[taken].clone());
            taken += 1;
        }
        drop(state);
        if taken > 0 {
            self.readable.notify_one();
        }
        Ok(taken)
    }

    /// Waits for a frame, then takes up to `limit`.
    pub(crate) async fn receive(
        &self,
        frames: &mut Vec<Bytes>,
        limit: usize,
    ) -> Result<(), PipeClosed> {
        loop {
            if self.take(frames, limit)? {
                return Ok(());
            }
            self.readable.notified().await;
        }
    }

    /// Takes up to `limit` frames; whether there was one.
    fn take(&self, frames: &mut Vec<Bytes>, limit: usize) -> Result<bool, PipeClosed> {
        let mut state = self.lock();
        let count = state.frames.len().min(limit);
        if count == 0 {
            return if state.closed {
                Err(PipeClosed)
            } else {
                Ok(false)
            };
        }
        for frame in state.frames.drain(..count).collect::<Vec<_>>() {
            state.bytes -= frame.len();
            frames.push(frame);
        }
        drop(state);
        self.writable.notify_one();
        Ok(true)
    }

    /// Takes no more frames; the receiver still gets those that are there.
    pub(crate) fn finish(&self) {
        self.lock().closed = true;
        self.readable.notify_one();
        self.writable.notify_one();
    }

    /// Takes no more frames and forgets those that are there.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.frames.clear();
        state.bytes = 0;
        drop(state);
        self.finish();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;

    #[test]
    fn a_full_pipe_makes_the_sender_wait_until_one_frame_was_taken() {
        let pipe = Pipe::default();
        let frames = vec![Bytes::from_static(b"x"); QUEUE_FRAMES + 1];
        let mut sending = Box::pin(pipe.send(&frames));
        assert!(sending.as_mut().now_or_never().is_none());
        let mut taken = Vec::new();
        block_on(pipe.receive(&mut taken, 1)).unwrap();
        assert_eq!(sending.now_or_never(), Some(Ok(())));
    }

    #[test]
    fn the_bound_counts_bytes_too() {
        let pipe = Pipe::default();
        let large = Bytes::from(vec![0; QUEUE_BYTES]);
        let frames = [large.clone(), large];
        let mut sending = Box::pin(pipe.send(&frames));
        assert!(sending.as_mut().now_or_never().is_none());
        let mut taken = Vec::new();
        block_on(pipe.receive(&mut taken, 9)).unwrap();
        assert_eq!(taken.len(), 1);
        assert_eq!(sending.now_or_never(), Some(Ok(())));
    }

    #[test]
    fn frames_are_shared_not_copied() {
        let pipe = Pipe::default();
        let frame = Bytes::from(vec![1, 2, 3]);
        block_on(pipe.send(std::slice::from_ref(&frame))).unwrap();
        let mut taken = Vec::new();
        block_on(pipe.receive(&mut taken, 1)).unwrap();
        assert_eq!(taken[0].as_ptr(), frame.as_ptr());
    }
}
