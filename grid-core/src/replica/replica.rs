//! The replica: what it holds, what the application sees of it, and which maps it follows.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::confirmed::Confirmed;
use super::fate_counts::FateCounts;
use super::map_state::MapState;
use super::note::Note;
use super::outbox::Outbox;
use super::row::{DataSet, MapRow, MetaRow, forget_cursors};
use super::session::{Now, Session};
use super::status::{MapStatus, Status};
use super::view::{Follow, View};
use crate::address::{Key, MapName, Namespace, PartitionId};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::hlc::Hlc;
use crate::limits::DEFAULT_MAX_VALUE_BYTES;
use crate::op::RunId;
use crate::protocol::Selector;
use crate::traits::{Table, Write};

/// A client's side of the protocol, and everything that a client holds.
///
/// See the [module](crate::replica) for how to drive it.
#[derive(Debug)]
pub struct Replica {
    pub(super) namespace: Namespace,
    pub(super) clock: Clock,
    /// The clock as the store knows it.
    pub(super) stored_clock: Hlc,
    /// The highest stamp that a server confirmed.
    pub(super) confirmed_hlc: Hlc,
    /// What to add to the wall clock, in milliseconds, once the server found it too fast.
    pub(super) correction_ms: Option<i64>,
    /// The server's clock minus this one, in milliseconds, as measured last by this process. It is
    /// not stored: the wall clock may be set while no process is there to see it jump.
    pub(super) offset_ms: i64,
    /// When that was.
    pub(super) measured: Option<Now>,
    pub(super) run: RunId,
    /// The place of the run in the order of runs.
    pub(super) ordinal: u64,
    /// The number of the next op of the run.
    pub(super) next_number: u64,
    pub(super) wants_run: bool,
    /// What is on its way to the store.
    pub(super) saving: Option<Saving>,
    pub(super) outbox: Outbox,
    pub(super) maps: BTreeMap<MapName, MapState>,
    pub(super) data_set: Option<DataSet>,
    pub(super) session: Option<Session>,
    /// The largest value that the store takes, in bytes.
    pub(super) store_value_bytes: usize,
    /// The largest value that the server said it takes, in bytes; the default before it said so.
    pub(super) server_value_bytes: usize,
    /// Settled ops, over all openings of the store.
    pub(super) fates: FateCounts,
    pub(super) unsaved: Unsaved,
    pub(super) notes: Vec<Note>,
}

/// A batch on its way to the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saving {
    /// Whether ops are part of it.
    pub(super) ops: bool,
}

/// What the server told and the store does not know yet.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    pub(super) writes: Vec<Write>,
    /// Bytes of keys and values in `writes`.
    pub(super) bytes: usize,
    pub(super) cursors: BTreeSet<(MapName, PartitionId)>,
    pub(super) maps: BTreeSet<MapName>,
    /// Whether the outbox has settled ops that the store does not know of.
    pub(super) settled: bool,
}

impl Unsaved {
    pub(super) fn push(&mut self, write: Write) {
        self.bytes += match &write {
            Write::Put { key, value, .. } => key.len() + value.len(),
            Write::Delete { key, .. } => key.len(),
            Write::DeleteRange { .. } => 0,
        };
        self.writes.push(write);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.cursors.is_empty() && self.maps.is_empty() && !self.settled
    }
}

impl Replica {
    /// An empty replica for `namespace` that stores nothing yet; [`super::Loader`] makes one from
    /// a store.
    pub(super) fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            clock: Clock::new(Hlc::ZERO),
            stored_clock: Hlc::ZERO,
            confirmed_hlc: Hlc::ZERO,
            correction_ms: None,
            offset_ms: 0,
            measured: None,
            run: RunId::default(),
            ordinal: 0,
            next_number: 1,
            wants_run: false,
            saving: None,
            outbox: Outbox::new(),
            maps: BTreeMap::new(),
            data_set: None,
            session: None,
            store_value_bytes: usize::MAX,
            server_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            fates: FateCounts::default(),
            unsaved: Unsaved::default(),
            notes: Vec::new(),
        }
    }

    /// Starts the run that was [wanted](Replica::wants_run): ops from here on carry its id, and are
    /// stamped by the server's clock.
    ///
    /// # Errors
    /// `Invalid` when the id is 0 or was used before: draw another.
    pub fn begin_run(&mut self, run: RunId, now: Now) -> Result<()> {
        self.enter_run(run)?;
        if self.wants_run {
            // The clock of the run before was too fast; this one goes by the server's.
            self.measure_jump(now);
            self.correction_ms = Some(self.offset_ms);
            self.clock = Clock::new(self.confirmed_hlc);
            self.wants_run = false;
        }
        Ok(())
    }

    /// Ops from here on carry the id of `run`.
    pub(super) fn enter_run(&mut self, run: RunId) -> Result<()> {
        let ordinal = (run.0 != 0).then(|| self.outbox.begin_run(run)).flatten();
        let Some(ordinal) = ordinal else {
            let message = "the id of a run is never used twice: draw another";
            return Err(Error::new(ErrorKind::Invalid, "begin run", message).with("run", run));
        };
        self.run = run;
        self.ordinal = ordinal;
        self.next_number = 1;
        Ok(())
    }

    /// The wall clock may have jumped since the handshake. The clock that never goes back tells by
    /// how much.
    fn measure_jump(&mut self, now: Now) {
        let Some(measured) = self.measured.replace(now) else {
            return;
        };
        let passed = now.elapsed.saturating_sub(measured.elapsed).as_millis();
        let passed_ms = u64::try_from(passed).unwrap_or(u64::MAX);
        let expected_ms = measured.wall_ms.saturating_add(passed_ms);
        let jump_ms = now
            .wall_ms
            .cast_signed()
            .wrapping_sub(expected_ms.cast_signed());
        self.offset_ms = self.offset_ms.wrapping_sub(jump_ms);
    }

    /// Whether the server found the clock of the present run too fast, so that later writes need
    /// another run: draw an id and call [`Replica::begin_run`].
    ///
    /// Not before everything that the present run wrote is settled: the server may yet stamp its
    /// ops anew, and those of the next run have to come after them.
    #[must_use]
    pub fn wants_run(&self) -> bool {
        let saving_ops = self.saving.is_some_and(|saving| saving.ops);
        self.wants_run && !saving_ops && self.outbox.is_finished(self.ordinal)
    }

    /// The present run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Follows a map from now on: all of it, or the keys that `selector` matches.
    ///
    /// # Errors
    /// `Conflict` when the map is open with another selector.
    pub fn open_map(&mut self, name: &MapName, selector: Selector) -> Result<()> {
        let map = self.map_mut(name);
        if map.opened {
            if map.selector == selector {
                return Ok(());
            }
            let message = "the map is open with another selector";
            return Err(Error::new(ErrorKind::Conflict, "open map", message).with("map", name));
        }
        map.opened = true;
        if map.view.follow == Follow::Refused {
            // The application was not told: nobody had asked for the map.
            map.view = View::default();
        }
        if map.selector != selector {
            self.narrow(name, selector);
        }
        self.subscribe(name);
        Ok(())
    }

    /// Gives a map that is not open another selector: what it does not match is dropped, and the
    /// cursors with it, because the server's answer to them would leave out what matches now.
    fn narrow(&mut self, name: &MapName, selector: Selector) {
        let Some(map) = self.maps.get_mut(name) else {
            return;
        };
        map.selector = selector;
        let strangers: Vec<Key> = map
            .confirmed
            .entries()
            .keys()
            .filter(|key| !map.selector.matches(key))
            .cloned()
            .collect();
        for key in strangers {
            map.change(&key, &mut self.notes, |map| map.confirmed.remove(&key));
            self.unsaved.push(Write::Delete {
                table: Table::Records(name.clone()),
                key: key.bytes().clone(),
            });
        }
        map.confirmed.forget_cursors();
        self.unsaved.push(forget_cursors(name));
        self.unsaved.maps.insert(name.clone());
        self.end_view(name);
        self.settle_strangers(name);
    }

    /// Settles decided ops whose outcome the view will not show.
    fn settle_strangers(&mut self, name: &MapName) {
        let Some(map) = self.maps.get_mut(name) else {
            return;
        };
        let outbox = &self.outbox;
        let shown = |position| {
            let pending = outbox.get(position);
            pending.is_some_and(|pending| map.selector.matches(&pending.op.key))
        };
        let (waiting, strangers): (BTreeSet<_>, BTreeSet<_>) = std::mem::take(&mut map.waiting)
            .into_iter()
            .partition(|(_, _, position)| shown(*position));
        map.waiting = waiting;
        for (_, _, position) in strangers {
            self.settle(position);
        }
    }

    /// The map of this name, made when it is new here.
    pub(super) fn map_mut(&mut self, name: &MapName) -> &mut MapState {
        map_entry(&mut self.maps, self.data_set, name)
    }

    /// The row of a map, if a server told what the map is.
    pub(super) fn map_row(&self, name: &MapName) -> Option<MetaRow> {
        let map = self.maps.get(name)?;
        let row = MapRow {
            definition: map.definition?,
            history: map.history,
            selector: map.selector.clone(),
        };
        Some(MetaRow::Map(name.clone(), row))
    }

    /// The value that the application sees of `key`, at `now_ms` of the wall clock.
    #[must_use]
    pub fn get(&self, map: &MapName, key: &Key, now_ms: u64) -> Option<&Bytes> {
        let now_ms = self.server_time(now_ms);
        let visible = self.maps.get(map)?.visible(key)?;
        (!visible.is_due(now_ms)).then_some(visible.value)
    }

    /// The entries that the application sees, in the order of their keys' bytes.
    pub fn entries(&self, map: &MapName, now_ms: u64) -> impl Iterator<Item = (&Key, &Bytes)> {
        let now_ms = self.server_time(now_ms);
        self.maps
            .get(map)
            .into_iter()
            .flat_map(move |map| map.iter(now_ms))
    }

    /// How many entries the application sees.
    #[must_use]
    pub fn len(&self, map: &MapName, now_ms: u64) -> usize {
        let now_ms = self.server_time(now_ms);
        self.maps.get(map).map_or(0, |map| map.len(now_ms))
    }

    /// The version of the confirmed entry at `key`, for [`super::LocalWrite::if_version`];
    /// [`crate::Stamp::ZERO`] when there is none.
    #[must_use]
    pub fn version(&self, map: &MapName, key: &Key) -> crate::Stamp {
        self.maps
            .get(map)
            .and_then(|map| map.confirmed.get(key))
            .map_or(crate::Stamp::ZERO, |held| held.stamp)
    }

    /// Whether the map is level with the server on this connection.
    #[must_use]
    pub fn is_synced(&self, map: &MapName) -> bool {
        self.maps.get(map).is_some_and(|map| map.view.is_synced())
    }

    /// Whether the map was ever complete here, so that an absent entry means "there is none" and
    /// not "not loaded".
    #[must_use]
    pub fn is_loaded(&self, map: &MapName) -> bool {
        self.maps.get(map).is_some_and(|map| {
            let partitions = self.partitions_of(map);
            !partitions.is_empty()
                && partitions
                    .iter()
                    .all(|partition| map.confirmed.cursor(*partition).is_some())
        })
    }

    /// Whether a connection is ready.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_ready)
    }

    /// Ops that are durable here and not settled.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.outbox.len()
    }

    /// Whether nothing is pending, every open map is level with the server, and the store knows.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.outbox.len() == 0
            && self.saving.is_none()
            && self.unsaved.is_empty()
            && self.is_connected()
            && self
                .maps
                .values()
                .all(|map| !map.opened || map.view.is_synced())
    }

    /// Pending and decided ops, and where each map stands.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            run: self.run,
            pending: self.outbox.len(),
            fates: self.fates,
            put_off: self.why_put_off(),
            connected: self.is_connected(),
            maps: self.maps.values().map(MapStatus::of).collect(),
        }
    }

    /// What there is to tell since the last call.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Takes note of a stamp that the server confirmed.
    pub(super) fn see(&mut self, hlc: Hlc) {
        self.confirmed_hlc = self.confirmed_hlc.max(hlc);
        self.clock.absorb(hlc);
    }

    /// The wall clock as the server would read it, about, in milliseconds since 1970: the time by
    /// which entries are due. As far as is known: before the first welcome of this process it is
    /// `now_ms` itself.
    #[must_use]
    pub fn server_time(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.offset_ms)
    }
}

/// The map of this name, made when it is new.
pub(super) fn map_entry<'a>(
    maps: &'a mut BTreeMap<MapName, MapState>,
    data_set: Option<DataSet>,
    name: &MapName,
) -> &'a mut MapState {
    if !maps.contains_key(name) {
        let digest_key = data_set.map(|data_set| data_set.digest_key);
        let confirmed = Confirmed::new(digest_key.unwrap_or_default());
        maps.insert(name.clone(), MapState::new(name.clone(), confirmed));
    }
    #[expect(clippy::expect_used, reason = "it was put there if it was absent")]
    maps.get_mut(name).expect("the map is there")
}
