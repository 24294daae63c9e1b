//! The journal's reader: segments that rot, are cut short, or hold bytes that nobody wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use grid_core::traits::{Append, Disk, Epoch, Journal, JournalEntry, Position};
use grid_core::{ErrorKind, PartitionId, Result};
use grid_server::journal::{JournalOptions, LocalJournal};
use grid_testkit::ModelDisk;
use grid_testkit::sim::{Executor, PartyId, SimRuntime};

use crate::script::Script;
use crate::target::{Seed, Target};

pub(super) const TARGET: Target = Target {
    name: "journal",
    promise: "a damaged journal is refused, or yields what was written and nothing else; of one \
              damaged byte nothing is lost but what nobody was told of",
    run,
    seeds,
};

/// Small segments, so that there are several.
const OPTIONS: JournalOptions = JournalOptions {
    segment_bytes: 16 * 1024,
    group_bytes: 4 * 1024,
};
/// Partitions that are written to.
const PARTITIONS: u16 = 3;
/// More steps than any input takes.
const MAX_STEPS: u64 = 1_000_000;

/// What was written: the batches of each partition by their positions.
type Written = BTreeMap<(PartitionId, Position), (Epoch, Bytes)>;

/// What became of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// Up to three bits flipped, or four bytes in a row: what the checksum always notices.
    Rot { bits: u8 },
    /// A file is shorter than it was.
    Cut,
    /// Bytes that nobody wrote stand behind the last segment.
    Grown,
    /// A file is made of any bytes.
    Forged,
}

fn run(data: &[u8]) {
    let data = data.to_vec();
    let executor = Executor::new(1);
    let runtime = Arc::new(SimRuntime::new(&executor, PartyId(0)));
    executor.block_on(PartyId(0), MAX_STEPS, async move {
        let tried = attempt(&data, runtime).await;
        tried.expect("a disk without faults");
    });
    // Tasks that wait for ever hold the world, and the world holds them.
    executor.crash(PartyId(0));
}

async fn attempt(data: &[u8], runtime: Arc<SimRuntime>) -> Result<()> {
    let mut script = Script::new(data);
    let disk = ModelDisk::new(1);
    let open = || LocalJournal::open(Arc::new(disk.clone()), runtime.clone(), OPTIONS);
    let (written, acked_before_last) = write(&mut script, &open().await?).await?;
    let damage = spoil(&mut script, &disk).await?;
    let journal = match open().await {
        Err(error) => {
            let kinds = [ErrorKind::Corrupt, ErrorKind::Version];
            assert!(kinds.contains(&error.kind()), "{error}");
            return Ok(());
        }
        Ok(journal) => journal,
    };
    for partition in (0..PARTITIONS).map(PartitionId) {
        let extent = journal.extent(partition).await?;
        let read = journal.read(partition, extent.truncated, usize::MAX).await;
        let entries = match read {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                assert_ne!(damage, Damage::Rot { bits: 1 }, "opening reads everything");
                continue;
            }
            Ok(entries) => entries,
        };
        check_order(&entries, extent.truncated, extent.tail);
        if damage == Damage::Forged || damage == Damage::Grown {
            continue;
        }
        check_written(partition, &entries, &written);
        if damage == (Damage::Rot { bits: 1 }) {
            let told = acked_before_last.get(&partition).copied();
            let told = told.unwrap_or_default();
            assert!(extent.tail >= told, "{:?} of {told:?}", extent.tail);
        }
    }
    go_on(&journal).await
}

/// Writes what the script says; returns it, and the tails before the last commit.
async fn write(
    script: &mut Script<'_>,
    journal: &LocalJournal,
) -> Result<(Written, BTreeMap<PartitionId, Position>)> {
    let mut written = Written::new();
    let mut tails = BTreeMap::new();
    let mut before_last = BTreeMap::new();
    for _ in 0..1 + script.below(12) {
        let partition = PartitionId(u16::from(script.below(PARTITIONS)));
        let tail = tails.get(&partition).copied().unwrap_or(Position(0));
        if script.rarely(8) {
            journal.truncate(partition, tail).await?;
            continue;
        }
        let large = script.rarely(4);
        let batch: Bytes = if large {
            vec![script.below(256); 5_000].into()
        } else {
            script.bytes(40).into()
        };
        let epoch = Epoch(1 + u64::try_from(written.len() / 4).unwrap_or_default());
        let append = Append {
            partition,
            epoch,
            tail,
            batch: batch.clone(),
        };
        let outcome = journal.append(vec![append]).await.remove(0)?;
        assert_eq!(outcome, tail.next());
        before_last.clone_from(&tails);
        tails.insert(partition, outcome);
        written.insert((partition, outcome), (epoch, batch));
    }
    journal.close().await?;
    Ok((written, before_last))
}

/// The segments, and sometimes the head.
fn files(script: &mut Script<'_>, disk: &ModelDisk) -> Vec<(String, usize)> {
    let head = script.rarely(8);
    let mut files = disk.files();
    files.retain(|(name, _)| {
        if head {
            name == "journal.head"
        } else {
            name.strip_suffix(".journal").is_some()
        }
    });
    files
}

async fn spoil(script: &mut Script<'_>, disk: &ModelDisk) -> Result<Damage> {
    let files = files(script, disk);
    let which = usize::from(script.below(256)) % files.len();
    let (file, length) = files[which].clone();
    match script.below(8) {
        0 => {
            disk.cut(&file, usize::from(script.short()) % (length + 1));
            Ok(Damage::Cut)
        }
        1 => {
            let (last, _) = files[files.len() - 1].clone();
            disk.append(&last, script.bytes(300).into()).await?;
            Ok(Damage::Grown)
        }
        2 => {
            // The start as it was, so that more than the magic is looked at.
            let kept = usize::from(script.short()) % (length + 1);
            disk.cut(&file, kept);
            disk.append(&file, script.bytes(4096).into()).await?;
            Ok(Damage::Forged)
        }
        3 => {
            let place = place(script, length);
            let bytes = [0; 4].map(|_: u8| script.below(256));
            rewrite(disk, &file, |content| {
                for (offset, byte) in bytes.iter().enumerate() {
                    if let Some(old) = content.get_mut(place + offset) {
                        *old = *byte;
                    }
                }
            })
            .await?;
            Ok(Damage::Rot { bits: 32 })
        }
        _ => {
            let bits = 1 + script.below(3);
            let places: Vec<(usize, u8)> = (0..bits)
                .map(|_| (place(script, length), script.below(8)))
                .collect();
            rewrite(disk, &file, |content| {
                for (place, bit) in &places {
                    if let Some(old) = content.get_mut(*place) {
                        *old ^= 1 << bit;
                    }
                }
            })
            .await?;
            Ok(Damage::Rot { bits })
        }
    }
}

/// A place in a file, mostly in a header or behind the first block, where the records are.
fn place(script: &mut Script<'_>, length: usize) -> usize {
    let wild = usize::from(script.short());
    let place = match script.below(4) {
        0 => wild % 128,
        1 => 4096 + wild % 256,
        _ => wild,
    };
    place % length.max(1)
}

/// Changes what a file holds, behind everybody's back.
async fn rewrite(disk: &ModelDisk, file: &str, change: impl FnOnce(&mut [u8])) -> Result<()> {
    let mut content = disk.read(file, 0, usize::MAX).await?.to_vec();
    change(&mut content);
    disk.remove(file).await?;
    disk.append(file, content.into()).await?;
    disk.sync(file).await
}

/// Positions are without gaps, from the first that was not truncated to the tail.
fn check_order(entries: &[JournalEntry], truncated: Position, tail: Position) {
    let mut next = truncated;
    for entry in entries {
        next = next.next();
        assert_eq!(entry.position, next);
    }
    assert_eq!(next, tail, "all that the extent names can be read");
}

fn check_written(partition: PartitionId, entries: &[JournalEntry], written: &Written) {
    for entry in entries {
        let known = written.get(&(partition, entry.position));
        let (epoch, batch) = known.expect("a batch that nobody wrote");
        assert_eq!((entry.epoch, &entry.batch), (*epoch, batch));
    }
}

/// A journal that could be opened can be written to.
async fn go_on(journal: &LocalJournal) -> Result<()> {
    let partition = PartitionId(1);
    let extent = journal.extent(partition).await?;
    let (tail, epoch) = (extent.tail, extent.epoch);
    if tail.0 == u64::MAX {
        return Ok(());
    }
    let batch = Bytes::from_static(b"later");
    let append = Append {
        partition,
        epoch,
        tail,
        batch: batch.clone(),
    };
    let position = journal.append(vec![append]).await.remove(0)?;
    let read = journal.read(partition, tail, usize::MAX).await?;
    let only = read.first().expect("what was just written");
    assert_eq!((only.position, &only.batch), (position, &batch));
    journal.close().await
}

fn seeds() -> Vec<Seed> {
    let seed = |number: u8| {
        let bytes = (0..200_u8).map(|place| place.wrapping_mul(31) ^ number);
        Seed::new(format!("life-{number}"), bytes.collect::<Vec<_>>())
    };
    [3, 7, 11, 40, 97, 130].map(seed).to_vec()
}
