//! One device: a replica over a store, as a driver would run it.

use grid_core::op::Action;
use grid_core::protocol::{Selector, Verdict};
use grid_core::replica::{LocalWrite, Note, Now, Replica, Save};
use grid_core::{Key, MapName, Namespace, OpId, RunId};
use grid_storage_memory::Tables;

pub(crate) fn map() -> MapName {
    MapName::new("m").unwrap()
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) replica: Replica,
    pub(crate) store: Tables,
    /// A batch on its way to the store.
    pub(crate) saving: Option<Save>,
    /// How far the wall clock is ahead.
    pub(crate) ahead_ms: i64,
    pub(crate) selector: Selector,
    next_run: u64,
    /// Every op that became durable.
    pub(crate) written: Vec<OpId>,
    /// What was told of ops, by any opening of the store.
    pub(crate) decided: Vec<(OpId, Verdict)>,
    pub(crate) notes: Vec<Note>,
}

fn load(store: &Tables, run: RunId) -> Replica {
    store.load(Namespace::default(), run).unwrap()
}

impl Device {
    /// A device with an empty store, which follows what `selector` matches of map `m`. Its runs
    /// are numbered from `first_run`.
    pub(crate) fn new(first_run: u64, selector: Selector) -> Self {
        let store = Tables::default();
        let mut device = Self {
            replica: load(&store, RunId(first_run)),
            store,
            saving: None,
            ahead_ms: 0,
            selector,
            next_run: first_run,
            written: Vec::new(),
            decided: Vec::new(),
            notes: Vec::new(),
        };
        device.open();
        device
    }

    fn draw_run(&mut self) -> RunId {
        self.next_run += 1;
        RunId(self.next_run)
    }

    pub(crate) fn open(&mut self) {
        let selector = self.selector.clone();
        self.replica.open_map(&map(), selector).unwrap();
    }

    /// The process dies and starts again, with what the store has.
    pub(crate) fn restart(&mut self) {
        self.restart_closed();
        self.open();
    }

    /// As [`Device::restart`], and the application has not opened the map yet.
    pub(crate) fn restart_closed(&mut self) {
        self.saving = None;
        let run = self.draw_run();
        self.replica = load(&self.store, run);
    }

    /// Begins to store writes, and all that the server told.
    pub(crate) fn begin_save(&mut self, writes: Vec<LocalWrite>, now: Now) {
        assert!(self.saving.is_none(), "one at a time");
        self.saving = self.replica.begin_save(writes, now.wall_ms).unwrap();
    }

    /// The batch becomes durable.
    pub(crate) fn end_save(&mut self, now: Now) {
        if let Some(save) = self.saving.take() {
            self.store.apply(save.batch.clone()).unwrap();
            self.written.extend(save.ops());
            self.replica.saved(save);
        }
        self.settle(now);
    }

    /// The store refuses the batch.
    pub(crate) fn fail_save(&mut self, now: Now) {
        if let Some(save) = self.saving.take() {
            self.replica.failed(save);
        }
        self.settle(now);
    }

    pub(crate) fn save(&mut self, writes: Vec<LocalWrite>, now: Now) {
        self.end_save(now);
        self.begin_save(writes, now);
        self.end_save(now);
    }

    /// What a driver does after everything: another run where one is wanted, and notes.
    pub(crate) fn settle(&mut self, now: Now) {
        if self.replica.wants_run() {
            let run = self.draw_run();
            self.replica.begin_run(run, now).unwrap();
        }
        let notes = self.replica.take_notes();
        for note in &notes {
            if let Note::Decided { op, verdict, .. } = note {
                self.decided.push((*op, verdict.clone()));
            }
        }
        self.notes.extend(notes);
    }

    /// The first byte of what the application sees of a key of map `m`.
    pub(crate) fn value(&self, name: &str) -> Option<u8> {
        self.replica
            .get(&map(), &key(name), 0)
            .map(|value| value[0])
    }

    /// All that the application sees of map `m`.
    pub(crate) fn entries(&self) -> Vec<(String, u8)> {
        self.replica
            .entries(&map(), 0)
            .map(|(key, value)| (key.to_string(), value[0]))
            .collect()
    }

    /// The verdicts told so far of the op with this place among those written.
    pub(crate) fn verdicts(&self, written: usize) -> Vec<&Verdict> {
        let id = self.written[written];
        let told = self.decided.iter().filter(|(op, _)| *op == id);
        told.map(|(_, verdict)| verdict).collect()
    }
}

pub(crate) fn put(name: &str, value: u8) -> LocalWrite {
    LocalWrite {
        action: Action::Put {
            value: vec![value].into(),
            ttl_ms: None,
        },
        ..remove(name)
    }
}

pub(crate) fn remove(name: &str) -> LocalWrite {
    LocalWrite {
        map: map(),
        key: key(name),
        action: Action::Remove,
        if_version: None,
        schema: 0,
        ack: None,
    }
}
