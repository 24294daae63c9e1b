//! Opening: from what is on the disk to an index, and to a segment that may grow.

use std::sync::Arc;

use grid_core::traits::{Disk, Runtime};
use grid_core::{Error, ErrorKind, Result};

use super::error;
use super::head::{self, HEAD, Head};
use super::index::{Index, Located, Slot};
use super::options::JournalOptions;
use super::reader::{Found, SegmentReader};
use super::record::RecordHeader;
use super::reserve;
use super::segment::{SegmentHeader, file_name, remove_unfinished};
use super::tail_block::TailBlock;
use super::writer::Writer;

/// Where a scan stands.
struct Scan {
    index: Index,
    /// The group of the record before.
    group: u32,
    /// Whether that record was the last of its group.
    whole: bool,
    tail: TailBlock,
}

/// The end of the last segment.
struct End {
    offset: u64,
    /// Whether the file ends there too.
    clean: bool,
}

/// Opens the journal on `disk`, or begins one.
pub(super) async fn open(
    disk: Arc<dyn Disk>,
    runtime: Arc<dyn Runtime>,
    options: JournalOptions,
) -> Result<Writer> {
    remove_unfinished(&*disk).await?;
    let Some(head) = head::load(&*disk).await? else {
        return begin(disk, runtime, options).await;
    };
    let mut header = SegmentHeader::load(&*disk, head.first)
        .await?
        .ok_or_else(|| missing(head.first))?;
    remove_leftovers(&*disk, head.first).await?;
    let mut scan = Scan {
        index: Index::begin(&header.extents),
        group: 0,
        whole: true,
        tail: TailBlock::default(),
    };
    while let Some(next) = SegmentHeader::load(&*disk, header.number + 1).await? {
        scan.closed_segment(&*disk, &header, next.previous_bytes)
            .await?;
        if !scan.index.join(&next.extents) {
            return Err(error::corrupt(
                &file_name(next.number),
                0,
                "the segments before this one do not hold the batches that it names",
            ));
        }
        header = next;
    }
    if header.number < head.last {
        return Err(missing(header.number + 1));
    }
    let end = scan.last_segment(&*disk, &header).await?;
    let reusable = end.clean && end.offset == header.body_start();
    let cut = scan.tail.start().unwrap_or(end.offset);
    let mut writer = Writer::new(disk, runtime, options, head.first, &header, scan.index);
    if !reusable {
        writer.leave_segment(cut).await?;
    } else if header.number > head.last {
        writer.store_head(head.first).await?;
    }
    writer.reclaim().await?;
    reserve::take(&*writer.disk()).await?;
    Ok(writer)
}

/// Begins a journal on a disk that has none.
async fn begin(
    disk: Arc<dyn Disk>,
    runtime: Arc<dyn Runtime>,
    options: JournalOptions,
) -> Result<Writer> {
    // The segment comes before the head, so a head always names one. A crash between the two
    // leaves a first segment in which nothing was ever written.
    if let Some(header) = SegmentHeader::load(&*disk, 1).await? {
        let reader = SegmentReader::new(&*disk, &header);
        if !reader.ends_at(header.body_start()).await? {
            return Err(error::corrupt(
                HEAD,
                0,
                "the head of the journal is missing",
            ));
        }
    }
    let mut header = SegmentHeader::first(&*runtime);
    header.create(&*disk, &[]).await?;
    head::store(&*disk, Head { first: 1, last: 1 }).await?;
    reserve::take(&*disk).await?;
    let index = Index::default();
    Ok(Writer::new(
        disk,
        runtime,
        options,
        header.number,
        &header,
        index,
    ))
}

/// Removes segments that were let go of when a crash came between.
async fn remove_leftovers(disk: &dyn Disk, first: u64) -> Result<()> {
    for number in (1..first).rev() {
        let file = file_name(number);
        match disk.read(&file, 0, 1).await {
            Ok(_) => disk.remove(&file).await?,
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Scan {
    /// Reads a segment that was closed at `end`: all of it was synced.
    async fn closed_segment(
        &mut self,
        disk: &dyn Disk,
        header: &SegmentHeader,
        end: u64,
    ) -> Result<()> {
        let mut reader = SegmentReader::new(disk, header);
        self.creation(&mut reader, header).await?;
        let mut offset = header.body_start();
        while offset < end {
            match reader.at(offset).await? {
                Found::Record { header, length } => {
                    offset = self.record(&reader, offset, header, length)?;
                }
                Found::Damage(what) => return Err(error::corrupt(reader.file(), offset, what)),
                Found::End => return Err(ends_early(&reader, offset)),
            }
        }
        if offset > end {
            return Err(error::corrupt(
                reader.file(),
                end,
                "the next segment says that this one ends within a record",
            ));
        }
        Ok(())
    }

    /// Reads the last segment, whose last group may be torn.
    async fn last_segment(&mut self, disk: &dyn Disk, header: &SegmentHeader) -> Result<End> {
        let mut reader = SegmentReader::new(disk, header);
        self.creation(&mut reader, header).await?;
        let mut offset = header.body_start();
        loop {
            match reader.at(offset).await? {
                Found::Record { header, length } => {
                    offset = self.record(&reader, offset, header, length)?;
                }
                Found::End => {
                    return Ok(End {
                        offset,
                        clean: true,
                    });
                }
                Found::Damage(what) => {
                    self.torn(&mut reader, offset, what).await?;
                    return Ok(End {
                        offset,
                        clean: false,
                    });
                }
            }
        }
    }

    /// Makes sure that what stands at `offset` is only the end of the last group, or room that was
    /// taken ahead.
    async fn torn(
        &self,
        reader: &mut SegmentReader<'_>,
        offset: u64,
        what: &'static str,
    ) -> Result<()> {
        if self.whole && reader.is_blank(offset).await? {
            tracing::debug!(
                segment = reader.file(),
                offset,
                "the journal was not closed: zeros stand behind its last commit"
            );
            return Ok(());
        }
        // A group is begun only when the one before it was synced.
        let torn = if self.whole {
            self.group + 1
        } else {
            self.group
        };
        if let Some(later) = reader.find_later(offset + 1, torn).await? {
            let what = format!("{what}, and a later commit stands at {later}");
            return Err(error::corrupt(reader.file(), offset, what));
        }
        tracing::warn!(
            segment = reader.file(),
            offset,
            "the journal ends in a commit that a crash interrupted; it was never acknowledged"
        );
        Ok(())
    }

    /// Reads what was written before the segment had its name.
    async fn creation(
        &mut self,
        reader: &mut SegmentReader<'_>,
        header: &SegmentHeader,
    ) -> Result<()> {
        self.tail = TailBlock::default();
        self.group = 0;
        self.whole = true;
        let mut offset = header.header_bytes() as u64;
        while offset < header.creation_bytes {
            match reader.at(offset).await? {
                Found::Record { header, length } if header.group == 0 => {
                    offset = self.push(reader, offset, header, length)?;
                }
                Found::Record { .. } => {
                    return Err(error::corrupt(
                        reader.file(),
                        offset,
                        "a record is misplaced",
                    ));
                }
                Found::Damage(what) => return Err(error::corrupt(reader.file(), offset, what)),
                Found::End => return Err(ends_early(reader, offset)),
            }
        }
        let last = header.body_start() - 1;
        if reader.ends_at(last).await? {
            return Err(ends_early(reader, last));
        }
        Ok(())
    }

    /// Takes a record of a commit; returns where the next one begins.
    fn record(
        &mut self,
        reader: &SegmentReader<'_>,
        offset: u64,
        header: RecordHeader,
        length: u32,
    ) -> Result<u64> {
        if self.whole {
            self.group += 1;
            self.tail.begin(offset);
        }
        if header.group != self.group {
            return Err(error::corrupt(reader.file(), offset, "a commit is missing"));
        }
        self.whole = header.last;
        let end = self.push(reader, offset, header, length)?;
        self.tail.push(offset, end);
        Ok(end)
    }

    fn push(
        &mut self,
        reader: &SegmentReader<'_>,
        offset: u64,
        header: RecordHeader,
        length: u32,
    ) -> Result<u64> {
        let located = Located {
            partition: header.partition,
            position: header.position,
            slot: Slot {
                segment: reader.number(),
                offset,
                length,
                epoch: header.epoch,
            },
        };
        if !self.index.push(&located) {
            return Err(error::corrupt(
                reader.file(),
                offset,
                format!("batches of partition {} are missing", header.partition),
            ));
        }
        Ok(offset + u64::from(length))
    }
}

fn missing(number: u64) -> Error {
    error::corrupt(&file_name(number), 0, "a segment of the journal is missing")
}

fn ends_early(reader: &SegmentReader<'_>, offset: u64) -> Error {
    error::corrupt(reader.file(), offset, "the segment is cut off")
}
