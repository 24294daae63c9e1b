//! One life of a process: it opens the journal, checks it against the ledger, and writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use grid_core::traits::{Append, Disk, Epoch, Journal, Position, Runtime};
use grid_core::{ErrorKind, PartitionId};
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_testkit::ModelDisk;
use grid_testkit::model_disk::{DiskCall, Fault};
use grid_testkit::sim::{Executor, Stream};

use super::ledger::{Batch, Ledger, check};

const WRITERS: u16 = 6;
const PARTITIONS_OF_A_WRITER: u16 = 2;
const ROUNDS: u64 = 25;
const OPTIONS: JournalOptions = JournalOptions {
    segment_bytes: 16 * 1024,
    group_bytes: 4 * 1024,
};

type SharedLedger = Arc<Mutex<Ledger>>;

fn lock(ledger: &SharedLedger) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

fn below(runtime: &dyn Runtime, bound: u64) -> u64 {
    runtime.random() % bound
}

/// Makes some of the calls of the coming life fail.
pub(crate) fn schedule_faults(world: &Executor, disk: &ModelDisk) {
    let calls = [
        DiskCall::Append,
        DiskCall::Sync,
        DiskCall::Sync,
        DiskCall::Truncate,
        DiskCall::Rename,
        DiskCall::Remove,
        DiskCall::Read,
    ];
    for call in calls {
        if world.chance(Stream::Plan, 25) {
            let fault = if world.chance(Stream::Plan, 50) {
                Fault::Full
            } else {
                Fault::Io
            };
            disk.fail(call, 1 + world.below(Stream::Plan, 12), fault);
        }
    }
}

/// Opens the journal and checks it; `None` when a failing call or a violation stopped that.
async fn open(
    disk: &ModelDisk,
    runtime: &Arc<dyn Runtime>,
    ledger: &SharedLedger,
) -> Option<Arc<LocalJournal>> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let journal = match LocalJournal::open(shared, Arc::clone(runtime), OPTIONS).await {
        Ok(journal) => journal,
        Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::Full) => return None,
        Err(error) => {
            lock(ledger).violations.push(error.to_string());
            return None;
        }
    };
    for partition in 0..WRITERS * PARTITIONS_OF_A_WRITER {
        let line = lock(ledger)
            .lines
            .get(&partition)
            .cloned()
            .unwrap_or_default();
        match check(&journal, partition, &line).await {
            Ok((line, resurfaced)) => {
                let mut ledger = lock(ledger);
                ledger.lines.insert(partition, line);
                ledger.resurfaced += resurfaced as u64;
            }
            // A read that was made to fail is no loss.
            Err(violation) if violation.contains("as it was told to") => return None,
            Err(violation) if violation.contains("model disk is full") => return None,
            Err(violation) => {
                lock(ledger).violations.push(violation);
                return None;
            }
        }
    }
    Some(Arc::new(journal))
}

/// A life that will be cut short.
pub(crate) async fn live(
    disk: ModelDisk,
    runtime: Arc<dyn Runtime>,
    ledger: SharedLedger,
    epoch: u64,
) {
    let Some(journal) = open(&disk, &runtime, &ledger).await else {
        return;
    };
    for writer in 0..WRITERS {
        let writing = write(
            Arc::clone(&journal),
            Arc::clone(&runtime),
            Arc::clone(&ledger),
            writer,
            epoch,
        );
        runtime.spawn("writer", Box::pin(writing));
    }
}

/// The life after all crashes: everything is checked, and the journal works.
pub(crate) async fn last(
    disk: ModelDisk,
    runtime: Arc<dyn Runtime>,
    ledger: SharedLedger,
    epoch: u64,
) {
    for opening in 0..3 {
        let Some(journal) = open(&disk, &runtime, &ledger).await else {
            let nothing_failed = "the last opening failed although no call was made to fail";
            lock(&ledger).violations.push(nothing_failed.to_owned());
            return;
        };
        for writer in 0..WRITERS {
            let partition = writer * PARTITIONS_OF_A_WRITER;
            append(&journal, &*runtime, &ledger, partition, epoch + opening).await;
        }
        journal.close().await.expect("closing succeeds");
    }
}

/// Appends to, and truncates, the partitions of one writer.
async fn write(
    journal: Arc<LocalJournal>,
    runtime: Arc<dyn Runtime>,
    ledger: SharedLedger,
    writer: u16,
    epoch: u64,
) {
    for _ in 0..ROUNDS {
        let of_writer = u16::from(below(&*runtime, 2) == 1);
        let partition = writer * PARTITIONS_OF_A_WRITER + of_writer;
        append(&journal, &*runtime, &ledger, partition, epoch).await;
        if below(&*runtime, 4) == 0 {
            truncate(&journal, &*runtime, &ledger, partition).await;
        }
    }
}

/// Appends one to three batches with one call, and takes note of the outcome.
async fn append(
    journal: &LocalJournal,
    runtime: &dyn Runtime,
    ledger: &SharedLedger,
    partition: u16,
    epoch: u64,
) {
    let tail = lock(ledger).lines.entry(partition).or_default().tail();
    let batches: Vec<Batch> = (0..=below(runtime, 3))
        .map(|_| (epoch, random_batch(runtime)))
        .collect();
    let appends = (tail..).zip(&batches).map(|(tail, (epoch, batch))| Append {
        partition: PartitionId(partition),
        epoch: Epoch(*epoch),
        tail: Position(tail),
        batch: batch.clone(),
    });
    let appends = appends.collect();
    let call = |ledger: &mut Ledger| {
        let line = ledger.lines.entry(partition).or_default();
        line.doubts.push(batches.clone());
    };
    call(&mut lock(ledger));
    let outcomes = journal.append(appends).await;

    let mut ledger = lock(ledger);
    let ledger = &mut *ledger;
    let line = ledger.lines.entry(partition).or_default();
    let expected: Vec<_> = (tail + 1..)
        .take(batches.len())
        .map(|position| Ok(Position(position)))
        .collect();
    let outcomes: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.map_err(|error| error.kind()))
        .collect();
    let all = |kind| outcomes.iter().all(|outcome| *outcome == Err(kind));
    if outcomes == expected {
        ledger.acknowledged += batches.len() as u64;
        line.certain.extend(batches);
        line.doubts.clear();
    } else if all(ErrorKind::Timeout) {
        ledger.in_doubt += 1;
    } else if all(ErrorKind::Io) || all(ErrorKind::Full) {
        // Nothing was appended: it must never be seen.
        ledger.refused += 1;
        line.doubts.pop();
    } else {
        let violation = format!("append to {partition} behind {tail}: {outcomes:?}");
        ledger.violations.push(violation);
    }
}

async fn truncate(
    journal: &LocalJournal,
    runtime: &dyn Runtime,
    ledger: &SharedLedger,
    partition: u16,
) {
    let through = {
        let mut ledger = lock(ledger);
        let line = ledger.lines.entry(partition).or_default();
        let through = below(runtime, line.tail() + 1);
        line.truncated = line.truncated.max(through);
        through
    };
    let truncated = journal
        .truncate(PartitionId(partition), Position(through))
        .await;
    match truncated.map_err(|error| error.kind()) {
        Ok(()) | Err(ErrorKind::Io | ErrorKind::Full) => {}
        Err(kind) => {
            let violation = format!("truncate {partition} through {through}: {kind:?}");
            lock(ledger).violations.push(violation);
        }
    }
}

/// Mostly small, sometimes empty, sometimes larger than a commit.
fn random_batch(runtime: &dyn Runtime) -> Bytes {
    let most = match below(runtime, 20) {
        0 => 1,
        1 => 6000,
        _ => 400,
    };
    let length = usize::try_from(below(runtime, most)).expect("a small number");
    let number = runtime.random().to_le_bytes();
    let mut batch = vec![number[0]; length];
    let named = length.min(number.len());
    batch[..named].copy_from_slice(&number[..named]);
    batch.into()
}
