//! What a replica does with a message, and how it starts to follow its maps.

use super::note::Note;
use super::replica::Replica;
use super::row::{DataSet, MetaRow, forget_cursors};
use super::session::Now;
use super::view::{Follow, View};
use crate::address::{Key, MapAddress, MapName, PartitionId, Placement};
use crate::digest::DigestKey;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::LARGEST_VALUE_BYTES;
use crate::protocol::{
    Message, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, Refused, Selector, Subscribe,
    SubscribeRefused, Subscribed, ViewId, Welcome, error_of_code,
};
use crate::traits::{Table, Write};

use super::map_state::MapState;

pub(super) fn protocol(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Protocol, "follow server", message)
}

impl Replica {
    /// Takes one message, which came in a frame of its own. The caller has compared the frame
    /// chain that a `Ping` or `Pong` names; frames are its matter.
    ///
    /// # Errors
    /// Any error ends the connection: call [`Replica::disconnect`]. `Protocol` when the server
    /// broke the protocol or a frame was lost; what the server said when it refused.
    pub fn receive(&mut self, message: Message, now: Now) -> Result<()> {
        let Some(session) = &mut self.session else {
            let message = "there is no connection";
            return Err(Error::new(ErrorKind::Closed, "receive", message));
        };
        session.last_heard = now.elapsed;
        let greeting = matches!(message, Message::Welcome(_) | Message::Refused(_));
        if greeting == session.ready {
            return Err(protocol("the greeting comes first, and once"));
        }
        match message {
            Message::Welcome(welcome) => self.on_welcome(&welcome, now),
            Message::Refused(refused) => Err(refusal(&refused)),
            Message::Ack(ack) => self.on_ack(&ack, now),
            Message::Deferred(deferred) => self.on_deferred(&deferred, now),
            Message::Subscribed(subscribed) => self.on_subscribed(&subscribed),
            Message::SubscribeRefused(refused) => self.on_subscribe_refused(refused),
            Message::Delta(delta) => self.on_delta(&delta),
            Message::CaughtUp(caught_up) => self.on_caught_up(&caught_up),
            Message::RepairNodes(answer) => self.on_repair_nodes(&answer),
            Message::RepairLeaves(answer) => self.on_repair_leaves(&answer),
            Message::Ping(_) => {
                self.send(Message::Pong(0));
                Ok(())
            }
            Message::Pong(_) => {
                self.on_pong();
                Ok(())
            }
            Message::Goodbye(goodbye) => {
                let message = format!("the server ended the connection: {}", goodbye.message);
                let error = error_of_code(goodbye.code, "follow server", message, None);
                Err(error.with("code", goodbye.code))
            }
            Message::Hello(_)
            | Message::Renew { .. }
            | Message::Push(_)
            | Message::Stored(_)
            | Message::Release(_)
            | Message::Subscribe(_)
            | Message::Unsubscribe(_)
            | Message::Repair(_)
            | Message::Read(_)
            | Message::ReadResult(_) => Err(protocol("the server sent what only a client sends")),
        }
    }

    fn on_welcome(&mut self, welcome: &Welcome, now: Now) -> Result<()> {
        if !(OLDEST_PROTOCOL_VERSION..=PROTOCOL_VERSION).contains(&welcome.version) {
            let message = format!("the server chose protocol {}", welcome.version);
            return Err(Error::new(ErrorKind::Version, "connect", message));
        }
        if welcome.partition_count == 0 {
            return Err(protocol("the server has no partitions"));
        }
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        session.ready = true;
        if let Some(token) = session.renewal.take() {
            session.send(Message::Renew { token });
        }
        session.history = welcome.history;
        session.push_window = (welcome.push_window as usize).max(1);
        session.set_heartbeat(welcome.heartbeat_ms, now);
        // The server read its clock about half way between greeting and welcome.
        let there_and_back = now.elapsed.saturating_sub(session.greeted.elapsed);
        let half_ms = u64::try_from(there_and_back.as_millis() / 2).unwrap_or(0);
        let here_ms = now.wall_ms.saturating_sub(half_ms);
        self.offset_ms = welcome
            .now_ms
            .cast_signed()
            .wrapping_sub(here_ms.cast_signed());
        self.measured = Some(now);
        self.correction_ms = self.correction_ms.map(|_| self.offset_ms);
        self.server_value_bytes = (welcome.max_value_bytes as usize).min(LARGEST_VALUE_BYTES);
        self.meet_data_set(welcome);
        self.notes.push(Note::Welcomed);
        // Whether the last connection took them to the server is not known.
        let reports = self.outbox.reported();
        self.report(reports);
        self.release_runs();
        for name in self.followed_maps() {
            let map = self.map_mut(&name);
            if map.confirmed.cursors().is_empty() {
                map.history = welcome.history;
            }
            self.subscribe(&name);
        }
        Ok(())
    }

    /// Compares the server's data set with the one that the confirmed records come from.
    fn meet_data_set(&mut self, welcome: &Welcome) {
        let met = DataSet {
            digest_key: DigestKey(welcome.digest_key),
            partition_count: welcome.partition_count,
        };
        let known = self.data_set.replace(met);
        if known == Some(met) {
            return;
        }
        self.unsaved.push(MetaRow::DataSet(met).put());
        let names: Vec<MapName> = self.maps.keys().cloned().collect();
        for name in names {
            // Keys lie in other partitions there: it is another data set.
            if known.is_some_and(|known| known.partition_count != met.partition_count) {
                self.forget_confirmed(&name);
            }
            self.map_mut(&name).confirmed.set_digest_key(met.digest_key);
        }
    }

    fn forget_confirmed(&mut self, name: &MapName) {
        let Some(map) = self.maps.get_mut(name) else {
            return;
        };
        let keys: Vec<Key> = map.confirmed.entries().keys().cloned().collect();
        for key in keys {
            map.change(&key, &mut self.notes, |map| map.confirmed.remove(&key));
        }
        map.confirmed.forget_cursors();
        self.unsaved.push(forget_cursors(name));
        self.unsaved.push(Write::DeleteRange {
            table: Table::Records(name.clone()),
            from: bytes::Bytes::new(),
            to: None,
        });
    }

    /// Maps that the application opened, and those held here whose pending ops would else vanish
    /// between their verdict and the next time the map is followed.
    fn followed_maps(&self) -> Vec<MapName> {
        self.maps
            .values()
            .filter(|map| map.opened || (map.definition.is_some() && !map.overlay.is_empty()))
            .map(|map| map.name.clone())
            .collect()
    }

    /// Asks for the view of a map, if there is a connection and it was not asked for yet.
    pub(super) fn subscribe(&mut self, name: &MapName) {
        let Some(session) = self.session.as_mut().filter(|session| session.ready) else {
            return;
        };
        let Some(map) = self.maps.get_mut(name) else {
            return;
        };
        if map.view.follow != Follow::No {
            return;
        }
        map.view.follow = Follow::Requested;
        let request = session.next_request;
        session.next_request += 1;
        session.requests.insert(request, name.clone());
        session.send(Message::Subscribe(Subscribe {
            request,
            map: name.clone(),
            selector: map.selector.clone(),
            history: map.history,
            cursor: map.confirmed.cursors(),
        }));
    }

    /// Stops following a map on this connection.
    pub(super) fn end_view(&mut self, name: &MapName) {
        let Some(map) = self.maps.get_mut(name) else {
            return;
        };
        let view = std::mem::take(&mut map.view);
        if let (Some(id), Some(session)) = (view.id(), &mut self.session) {
            session.views.remove(&id);
            session.ended.insert(id);
            session.send(Message::Unsubscribe(id));
        }
        if let Some(session) = &mut self.session {
            session.requests.retain(|_, requested| requested != name);
        }
    }

    fn on_subscribed(&mut self, subscribed: &Subscribed) -> Result<()> {
        if subscribed.definition.spread == 0 {
            return Err(protocol("a map is spread over no partition"));
        }
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let Some(name) = session.requests.remove(&subscribed.request) else {
            // The application changed its mind.
            session.ended.insert(subscribed.view);
            session.send(Message::Unsubscribe(subscribed.view));
            return Ok(());
        };
        session.ended.remove(&subscribed.view);
        session.views.insert(subscribed.view, name.clone());
        let map = self.map_mut(&name);
        map.definition = Some(subscribed.definition);
        map.view.follow = Follow::Live(subscribed.view);
        self.unsaved.maps.insert(name.clone());
        let partitions = self.maps.get(&name).map(|map| self.partitions_of(map));
        let map = self.map_mut(&name);
        map.view.unanswered = partitions.into_iter().flatten().collect();
        Ok(())
    }

    fn on_subscribe_refused(&mut self, refused: SubscribeRefused) -> Result<()> {
        let session = self.session.as_mut();
        let Some(name) = session.and_then(|session| session.requests.remove(&refused.request))
        else {
            return Ok(());
        };
        let map = self.map_mut(&name);
        map.view = View {
            follow: Follow::Refused,
            ..View::default()
        };
        let waiting = std::mem::take(&mut map.waiting);
        self.notes.push(Note::ViewRefused {
            map: name,
            reason: refused.reason,
            message: refused.message,
        });
        for (_, _, position) in waiting {
            self.settle(position);
        }
        Ok(())
    }

    fn on_pong(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        let heard = session.pong();
        for report in &heard.reports {
            self.outbox.forget_report(report);
        }
        let mut writes = Vec::new();
        for ordinal in heard.runs {
            self.outbox.forget(ordinal, &mut writes);
        }
        for write in writes {
            self.unsaved.push(write);
        }
    }

    /// The partitions over which the view of a map is spread; none when that is not known.
    pub(super) fn partitions_of(&self, map: &MapState) -> Vec<PartitionId> {
        let (Some(definition), Some(data_set)) = (map.definition, self.data_set) else {
            return Vec::new();
        };
        let address = MapAddress {
            namespace: self.namespace.clone(),
            map: map.name.clone(),
        };
        let placement = Placement::new(&address, definition.spread, data_set.partition_count);
        match &map.selector {
            // All keys with this prefix have one partition key.
            Selector::Prefix(prefix) if prefix.contains('/') => Key::new(prefix)
                .map(|key| vec![placement.partition(&key)])
                .unwrap_or_default(),
            _ => placement.partitions().collect(),
        }
    }

    /// The map that a view shows; `None` when it is not followed any more.
    pub(super) fn map_of_view(&self, view: ViewId) -> Result<Option<MapName>> {
        let Some(session) = &self.session else {
            return Ok(None);
        };
        let name = session.views.get(&view).cloned();
        if name.is_none() && !session.ended.contains(&view) {
            return Err(protocol("the server named a view that is not followed"));
        }
        Ok(name)
    }

    /// Tells the application if the map became level with the server, or ceased to be.
    pub(super) fn tell_synced(&mut self, name: &MapName) {
        let Some(map) = self.maps.get_mut(name) else {
            return;
        };
        let synced = map.view.is_synced();
        if map.view.repairs.is_empty() {
            map.confirmed.drop_index();
        }
        if synced != map.view.told_synced {
            map.view.told_synced = synced;
            let map = name.clone();
            self.notes.push(Note::Synced { map, synced });
        }
    }

    /// What arrives belongs to the server's history: should the cursors of the map be of another,
    /// they mean nothing any more.
    pub(super) fn enter_history(&mut self, name: &MapName) {
        let Some(history) = self.session.as_ref().map(|session| session.history) else {
            return;
        };
        let map = self.map_mut(name);
        if map.history != history {
            map.history = history;
            map.confirmed.forget_cursors();
            self.unsaved.maps.insert(name.clone());
        }
    }
}

fn refusal(refused: &Refused) -> Error {
    let message = refused.message.clone();
    error_of_code(refused.code, "connect", message, Some(refused.retryable))
}
