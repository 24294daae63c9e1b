//! Journalled appends, beside the bare write and fdatasync of the same bytes in the same run. The
//! bare file grows with each write; the journal's has room taken ahead, and may be faster for it.

#![expect(
    clippy::disallowed_types,
    reason = "the bare side is a file without anything of the grid"
)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grid_core::traits::{Append, AppendFailure, Disk, Epoch, Journal, Position, Runtime};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use grid_runtime_tokio::{FileDisk, TokioRuntime};
use grid_server::journal::{JournalOptions, LocalJournal};

use super::median;
use crate::figure::{Better, Figure};

/// Bytes of a batch.
const BATCH_BYTES: usize = 200;
/// Bytes that the journal writes for it.
const RECORD_BYTES: usize = BATCH_BYTES + 36;
/// Appends one after the other, of each side. They take turns, so that all meet the same
/// disturbances.
const SINGLES: u32 = 1_500;
/// Writers at once, each on a partition of its own.
const WRITERS: u16 = 64;
/// Rounds of the writers, and appends of each writer in a round: short, for disks have moods.
const ROUNDS: u32 = 300;
const APPENDS: u32 = 5;

/// Measures every case.
pub(super) fn measure() -> Result<Vec<Figure>> {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .map_err(failed)?;
    // Not in the system's temporary directory: that is often memory, where a sync is free.
    let directory = tempfile::tempdir_in(".").map_err(failed)?;
    let path = directory.path().to_owned();
    // As in a server, callers are tasks.
    let sides = tokio.spawn(async move {
        let mut sides = Sides::open(&path).await?;
        let single = sides.single().await?;
        let many = sides.many().await?;
        sides.journal.close().await?;
        Ok::<_, Error>((single, many))
    });
    tokio.block_on(async {
        let (single, many) = sides.await.map_err(failed)??;
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let in_flight = f64::from(WRITERS);
        let limit = in_flight / many.bare.as_secs_f64();
        let alone = |metric, time| Figure {
            limit: Some(micros(single.bare)),
            ..figure("append_1", metric, "us", Better::Lower, micros(time))
        };
        Ok(vec![
            alone("p50", single.journal),
            alone("disk_p50", single.disk),
            Figure {
                limit: Some(limit),
                ..figure("append_64", "ops_per_s", "/s", Better::Higher, many.rate)
            },
        ])
    })
}

fn figure(
    case: &'static str,
    metric: &'static str,
    unit: &'static str,
    better: Better,
    value: f64,
) -> Figure {
    Figure {
        suite: "journal",
        case,
        metric,
        value,
        unit,
        better,
        target: None,
        limit: None,
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Io, "measure journal", "the bare side failed").with_source(error)
}

/// The journal, the disk below it, and a bare file.
struct Sides {
    runtime: TokioRuntime,
    journal: Arc<LocalJournal>,
    disk: FileDisk,
    bare: File,
}

/// Median times of one append.
struct Single {
    journal: Duration,
    disk: Duration,
    bare: Duration,
}

/// What many writers reach, and the median time of the bare file with as many bytes at once.
struct Many {
    rate: f64,
    bare: Duration,
}

impl Sides {
    async fn open(directory: &Path) -> Result<Self> {
        let runtime = TokioRuntime::current()?;
        let files = Arc::new(FileDisk::open_on(directory.join("journal"), &runtime)?);
        let options = JournalOptions::default();
        let journal = LocalJournal::open(files, Arc::new(runtime.clone()), options).await?;
        let bare = OpenOptions::new()
            .append(true)
            .create(true)
            .open(directory.join("bare"))
            .map_err(failed)?;
        Ok(Self {
            disk: FileDisk::open_on(directory.join("disk"), &runtime)?,
            runtime,
            journal: Arc::new(journal),
            bare,
        })
    }

    /// One append in flight.
    async fn single(&mut self) -> Result<Single> {
        let record = Bytes::from(vec![7; RECORD_BYTES]);
        let (mut journal, mut disk, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..SINGLES {
            let start = self.runtime.monotonic();
            self.write_bare(&record)?;
            let after_bare = self.runtime.monotonic();
            let appended = self.disk.append_and_sync("log", record.clone()).await;
            appended.map_err(AppendFailure::into_error)?;
            let after_disk = self.runtime.monotonic();
            append(&self.journal, 0, u64::from(number)).await?;
            bare.push(after_bare - start);
            disk.push(after_disk - after_bare);
            journal.push(self.runtime.monotonic() - after_disk);
        }
        Ok(Single {
            journal: median(journal),
            disk: median(disk),
            bare: median(bare),
        })
    }

    /// Many appends in flight.
    async fn many(&mut self) -> Result<Many> {
        let records = vec![7; RECORD_BYTES * usize::from(WRITERS)];
        let (mut rounds, mut bare) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let start = self.runtime.monotonic();
            let writers: Vec<_> = (1..=WRITERS)
                .map(|partition| {
                    let journal = Arc::clone(&self.journal);
                    let first = u64::from(round * APPENDS);
                    tokio::runtime::Handle::current().spawn(async move {
                        for tail in first..first + u64::from(APPENDS) {
                            append(&journal, partition, tail).await?;
                        }
                        Ok::<(), Error>(())
                    })
                })
                .collect();
            for writer in writers {
                writer.await.map_err(failed)??;
            }
            rounds.push(self.runtime.monotonic() - start);
            for _ in 0..APPENDS {
                let start = self.runtime.monotonic();
                self.write_bare(&records)?;
                bare.push(self.runtime.monotonic() - start);
            }
        }
        let appends = f64::from(WRITERS) * f64::from(APPENDS);
        Ok(Many {
            rate: appends / median(rounds).as_secs_f64(),
            bare: median(bare),
        })
    }

    fn write_bare(&mut self, bytes: &[u8]) -> Result<()> {
        self.bare.write_all(bytes).map_err(failed)?;
        self.bare.sync_data().map_err(failed)
    }
}

/// Appends one batch.
async fn append(journal: &LocalJournal, partition: u16, tail: u64) -> Result<()> {
    let append = Append {
        partition: PartitionId(partition),
        epoch: Epoch(1),
        tail: Position(tail),
        batch: Bytes::from(vec![7; BATCH_BYTES]),
    };
    for outcome in journal.append(vec![append]).await {
        outcome?;
    }
    Ok(())
}
