//! The partition: the authoritative state of one partition of a data set.

use std::collections::{BTreeMap, BTreeSet};

use super::horizon::Horizon;
use super::key_hasher::TableSeed;
use super::map_state::MapState;
use super::pass::Pass;
use super::runs::Runs;
use crate::address::{Key, MapAddress, PartitionId};
use crate::digest::DigestKey;
use crate::hlc::Hlc;
use crate::op::RunId;
use crate::record::{History, Record, Sequence};
use crate::traits::AddressedRecord;

/// What a partition needs to know at its birth.
#[derive(Debug, Clone, Copy)]
pub struct PartitionConfig {
    /// Which partition it is.
    pub id: PartitionId,
    /// The line of its sequences.
    pub history: History,
    /// The key of the data set's digests.
    pub digest_key: DigestKey,
    /// Random per process.
    pub seed: TableSeed,
}

/// The authoritative state of one partition, as a machine without I/O.
///
/// A writer calls [`Partition::decide`], makes the [`super::Effects`] durable, and hands them to
/// [`Partition::apply`]. Nothing that was not applied can be read.
///
/// ```
/// use grid_core::partition::{Partition, PartitionConfig, Proposal, ProposalBatch, Rules, Timing};
/// use grid_core::{Hlc, Key, MapAddress, MapName, Namespace, Sequence};
/// use grid_core::op::{Action, Op, OpId, RunId};
/// use grid_core::protocol::Verdict;
/// # use grid_core::{DigestKey, History, PartitionId};
/// # use grid_core::partition::TableSeed;
///
/// let mut partition = Partition::new(PartitionConfig {
///     id: PartitionId(0),
///     history: History(1),
///     digest_key: DigestKey(2),
///     seed: TableSeed(3, 4),
/// });
/// let address = MapAddress { namespace: Namespace::default(), map: MapName::new("todos")? };
/// let key = Key::new("t1")?;
/// let now_ms = 1_700_000_000_000;
/// let op = Op {
///     id: OpId { run: RunId(7), number: 1 },
///     hlc: Hlc::new(now_ms, 0),
///     map: address.map.clone(),
///     key: key.clone(),
///     action: Action::Put { value: vec![0x01].into(), ttl_ms: None },
///     base: Hlc::ZERO,
///     if_version: None,
///     schema: 0,
///     ack: None,
/// };
/// let batch = ProposalBatch {
///     proposals: vec![Proposal {
///         principal: "ada".into(),
///         timing: Timing::Client { offset_ms: 0 },
///         address: address.clone(),
///         op,
///         veto: None,
///     }],
///     ..ProposalBatch::default()
/// };
/// let decided = partition.decide(&batch, now_ms, &Rules::default());
/// assert_eq!(decided.outcomes[0].verdict, Verdict::Accepted);
/// assert!(partition.get(&address, &key).is_none());
/// // … the journal makes `decided.effects` durable …
/// partition.apply(&decided.effects)?;
/// assert_eq!(partition.get(&address, &key).map(|record| record.sequence), Some(Sequence(1)));
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Partition {
    pub(super) config: PartitionConfig,
    pub(super) sequence: Sequence,
    /// How many sequences epoch records have taken up.
    pub(super) epochs: u64,
    /// The highest time of any version that was ever applied.
    pub(super) clock: Hlc,
    /// The latest wall clock at which something was decided, in milliseconds since 1970.
    pub(super) latest_ms: u64,
    pub(super) horizon: Horizon,
    pub(super) runs: Runs,
    pub(super) maps: Vec<MapState>,
    pub(super) by_address: BTreeMap<MapAddress, u32>,
    /// What a system of record is getting.
    pub(super) pass: Option<Pass>,
    /// Versions beyond the goal of the pass that stored them.
    pub(super) ahead: BTreeSet<Sequence>,
}

impl Partition {
    /// An empty partition.
    #[must_use]
    pub fn new(config: PartitionConfig) -> Self {
        Self {
            config,
            sequence: Sequence::ZERO,
            epochs: 0,
            clock: Hlc::ZERO,
            latest_ms: 0,
            horizon: Horizon::default(),
            runs: Runs::default(),
            maps: Vec::new(),
            by_address: BTreeMap::new(),
            pass: None,
            ahead: BTreeSet::new(),
        }
    }

    /// Which partition it is.
    #[must_use]
    pub fn id(&self) -> PartitionId {
        self.config.id
    }

    /// The line of its sequences.
    #[must_use]
    pub fn history(&self) -> History {
        self.config.history
    }

    /// The sequence of the last change.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Cursors below it cannot be caught up from.
    #[must_use]
    pub fn horizon(&self) -> Sequence {
        self.horizon.collected_through
    }

    /// The maps that have an entry or a tombstone here, or had one.
    pub fn maps(&self) -> impl Iterator<Item = &MapAddress> {
        self.maps.iter().map(MapState::address)
    }

    /// Live entries of a map.
    #[must_use]
    pub fn live(&self, address: &MapAddress) -> usize {
        self.map(address).map_or(0, |map| map.tree().len())
    }

    /// Entries and tombstones of all maps.
    #[must_use]
    pub fn occupied(&self) -> usize {
        self.maps.iter().map(MapState::occupied).sum()
    }

    /// The live entry of `key`.
    #[must_use]
    pub fn get(&self, address: &MapAddress, key: &Key) -> Option<Record> {
        self.map(address)?
            .record(key)
            .filter(|record| !record.is_tombstone())
    }

    /// Whether the client of `run` has to say which verdicts it has stored before more of the
    /// run's ops are taken; see [`super::MAX_EXCEPTIONS_PER_RUN`].
    #[must_use]
    pub fn is_run_full(&self, run: RunId) -> bool {
        self.runs.is_full(run)
    }

    pub(super) fn map(&self, address: &MapAddress) -> Option<&MapState> {
        let index = *self.by_address.get(address)?;
        self.maps.get(index as usize)
    }

    /// The index of a map, made if need be.
    pub(super) fn map_index(&mut self, address: &MapAddress) -> usize {
        if let Some(index) = self.by_address.get(address) {
            return *index as usize;
        }
        let index = self.maps.len();
        self.maps.push(MapState::new(
            address.clone(),
            self.config.seed,
            self.config.digest_key,
        ));
        #[expect(
            clippy::cast_possible_truncation,
            reason = "4 billion maps do not fit into memory"
        )]
        self.by_address.insert(address.clone(), index as u32);
        index
    }

    /// Takes a record of the system of record; call [`Partition::finish_load`] after the last.
    pub fn load(&mut self, record: &AddressedRecord) {
        let index = self.map_index(&record.address);
        self.maps[index].load(&record.record);
    }

    /// Builds what follows from the loaded records. The journal's tail is applied after it, and
    /// then [`Partition::finish_replay`] called.
    pub fn finish_load(&mut self) {
        for map in &mut self.maps {
            map.finish_load();
        }
    }

    /// Makes ready for reading, once the journal's tail was applied to loaded records: these may be
    /// newer than the tail.
    pub fn finish_replay(&mut self) {
        for map in &mut self.maps {
            map.finish_replay();
        }
    }
}
