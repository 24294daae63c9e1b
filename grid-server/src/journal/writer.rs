//! The one place that changes the files of an open journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use grid_core::mutation::{Mutation, planted};
use grid_core::traits::{Append, AppendFailure, Disk, Epoch, Position, Runtime};
use grid_core::{Error, ErrorKind, PartitionId, Result};

use super::error;
use super::fetch::fetch;
use super::head::{self, Head};
use super::index::{Index, Located, Slot};
use super::options::JournalOptions;
use super::record::{MAX_BATCH_BYTES, RecordHeader, record_bytes};
use super::reserve;
use super::segment::{SegmentHeader, file_name};
use super::shared::Shared;
use super::tail_block::TailBlock;

/// Appends commits to the last segment, begins new ones, lets go of old ones.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    runtime: Arc<dyn Runtime>,
    options: JournalOptions,
    shared: Arc<Shared>,
    /// The last segment.
    segment: u64,
    file: String,
    marker: u32,
    /// Its synced length, in bytes.
    length: u64,
    /// The number of the last commit in it.
    group: u32,
    tail: TailBlock,
    /// Whether the segment is known to end at `length`. If not, it never grows again.
    sound: bool,
}

/// A commit that is not written yet.
#[derive(Debug, Default)]
struct Commit {
    outcomes: Vec<Result<Position>>,
    /// The batches that passed the fence: their place in `outcomes`, and in the log.
    accepted: Vec<(usize, Located)>,
    bytes: usize,
}

impl Writer {
    /// Goes on behind what stands in the segment of `header`, the last one.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        runtime: Arc<dyn Runtime>,
        options: JournalOptions,
        first_segment: u64,
        header: &SegmentHeader,
        index: Index,
    ) -> Self {
        Self {
            disk,
            runtime,
            options,
            shared: Arc::new(Shared::new(index, first_segment, header.number)),
            segment: header.number,
            file: file_name(header.number),
            marker: header.marker,
            length: header.body_start(),
            group: 0,
            tail: TailBlock::default(),
            sound: true,
        }
    }

    /// What readers see.
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// The size at which a commit takes no further batches, in bytes.
    pub(super) fn group_bytes(&self) -> usize {
        self.options.group_bytes
    }

    /// Commits `appends` with one write and one sync; one result for each.
    pub(super) async fn append(&mut self, appends: &[Append]) -> Vec<Result<Position>> {
        if let Err(cause) = self.prepare().await {
            return appends
                .iter()
                .map(|_| Err(error::refused(&cause)))
                .collect();
        }
        let commit = self.pass_the_fence(appends);
        if commit.accepted.is_empty() {
            return commit.outcomes;
        }
        match self.write(&commit, appends).await {
            Ok(()) => commit.outcomes,
            Err(Failure {
                cause,
                undone: true,
            }) => commit.fail(|| error::refused(&cause)),
            Err(Failure { cause, .. }) => commit.fail(|| error::unknown(&cause)),
        }
    }

    /// Begins a new segment if this one is full, or must not grow.
    async fn prepare(&mut self) -> Result<()> {
        if !self.sound {
            self.leave_segment(self.tail.start().unwrap_or(self.length))
                .await?;
        } else if self.length >= self.options.segment_bytes {
            self.leave_segment(self.length).await?;
        }
        Ok(())
    }

    /// Checks tails and epochs, those of earlier batches of this commit included.
    fn pass_the_fence(&self, appends: &[Append]) -> Commit {
        let mut commit = Commit::default();
        let mut reached: BTreeMap<PartitionId, (Position, Epoch)> = BTreeMap::new();
        self.shared.with(|state| {
            for (number, append) in appends.iter().enumerate() {
                let (tail, epoch) = reached.entry(append.partition).or_insert_with(|| {
                    let extent = state.index.extent(append.partition);
                    (extent.tail, extent.epoch)
                });
                if let Err(refusal) = check(append, *tail, *epoch) {
                    commit.outcomes.push(Err(refusal));
                    continue;
                }
                (*tail, *epoch) = (tail.next(), append.epoch);
                commit.outcomes.push(Ok(*tail));
                let length = record_bytes(&append.batch);
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a batch is within its bound"
                )]
                let slot = Slot {
                    segment: self.segment,
                    offset: self.length + commit.bytes as u64,
                    length: length as u32,
                    epoch: append.epoch,
                };
                commit.bytes += length;
                let located = Located {
                    partition: append.partition,
                    position: *tail,
                    slot,
                };
                commit.accepted.push((number, located));
            }
        });
        commit
    }

    /// Makes a commit durable, then visible; or makes sure that nothing of it is ever seen again,
    /// if that can be done.
    async fn write(&mut self, commit: &Commit, appends: &[Append]) -> Result<(), Failure> {
        let group = self.group + 1;
        let mut bytes = BytesMut::with_capacity(commit.bytes);
        let last = commit.accepted.len() - 1;
        for (place, (number, located)) in commit.accepted.iter().enumerate() {
            let header = record_header(located, group, place == last);
            header.encode(self.marker, &appends[*number].batch, &mut bytes);
        }
        self.append_durably(bytes.freeze()).await?;
        self.group = group;
        self.length += commit.bytes as u64;
        for (_, located) in &commit.accepted {
            let start = located.slot.offset;
            self.tail
                .push(start, start + u64::from(located.slot.length));
        }
        self.tail.begin(self.length);
        self.shared.with(|state| {
            for (_, located) in &commit.accepted {
                // The fence just made sure that it is the next one.
                let _ = state.index.push(located);
            }
        });
        Ok(())
    }

    /// Appends to the segment and syncs it.
    async fn append_durably(&mut self, bytes: Bytes) -> Result<(), Failure> {
        let end = self.length + bytes.len() as u64;
        let appended = if planted(Mutation::ForgetFsync) {
            let appended = self.disk.append(&self.file, bytes).await;
            appended.map_err(AppendFailure::NotAppended)
        } else {
            self.disk.append_and_sync(&self.file, bytes).await
        };
        match appended {
            Ok(length) if length == end => Ok(()),
            Ok(length) => {
                // It stands where nobody will look for it.
                self.sound = false;
                let undone = self.start_over().await;
                let cause = error::elsewhere(&self.file, end, length);
                Err(Failure { cause, undone })
            }
            Err(AppendFailure::NotAppended(cause)) => {
                let undone = self.cut_off().await || self.start_over().await;
                Err(Failure { cause, undone })
            }
            Err(AppendFailure::NotSynced(cause)) => {
                // What a failed sync left behind is unknown, and no later one makes it known.
                self.sound = false;
                let undone = self.start_over().await;
                Err(Failure { cause, undone })
            }
        }
    }

    /// Cuts off what a failed append may have written; whether that is durable.
    async fn cut_off(&mut self) -> bool {
        self.sound = false;
        let cut = async {
            self.disk.truncate(&self.file, self.length).await?;
            self.disk.sync(&self.file).await
        };
        match cut.await {
            Ok(()) => self.sound = true,
            Err(error) => {
                tracing::warn!(segment = self.file, %error, "cannot cut off a failed commit");
            }
        }
        self.sound
    }

    /// Voids what the segment holds behind its synced length by beginning the next one; whether
    /// that is durable. If not, the next commit tries again before anything else.
    async fn start_over(&mut self) -> bool {
        match self.prepare().await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(segment = self.file, %error, "cannot begin a new segment");
                false
            }
        }
    }

    /// Begins the next segment. What stands behind `cut` in this one is copied there; if it is
    /// not in the index, it is void.
    pub(super) async fn leave_segment(&mut self, cut: u64) -> Result<()> {
        let (extents, behind) = self.shared.with(|state| {
            let extents = state.index.extents_before(self.segment, cut);
            (extents, state.index.behind(self.segment, cut))
        });
        let number = self.segment + 1;
        let mut header = SegmentHeader::new(&*self.runtime, number, cut, extents);
        let (records, moved) = self.copy(&header, &behind).await?;
        header.create(&*self.disk, &records).await?;
        let first = self.shared.with(|state| state.first_segment);
        let last = number;
        head::store(&*self.disk, Head { first, last }).await?;
        self.shared.with(|state| {
            state.index.relocate(&moved);
            state.last_segment = number;
        });
        self.segment = number;
        self.file = file_name(number);
        self.marker = header.marker;
        self.length = header.body_start();
        self.group = 0;
        self.tail = TailBlock::default();
        self.sound = true;
        Ok(())
    }

    /// The records `behind`, as they will stand in the segment of `header`.
    async fn copy(
        &self,
        header: &SegmentHeader,
        behind: &[Located],
    ) -> Result<(Bytes, Vec<Located>)> {
        let mut records = BytesMut::new();
        let mut moved = Vec::with_capacity(behind.len());
        for (place, batch) in fetch(&*self.disk, behind).await?.into_iter().enumerate() {
            let mut located = behind[place];
            located.slot.segment = header.number;
            located.slot.offset = (header.header_bytes() + records.len()) as u64;
            let record = record_header(&located, 0, place + 1 == behind.len());
            record.encode(header.marker, &batch, &mut records);
            moved.push(located);
        }
        Ok((records.freeze(), moved))
    }

    /// Notes durably that the segments from `first` on count.
    pub(super) async fn store_head(&self, first: u64) -> Result<()> {
        let last = self.segment;
        head::store(&*self.disk, Head { first, last }).await
    }

    /// Removes the segments that hold nothing that was not truncated.
    pub(super) async fn reclaim(&mut self) -> Result<()> {
        let (first, needed) = self
            .shared
            .with(|state| (state.first_segment, state.needed_from()));
        if needed == first {
            return Ok(());
        }
        match self.store_head(needed).await {
            Err(error) if error.kind() == ErrorKind::Full => {
                reserve::release(&*self.disk).await?;
                self.store_head(needed).await?;
            }
            stored => stored?,
        }
        self.shared.with(|state| state.first_segment = needed);
        for number in first..needed {
            self.disk.remove(&file_name(number)).await?;
        }
        reserve::take(&*self.disk).await
    }
}

/// Why a commit failed, and whether nothing of it will ever be seen.
struct Failure {
    cause: Error,
    undone: bool,
}

impl Commit {
    /// The outcomes, with those that had passed the fence failed.
    fn fail(mut self, failure: impl Fn() -> Error) -> Vec<Result<Position>> {
        for (number, _) in &self.accepted {
            self.outcomes[*number] = Err(failure());
        }
        self.outcomes
    }
}

fn record_header(located: &Located, group: u32, last: bool) -> RecordHeader {
    RecordHeader {
        group,
        last,
        partition: located.partition,
        epoch: located.slot.epoch,
        position: located.position,
    }
}

/// The fence.
fn check(append: &Append, tail: Position, epoch: Epoch) -> Result<()> {
    let partition = append.partition;
    if append.epoch < epoch {
        return Err(error::conflict(format!(
            "epoch {} of partition {partition} is over, it is at {}",
            append.epoch.0, epoch.0
        )));
    }
    if append.tail != tail {
        return Err(error::conflict(format!(
            "partition {partition} ends at position {}, not at {}",
            tail.0, append.tail.0
        )));
    }
    if append.batch.len() > MAX_BATCH_BYTES {
        return Err(error::too_large(append.batch.len(), MAX_BATCH_BYTES));
    }
    Ok(())
}
