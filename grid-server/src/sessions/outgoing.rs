//! What waits to be sent to one connection: bounded, in order, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use grid_core::codec::CborCodec;
use grid_core::protocol::{CaughtUp, FrameChain, Message, ViewId};
use grid_core::traits::Codec;
use grid_core::{History, PartitionId, Result};

use super::encoded::encode;
use super::merge::{Level, Merge};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, Notify, PoisonError};

/// The number of one gathering of answers, so that late ones of an earlier request are told apart.
pub(crate) type MergeId = u64;

/// How far answers may exceed the bound of events before no more requests are read.
const ANSWERS_FACTOR: usize = 4;
/// Nodes, leaves and keys of a client's comparisons that may wait for their answers before no more
/// requests are read: 8 MiB of key hashes.
const MAX_OWED_ITEMS: usize = 1024 * 1024;

/// The queue between those who have something to tell a client and the task that sends it.
///
/// Events are refused once the bound is reached: whoever was refused catches the client up later,
/// and is told when. Answers are always taken, because requests are read only while there is room.
#[derive(Debug)]
pub(crate) struct Outgoing {
    codec: Arc<dyn Codec>,
    bound_bytes: usize,
    queue: Mutex<Queue>,
    /// Items that answers are owed for.
    owed: AtomicUsize,
    filled: Notify,
    drained: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: Vec<Bytes>,
    /// Bytes of the frames that wait or are being sent.
    bytes: usize,
    /// All frames that were ever taken.
    chain: FrameChain,
    /// Workers that were refused and wait for room.
    waiting: BTreeSet<usize>,
    merges: BTreeMap<ViewId, (MergeId, Merge)>,
    last_merge: MergeId,
    /// Nothing more is taken.
    ended: bool,
}

impl Queue {
    fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.chain.add(&frame);
        self.frames.push(frame);
    }
}

impl Outgoing {
    pub(crate) fn new(codec: Arc<dyn Codec>, bound_bytes: usize) -> Self {
        Self {
            codec,
            bound_bytes,
            queue: Mutex::default(),
            owed: AtomicUsize::new(0),
            filled: Notify::new(),
            drained: Notify::new(),
        }
    }

    /// Only whole changes happen under the lock, so what a panic elsewhere left is usable.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an answer.
    ///
    /// # Errors
    /// As the codec's; nothing is queued then.
    pub(crate) fn answer(&self, message: &Message) -> Result<()> {
        let frame = encode(&*self.codec, message)?;
        self.take(|queue| queue.push(frame));
        Ok(())
    }

    /// Queues the first message, which is read before a codec is agreed.
    ///
    /// # Errors
    /// As the codec's.
    pub(crate) fn welcome(&self, message: &Message) -> Result<()> {
        let frame = encode(&CborCodec, message)?;
        self.take(|queue| queue.push(frame));
        Ok(())
    }

    /// Queues an answer that names the frames that were queued before it.
    pub(crate) fn answer_chained(&self, message: impl FnOnce(u64) -> Message) -> Result<()> {
        let mut queue = self.lock();
        if queue.ended {
            return Ok(());
        }
        let frame = encode(&*self.codec, &message(queue.chain.value()))?;
        queue.push(frame);
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// Queues frames of a view's partition, unless the bound is reached: then `worker` is told
    /// once there is room again.
    pub(crate) fn event(
        &self,
        worker: usize,
        view: ViewId,
        partition: PartitionId,
        frames: &[Bytes],
    ) -> Result<bool> {
        let mut queue = self.lock();
        if !queue.ended && queue.bytes >= self.bound_bytes {
            queue.waiting.insert(worker);
            return Ok(false);
        }
        self.put(queue, view, partition, frames)?;
        Ok(true)
    }

    /// Queues a piece of what a worker sends as room allows. It asked [`Outgoing::has_room`]
    /// before; other workers may have filled that room since, so that the bound is exceeded by
    /// one piece of each at most.
    pub(crate) fn piece(
        &self,
        view: ViewId,
        partition: PartitionId,
        frames: &[Bytes],
    ) -> Result<()> {
        self.put(self.lock(), view, partition, frames)
    }

    fn put(
        &self,
        mut queue: MutexGuard<'_, Queue>,
        view: ViewId,
        partition: PartitionId,
        frames: &[Bytes],
    ) -> Result<()> {
        if queue.ended {
            return Ok(());
        }
        let alone = queue
            .merges
            .get_mut(&view)
            .and_then(|(_, merge)| merge.take(partition));
        if let Some(caught_up) = alone {
            let frame = encode(&*self.codec, &Message::CaughtUp(caught_up))?;
            queue.push(frame);
        }
        for frame in frames {
            queue.push(frame.clone());
        }
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// Whether there is room for more of what a worker has to send; if not, it is told later.
    pub(crate) fn has_room(&self, worker: usize) -> bool {
        let mut queue = self.lock();
        let room = queue.ended || queue.bytes < self.bound_bytes;
        if !room {
            queue.waiting.insert(worker);
        }
        room
    }

    /// Whether nothing more is taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Awaits the answers of `partitions` partitions of a view; those that were awaited before
    /// count no more.
    pub(crate) fn begin_merge(&self, view: ViewId, history: History, partitions: usize) -> MergeId {
        let mut queue = self.lock();
        queue.last_merge += 1;
        let id = queue.last_merge;
        if !queue.ended {
            let merge = Merge::new(view, history, partitions);
            queue.merges.insert(view, (id, merge));
        }
        id
    }

    /// A partition of a view is level with the client.
    pub(crate) fn level(
        &self,
        view: ViewId,
        id: MergeId,
        partition: PartitionId,
        level: Level,
    ) -> Result<()> {
        self.merge(view, id, |merge| merge.level(partition, level))
    }

    /// A partition of a view sends deltas.
    pub(crate) fn streams(&self, view: ViewId, id: MergeId) -> Result<()> {
        self.merge(view, id, Merge::streams)
    }

    fn merge(&self, view: ViewId, id: MergeId, answer: impl FnOnce(&mut Merge)) -> Result<()> {
        let mut queue = self.lock();
        let merge = match queue.merges.get_mut(&view) {
            Some((current, merge)) if *current == id => merge,
            _ => return Ok(()),
        };
        answer(merge);
        if !merge.is_complete() {
            return Ok(());
        }
        let messages = queue.merges.remove(&view).map(|(_, merge)| merge.finish());
        let frames: Vec<Bytes> = messages
            .into_iter()
            .flatten()
            .map(|message: CaughtUp| encode(&*self.codec, &Message::CaughtUp(message)))
            .collect::<Result<_>>()?;
        for frame in frames {
            queue.push(frame);
        }
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    fn take(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.lock();
        if !queue.ended {
            change(&mut queue);
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Takes nothing after `last`.
    pub(crate) fn end(&self, last: Option<&Message>) {
        let frame = last.and_then(|message| encode(&*self.codec, message).ok());
        self.take(|queue| {
            queue.merges.clear();
            if let Some(frame) = frame {
                queue.push(frame);
            }
            queue.ended = true;
        });
        self.drained.notify_waiters();
    }

    /// Throws away what waits, after [`Outgoing::end`]: the connection is gone.
    pub(crate) fn clear(&self) {
        let mut queue = self.lock();
        queue.frames.clear();
        queue.bytes = 0;
    }

    /// Everything that waits, once there is something; `None` when it has ended and all was taken.
    pub(crate) async fn next(&self) -> Option<Vec<Bytes>> {
        loop {
            let filled = self.filled.notified();
            {
                let mut queue = self.lock();
                if !queue.frames.is_empty() {
                    return Some(std::mem::take(&mut queue.frames));
                }
                if queue.ended {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// Frames of `bytes` bytes were sent; returns the workers that wait for room, if there is.
    pub(crate) fn sent(&self, bytes: usize) -> BTreeSet<usize> {
        let mut queue = self.lock();
        queue.bytes = queue.bytes.saturating_sub(bytes);
        let room = queue.bytes <= self.bound_bytes / 2;
        let waiting = if room {
            std::mem::take(&mut queue.waiting)
        } else {
            BTreeSet::new()
        };
        drop(queue);
        self.drained.notify_waiters();
        waiting
    }

    /// Whether there is room for the answers to another request.
    pub(crate) fn has_room_for_answers(&self) -> bool {
        let queue = self.lock();
        let owed = self.owed.load(Ordering::Relaxed);
        queue.ended || (queue.bytes < self.bound_bytes * ANSWERS_FACTOR && owed < MAX_OWED_ITEMS)
    }

    /// An answer is owed for so many more items.
    pub(super) fn owe(&self, items: usize) {
        self.owed.fetch_add(items, Ordering::Relaxed);
    }

    /// It was given, or is not wanted any more.
    pub(super) fn repay(&self, items: usize) {
        self.owed.fetch_sub(items, Ordering::Relaxed);
        self.drained.notify_waiters();
    }

    /// Completes once there is room for answers to another request.
    pub(crate) async fn room_for_answers(&self) {
        loop {
            let drained = self.drained.notified();
            if self.has_room_for_answers() {
                return;
            }
            drained.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use grid_core::Sequence;
    use grid_core::protocol::read_frame;
    use grid_core::traits::CodecLimits;

    const VIEW: ViewId = ViewId(1);
    const PARTITION: PartitionId = PartitionId(2);

    fn outgoing() -> Outgoing {
        Outgoing::new(Arc::new(CborCodec), 100)
    }

    fn frame(bytes: usize) -> Vec<Bytes> {
        vec![Bytes::from(vec![0; bytes])]
    }

    #[test]
    fn events_are_refused_at_the_bound_and_the_worker_is_told_when_there_is_room() {
        let outgoing = outgoing();
        assert!(outgoing.event(7, VIEW, PARTITION, &frame(99)).unwrap());
        assert!(outgoing.event(7, VIEW, PARTITION, &frame(10)).unwrap());
        assert!(!outgoing.event(7, VIEW, PARTITION, &frame(1)).unwrap());
        assert!(!outgoing.event(3, VIEW, PARTITION, &frame(1)).unwrap());
        let taken = outgoing.next().now_or_never().flatten().unwrap();
        assert_eq!(taken.len(), 2);
        // What is being sent still counts.
        assert!(!outgoing.has_room(7));
        assert_eq!(outgoing.sent(50), BTreeSet::new(), "59 of 100 bytes");
        assert_eq!(outgoing.sent(59), BTreeSet::from([3, 7]));
        assert_eq!(outgoing.sent(0), BTreeSet::new(), "told once");
        assert!(outgoing.has_room(7));
    }

    #[test]
    fn answers_are_always_taken_but_stop_the_reading_of_requests() {
        let outgoing = outgoing();
        assert!(outgoing.room_for_answers().now_or_never().is_some());
        let long = Message::Renew {
            token: "x".repeat(500),
        };
        outgoing.answer(&long).unwrap();
        assert!(outgoing.room_for_answers().now_or_never().is_none());
        outgoing.sent(500);
        assert!(outgoing.room_for_answers().now_or_never().is_some());
    }

    #[test]
    fn an_event_does_not_overtake_the_answer_that_its_partition_is_level() {
        let outgoing = outgoing();
        let stale = outgoing.begin_merge(VIEW, History(5), 1);
        let id = outgoing.begin_merge(VIEW, History(5), 2);
        let level = Level {
            sequence: Sequence(4),
            root: 9,
            reset: false,
            stated: true,
        };
        // The answer to an earlier request counts for nothing.
        outgoing.level(VIEW, stale, PARTITION, level).unwrap();
        outgoing.level(VIEW, id, PARTITION, level).unwrap();
        assert!(outgoing.next().now_or_never().is_none());
        outgoing.event(0, VIEW, PARTITION, &frame(1)).unwrap();
        let taken = outgoing.next().now_or_never().flatten().unwrap();
        let first = read_frame(&CborCodec, taken[0].clone(), &CodecLimits::default()).unwrap();
        let Message::CaughtUp(caught_up) = first else {
            panic!("{first:?}");
        };
        assert_eq!(caught_up.cursor, [(PARTITION, Sequence(4))]);
        assert_eq!(taken.len(), 2);
        // The other partition's answer completes the merge, and names itself.
        outgoing.level(VIEW, id, PartitionId(3), level).unwrap();
        assert_eq!(outgoing.next().now_or_never().flatten().unwrap().len(), 1);
    }

    #[test]
    fn heartbeats_name_the_frames_before_them() {
        let outgoing = outgoing();
        outgoing.answer(&Message::Unsubscribe(VIEW)).unwrap();
        outgoing.event(0, VIEW, PARTITION, &frame(1)).unwrap();
        let mut told = 0;
        outgoing
            .answer_chained(|chain| {
                told = chain;
                Message::Ping(chain)
            })
            .unwrap();
        let frames = outgoing.next().now_or_never().flatten().unwrap();
        let mut expected = FrameChain::default();
        frames[..2].iter().for_each(|frame| expected.add(frame));
        assert_eq!((frames.len(), told), (3, expected.value()));
    }

    #[test]
    fn after_the_end_what_waits_is_sent_and_nothing_more_is_taken() {
        let outgoing = outgoing();
        outgoing.answer(&Message::Unsubscribe(VIEW)).unwrap();
        outgoing.end(Some(&Message::Unsubscribe(VIEW)));
        outgoing.answer(&Message::Unsubscribe(VIEW)).unwrap();
        assert!(outgoing.event(0, VIEW, PARTITION, &frame(1)).unwrap());
        assert_eq!(outgoing.next().now_or_never().flatten().unwrap().len(), 2);
        assert_eq!(outgoing.next().now_or_never(), Some(None));
    }
}
