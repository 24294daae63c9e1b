//! The server's side of views: catching up, events, repair.

use grid_core::merkle::Answer;
use grid_core::partition::{Applied, Budget, CatchUp, Effects};
use grid_core::protocol::{
    CaughtUp, Delta, DeltaMode, Message, Repair, RepairLeaves, RepairNodes, RepairStep, Selector,
    Subscribe, Subscribed, ViewId,
};
use grid_core::{History, Key, MapName, PartitionId, Record, Sequence};

use super::server::{Followed, Server, address};

fn id(partition: usize) -> PartitionId {
    PartitionId(u16::try_from(partition).unwrap())
}

impl Server {
    pub(crate) fn on_subscribe(&mut self, from: usize, subscribe: &Subscribe) {
        let view = self.view_id(&subscribe.map, &subscribe.selector);
        let definition = self.definition();
        let subscribed = Subscribed {
            request: subscribe.request,
            view,
            definition,
        };
        self.send(from, Message::Subscribed(subscribed));
        let partitions = self.partitions_of(&subscribe.map, &subscribe.selector);
        let (mut quiet, mut sum) = (Vec::new(), 0u128);
        self.session(from).views.insert(view, Vec::new());
        for &at in &partitions {
            let followed = Followed {
                partition: at,
                view: self.partitions[at].open_view(&address(&subscribe.map), &subscribe.selector),
                told: self.partitions[at].sequence(),
            };
            let root = followed.view.root();
            self.session(from)
                .views
                .entry(view)
                .or_default()
                .push(followed);
            let cursor = subscribe.cursor.iter().find(|(p, _)| *p == id(at));
            let cursor = cursor.map(|(_, sequence)| *sequence);
            if self.catch_up(from, view, at, subscribe.history, cursor) {
                quiet.push((id(at), self.partitions[at].sequence()));
                sum = sum.wrapping_add(root);
            }
        }
        if quiet.is_empty() {
            return;
        }
        if quiet.len() == partitions.len() {
            quiet.clear();
        }
        let caught_up = CaughtUp {
            view,
            history: self.history,
            cursor: quiet,
            root: sum,
            reset: false,
        };
        self.tell_level(from, caught_up);
    }

    fn tell_level(&mut self, to: usize, caught_up: CaughtUp) {
        if self.hold_levels {
            self.session(to).held.push(caught_up);
        } else {
            self.send(to, Message::CaughtUp(caught_up));
        }
    }

    /// Tells what was held, of one view at least: its next event cannot wait.
    pub(crate) fn tell_held(&mut self, to: usize, of: Option<ViewId>) {
        let held = std::mem::take(&mut self.session(to).held);
        for caught_up in held {
            if of.is_none_or(|view| caught_up.view == view) {
                self.send(to, Message::CaughtUp(caught_up));
            } else {
                self.session(to).held.push(caught_up);
            }
        }
    }

    pub(crate) fn partitions_of(&self, map: &MapName, selector: &Selector) -> Vec<usize> {
        let placement = self.placement(map);
        match selector {
            Selector::Prefix(prefix) if prefix.contains('/') => {
                vec![placement.partition(&Key::new(prefix).unwrap()).0.into()]
            }
            _ => placement.partitions().map(|p| p.0.into()).collect(),
        }
    }

    /// Catches one partition up; true when nothing changed there.
    fn catch_up(
        &mut self,
        to: usize,
        view: ViewId,
        at: usize,
        history: History,
        cursor: Option<Sequence>,
    ) -> bool {
        let partition = &self.partitions[at];
        match partition.catch_up(history, cursor) {
            CatchUp::Snapshot => self.tell_all(to, view, at, DeltaMode::Snapshot, Sequence::ZERO),
            CatchUp::Changes(after) => {
                let followed = self.followed(to, view, at);
                let (map, selector) = (followed.view.address(), followed.view.selector());
                let all = Budget {
                    records: usize::MAX,
                    bytes: usize::MAX,
                };
                let changes = partition.changes(map, selector, after, after, all);
                if changes.records.is_empty() {
                    return true;
                }
                self.tell_all(to, view, at, DeltaMode::Changes, after);
            }
            CatchUp::Reset => {
                let followed = self.followed(to, view, at);
                let caught_up = CaughtUp {
                    view,
                    history: self.history,
                    cursor: vec![(id(at), partition.sequence())],
                    root: followed.view.root(),
                    reset: true,
                };
                self.tell_level(to, caught_up);
            }
        }
        false
    }

    fn followed(&self, of: usize, view: ViewId, at: usize) -> &Followed {
        let views = &self.sessions[&of].views[&view];
        views.iter().find(|each| each.partition == at).unwrap()
    }

    /// Tells all that stands after `after`, in pieces.
    fn tell_all(&mut self, to: usize, view: ViewId, at: usize, mode: DeltaMode, after: Sequence) {
        let followed = self.followed(to, view, at);
        let (map, selector) = (followed.view.address(), followed.view.selector());
        let (partition, root) = (&self.partitions[at], followed.view.root());
        let tombstones_after = match mode {
            DeltaMode::Snapshot => partition.sequence(),
            _ => after,
        };
        let (mut from, mut deltas) = (after, Vec::new());
        loop {
            let budget = Budget {
                records: self.piece,
                bytes: usize::MAX,
            };
            let changes = partition.changes(map, selector, from, tombstones_after, budget);
            from = changes.through;
            deltas.push(Delta {
                view,
                partition: id(at),
                mode,
                continued: !deltas.is_empty(),
                from: after,
                to: partition.sequence(),
                records: changes.records,
                root: changes.complete.then_some(root),
            });
            if changes.complete {
                break;
            }
        }
        for delta in deltas {
            self.send(to, Message::Delta(delta));
        }
    }

    /// Tells every subscriber what a batch changed.
    pub(crate) fn tell_events(&mut self, at: usize, effects: &Effects, applied: &Applied) {
        let partition = &self.partitions[at];
        let mut events = Vec::new();
        for (to, session) in &mut self.sessions {
            for (view, followed) in &mut session.views {
                for each in followed.iter_mut().filter(|each| each.partition == at) {
                    let change = each.view.advance(partition, effects, applied);
                    let Some(change) = change else { continue };
                    each.told = change.to;
                    let records = change.records.into_iter().cloned().collect();
                    events.push((
                        *to,
                        event(*view, at, change.from, change.to, records, change.root),
                    ));
                }
            }
        }
        for (to, delta) in events {
            self.tell_held(to, Some(delta.view));
            self.send(to, Message::Delta(delta));
        }
    }

    /// Brings a pusher's views to the sequence that its ack names.
    pub(crate) fn tell_reached(&mut self, to: usize, at: usize, reached: Sequence) {
        let now = self.partitions[at].sequence();
        let mut events = Vec::new();
        for (view, followed) in &mut self.session(to).views {
            for each in followed.iter_mut().filter(|each| each.partition == at) {
                if each.told < reached {
                    each.told = now;
                    let last = each.view.last();
                    events.push(event(*view, at, last, now, Vec::new(), each.view.root()));
                }
            }
        }
        for delta in events {
            self.tell_held(to, Some(delta.view));
            self.send(to, Message::Delta(delta));
        }
    }

    fn on_fetch(&mut self, from: usize, view: ViewId, at: usize, hashes: &[u64]) {
        let followed = self.followed(from, view, at);
        let (map, selector) = (followed.view.address(), followed.view.selector());
        let state = &self.partitions[at];
        let records = state
            .find_hashes(map, selector, hashes)
            .into_iter()
            .filter_map(|place| state.record_at(map, place))
            .collect();
        let (now, root) = (state.sequence(), followed.view.root());
        let delta = Delta {
            mode: DeltaMode::Repair,
            ..event(view, at, now, now, records, root)
        };
        self.send(from, Message::Delta(delta));
    }

    pub(crate) fn on_repair(&mut self, from: usize, repair: Repair) {
        let Repair {
            view,
            partition,
            step,
        } = repair;
        let at = usize::from(partition.0);
        let followed = self.followed(from, view, at);
        let (map, selector) = (followed.view.address(), followed.view.selector());
        let state = &self.partitions[at];
        let (level, parents, answer) = match step {
            RepairStep::Nodes {
                bits,
                level,
                parents,
            } => {
                let answer = state.repair_nodes(map, selector, bits, level, &parents);
                (level, parents, answer.unwrap())
            }
            RepairStep::Leaves { bits, leaves } => {
                let answer = state.repair_leaves(map, selector, bits, &leaves);
                (0, Vec::new(), answer.unwrap())
            }
            RepairStep::Fetch { keys } => return self.on_fetch(from, view, at, &keys),
            RepairStep::Snapshot => {
                return self.tell_all(from, view, at, DeltaMode::Snapshot, Sequence::ZERO);
            }
        };
        match answer {
            Answer::Nodes { bits, sums } => {
                let nodes = RepairNodes {
                    view,
                    partition,
                    bits,
                    level,
                    parents,
                    sums,
                };
                self.send(from, Message::RepairNodes(nodes));
            }
            Answer::Leaves(listings) => {
                for listing in listings {
                    let leaves = RepairLeaves {
                        view,
                        partition,
                        bits: listing.bits,
                        leaves: listing.leaves,
                        entries: listing.entries,
                    };
                    self.send(from, Message::RepairLeaves(leaves));
                }
            }
            Answer::Snapshot => self.tell_all(from, view, at, DeltaMode::Snapshot, Sequence::ZERO),
        }
    }
}

fn event(
    view: ViewId,
    at: usize,
    from: Sequence,
    to: Sequence,
    records: Vec<Record>,
    root: u128,
) -> Delta {
    Delta {
        view,
        partition: id(at),
        mode: DeltaMode::Changes,
        continued: false,
        from,
        to,
        records,
        root: Some(root),
    }
}
