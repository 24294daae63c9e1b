//! The queue of one connection: workers that tell, a task that sends, a task that reads requests
//! only while there is room for their answers.

use std::sync::Arc;

use bytes::Bytes;
use grid_core::codec::CborCodec;
use grid_core::protocol::{Message, ViewId};
use grid_core::{History, PartitionId, Sequence};
use shuttle::{future::block_on, thread};

use crate::sessions::{Level, Outgoing};

const VIEW: ViewId = ViewId(1);
/// The bound of the queue, and the size of one frame, in bytes.
const BOUND: usize = 100;
const FRAME: [u8; 100] = [7; 100];

fn outgoing() -> Arc<Outgoing> {
    Arc::new(Outgoing::new(Arc::new(CborCodec), BOUND))
}

/// Sends until the queue has ended; returns how many frames, and which workers were told that
/// there is room.
fn send_all(outgoing: &Outgoing) -> (usize, Vec<usize>) {
    let (mut sent, mut told) = (0, Vec::new());
    while let Some(frames) = block_on(outgoing.next()) {
        sent += frames.len();
        told.extend(outgoing.sent(frames.iter().map(Bytes::len).sum()));
    }
    (sent, told)
}

/// A worker that is refused is told later that there is room, and one that is not is not.
pub fn a_worker_that_is_refused_is_told() {
    let outgoing = outgoing();
    let workers: Vec<_> = (0..2_u16)
        .map(|worker| {
            let outgoing = outgoing.clone();
            thread::spawn(move || {
                let frames = [Bytes::from_static(&FRAME)];
                let taken = outgoing.event(worker.into(), VIEW, PartitionId(worker), &frames);
                taken.is_ok_and(|taken| taken)
            })
        })
        .collect();
    let sender = {
        let outgoing = outgoing.clone();
        thread::spawn(move || send_all(&outgoing))
    };
    let taken: Vec<bool> = workers
        .into_iter()
        .map(|worker| worker.join().is_ok_and(|taken| taken))
        .collect();
    outgoing.end(None);
    let Ok((sent, told)) = sender.join() else {
        panic!("the sender ended by a panic");
    };
    assert_eq!(sent, taken.iter().filter(|taken| **taken).count());
    for (worker, taken) in taken.iter().enumerate() {
        assert_eq!(
            told.contains(&worker),
            !taken,
            "worker {worker} of {told:?}"
        );
    }
}

/// Whoever waits for room for answers goes on when they are sent, when what was owed is given, and
/// when the connection ends.
pub fn who_waits_for_room_goes_on() {
    let outgoing = outgoing();
    // More than four bounds: no more requests are read.
    let long = Message::Renew {
        token: "x".repeat(5 * BOUND),
    };
    assert!(outgoing.answer(&long).is_ok());
    assert!(!outgoing.has_room_for_answers());
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let outgoing = outgoing.clone();
            thread::spawn(move || block_on(outgoing.room_for_answers()))
        })
        .collect();
    let sender = {
        let outgoing = outgoing.clone();
        thread::spawn(move || send_all(&outgoing))
    };
    for reader in readers {
        assert!(reader.join().is_ok());
    }
    outgoing.end(None);
    assert!(sender.join().is_ok_and(|(sent, _)| sent == 1));
}

/// Two workers say that their partitions are level, a third sends an event: the client hears of
/// each partition once, and of the third's level before its event.
pub fn every_partition_is_level_once() {
    let outgoing = outgoing();
    let id = outgoing.begin_merge(VIEW, History(1), 3);
    let level = Level {
        sequence: Sequence(1),
        root: 1,
        reset: false,
        stated: true,
    };
    let workers: Vec<_> = (0..3_u16)
        .map(|worker| {
            let outgoing = outgoing.clone();
            thread::spawn(move || {
                let partition = PartitionId(worker);
                assert!(outgoing.level(VIEW, id, partition, level).is_ok());
                if worker == 2 {
                    let frames = [Bytes::from_static(&FRAME)];
                    assert!(outgoing.event(2, VIEW, partition, &frames).is_ok());
                }
            })
        })
        .collect();
    for worker in workers {
        assert!(worker.join().is_ok());
    }
    outgoing.end(None);
    let mut frames = Vec::new();
    while let Some(more) = block_on(outgoing.next()) {
        frames.extend(more);
    }
    let events = frames.iter().filter(|frame| ***frame == FRAME).count();
    assert_eq!(events, 1);
    let named = frames.len() - events;
    // All in one, or the third alone before its event and then the two others.
    assert!((1..=2).contains(&named), "{named} messages");
    let event = frames.iter().position(|frame| **frame == FRAME);
    assert!(
        event.is_some_and(|event| event >= 1),
        "its level comes first"
    );
}
