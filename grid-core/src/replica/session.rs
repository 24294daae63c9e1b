//! One connection, from the first message to the last: greeting, heartbeat, and what to send next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::note::Note;
use super::put_off::PutOff;
use super::replica::Replica;
use super::view::View;
use crate::address::{MapName, PartitionId};
use crate::error::{Error, ErrorKind, Result};
use crate::mutation::{Mutation, planted};
use crate::op::{Op, OpId, RunId};
use crate::protocol::{
    Hello, Message, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, Push, Stored, ViewId,
};
use crate::record::History;

/// How long the server may take to say welcome.
pub const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// After how many heartbeats without a sign of life a connection counts as lost.
pub const LOST_AFTER_HEARTBEATS: u32 = 3;
/// The shortest heartbeat that a client keeps, whatever the server asks for.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(50);

/// Time, as it is handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// The wall clock, in milliseconds since 1970. It may jump.
    pub wall_ms: u64,
    /// A clock that never goes back.
    pub elapsed: Duration,
}

/// What the server was told without an answer: ends of runs, and which verdicts are stored.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Places of runs that are over.
    pub(super) runs: BTreeSet<u64>,
    pub(super) reports: Vec<Stored>,
}

impl Told {
    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.reports.is_empty()
    }
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) ready: bool,
    /// The server's line of sequences.
    pub(super) history: History,
    pub(super) greeted: Now,
    pub(super) push_window: usize,
    pub(super) heartbeat: Duration,
    outgoing: VecDeque<Message>,
    /// A token that came after the hello and goes out after the welcome.
    pub(super) renewal: Option<String>,
    /// Runs of which the server has said "not now".
    pub(super) put_off: BTreeMap<RunId, PutOff>,
    /// The op that was put off last, and why.
    pub(super) why_put_off: Option<(OpId, String)>,
    /// The number of the op pushed last of each run.
    pub(super) previous: BTreeMap<RunId, u64>,
    /// The highest number pushed of each run.
    pub(super) highest: BTreeMap<RunId, u64>,
    /// Partitions for whose sake fewer ops may be on their way, and how many.
    pub(super) windows: BTreeMap<PartitionId, u32>,
    /// Whether one op may go out though no window is open, in case the word that one is was lost.
    probes: bool,
    /// When that is so again.
    probes_at: Option<Duration>,
    pub(super) last_heard: Duration,
    last_ping: Duration,
    pings: u64,
    pongs: u64,
    told: Told,
    /// What was told before the heartbeat with this number: its answer proves that it was heard.
    proving: Option<(u64, Told)>,
    pub(super) views: BTreeMap<ViewId, MapName>,
    /// Views that were followed: what is still on its way for them is ignored.
    pub(super) ended: BTreeSet<ViewId>,
    pub(super) requests: BTreeMap<u32, MapName>,
    pub(super) next_request: u32,
}

impl Session {
    fn new(now: Now) -> Self {
        Self {
            ready: false,
            history: History::default(),
            greeted: now,
            push_window: 0,
            heartbeat: WELCOME_TIMEOUT,
            outgoing: VecDeque::new(),
            renewal: None,
            put_off: BTreeMap::new(),
            why_put_off: None,
            previous: BTreeMap::new(),
            highest: BTreeMap::new(),
            windows: BTreeMap::new(),
            probes: false,
            probes_at: None,
            last_heard: now.elapsed,
            last_ping: now.elapsed,
            pings: 0,
            pongs: 0,
            told: Told::default(),
            proving: None,
            views: BTreeMap::new(),
            ended: BTreeSet::new(),
            requests: BTreeMap::new(),
            next_request: 1,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn send(&mut self, message: Message) {
        self.outgoing.push_back(message);
    }

    /// The server names a window for the sake of one partition.
    pub(super) fn set_window(&mut self, partition: PartitionId, window: u32, now: Now) {
        if usize::try_from(window).is_ok_and(|window| window < self.push_window) {
            self.windows.insert(partition, window);
        } else {
            self.windows.remove(&partition);
        }
        if self.window() > 0 {
            (self.probes, self.probes_at) = (false, None);
        } else {
            self.probes_at.get_or_insert(now.elapsed + self.heartbeat);
        }
    }

    /// How many ops may be on their way.
    fn window(&self) -> usize {
        let lowest = self.windows.values().min().copied();
        let lowest = lowest.and_then(|window| usize::try_from(window).ok());
        lowest.map_or(self.push_window, |window| window.min(self.push_window))
    }

    /// How many more ops may go out while so many are on their way.
    fn room(&self, in_flight: usize) -> usize {
        if in_flight == 0 && self.probes {
            return 1;
        }
        if planted(Mutation::IgnoreInFlight) {
            return self.window();
        }
        self.window().saturating_sub(in_flight)
    }

    pub(super) fn set_heartbeat(&mut self, heartbeat_ms: u32, now: Now) {
        self.heartbeat = Duration::from_millis(heartbeat_ms.into()).max(SHORTEST_HEARTBEAT);
        self.last_ping = now.elapsed;
    }

    /// The server has heard everything up to the heartbeat that this answers: what it thereby is
    /// known to have been told.
    pub(super) fn pong(&mut self) -> Told {
        self.pongs += 1;
        match self.proving.take() {
            Some((ping, told)) if self.pongs >= ping => told,
            other => {
                self.proving = other;
                Told::default()
            }
        }
    }

    fn ping(&mut self, now: Now) {
        self.last_ping = now.elapsed;
        self.pings += 1;
        if self.proving.is_none() && !self.told.is_empty() {
            let told = std::mem::take(&mut self.told);
            self.proving = Some((self.pings, told));
        }
        self.send(Message::Ping(0));
    }

    fn knows_release(&self, ordinal: u64) -> bool {
        let proving = self.proving.as_ref();
        self.told.runs.contains(&ordinal)
            || proving.is_some_and(|(_, told)| told.runs.contains(&ordinal))
    }
}

impl Replica {
    /// Starts a connection. The hello is its first message; those after it come from
    /// [`Replica::next_message`]. A connection that was there before counts as lost.
    pub fn connect(&mut self, codecs: Vec<String>, token: Option<String>, now: Now) -> Hello {
        self.disconnect();
        self.session = Some(Session::new(now));
        Hello {
            min_version: OLDEST_PROTOCOL_VERSION,
            max_version: PROTOCOL_VERSION,
            codecs,
            namespace: self.namespace.clone(),
            token,
            run: self.run,
            now_ms: now.wall_ms,
        }
    }

    /// The connection is gone: everything pending is to be pushed on the next one.
    pub fn disconnect(&mut self) {
        if self.session.take().is_none() {
            return;
        }
        self.outbox.disconnect();
        for map in self.maps.values_mut() {
            // Verdicts that were not settled come again on the next connection.
            map.waiting.clear();
            map.confirmed.drop_index();
            let told = map.view.told_synced;
            map.view = View::default();
            if told {
                self.notes.push(Note::Synced {
                    map: map.name.clone(),
                    synced: false,
                });
            }
        }
    }

    /// The next message to send, each in a frame of its own; call it again once it is sent, until
    /// there is none. Control messages go first, then pending ops within the push window. The
    /// caller puts its frame chain into a `Ping` or `Pong`.
    pub fn next_message(&mut self, now: Now) -> Option<Message> {
        let session = self.session.as_mut()?;
        match session.outgoing.pop_front() {
            Some(message) => Some(message),
            None => self.next_push(now).map(Message::Push),
        }
    }

    fn next_push(&mut self, now: Now) -> Option<Push> {
        let session = self.session.as_mut().filter(|session| session.ready)?;
        let put_off = &session.put_off;
        let room_of = |run| {
            let put_off = put_off.get(&run);
            put_off.map_or(usize::MAX, |run| run.room(now.elapsed))
        };
        let maps = &self.maps;
        let has_before = |start, op: &Op| {
            let map = maps.get(&op.map);
            map.is_some_and(|map| map.overlay.has_before(&op.key, start))
        };
        let room = session.room(self.outbox.in_flight());
        let next = self.outbox.next_push(room, room_of, has_before)?;
        let (run, ops) = self.outbox.take_push(next)?;
        // What probes is on its way.
        session.probes = false;
        let (first, last) = (ops.first()?.id.number, ops.last()?.id.number);
        let put_off = session.put_off.get_mut(&run);
        let put_off = put_off.and_then(|put_off| put_off.pushed(first, now.elapsed));
        let before = session.previous.insert(run, last);
        let highest = session.highest.entry(run).or_default();
        *highest = last.max(*highest);
        Some(Push {
            run,
            resume: put_off.is_some(),
            previous: put_off.or(before).unwrap_or(0),
            ops,
        })
    }

    /// When to call [`Replica::tick`] and [`Replica::next_message`] next, if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let session = self.session.as_ref()?;
        if !session.ready {
            return Some(session.greeted.elapsed + WELCOME_TIMEOUT);
        }
        let ping = session.last_ping + session.heartbeat;
        let lost = session.last_heard + session.heartbeat * LOST_AFTER_HEARTBEATS;
        let probe = session.probes_at.unwrap_or(Duration::MAX);
        let put_off = session.put_off.values().filter_map(PutOff::deadline);
        put_off.chain([ping, lost, probe]).min()
    }

    /// Does what is due: heartbeats.
    ///
    /// # Errors
    /// `Timeout` when the server has been silent for too long: the connection counts as lost.
    pub fn tick(&mut self, now: Now) -> Result<()> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        if !session.ready {
            return if now.elapsed < session.greeted.elapsed + WELCOME_TIMEOUT {
                Ok(())
            } else {
                let message = "the server did not answer the greeting";
                Err(Error::new(ErrorKind::Timeout, "connect", message))
            };
        }
        for put_off in session.put_off.values_mut() {
            put_off.tick(now.elapsed);
        }
        if session.probes_at.is_some_and(|at| at <= now.elapsed) {
            session.probes = true;
            session.probes_at = Some(now.elapsed + session.heartbeat);
        }
        let silent = now.elapsed.saturating_sub(session.last_heard);
        if silent >= session.heartbeat * LOST_AFTER_HEARTBEATS {
            let message = "the server has gone silent";
            return Err(Error::new(ErrorKind::Timeout, "hear from server", message)
                .with("silent_ms", silent.as_millis()));
        }
        if now.elapsed >= session.last_ping + session.heartbeat {
            session.ping(now);
        }
        Ok(())
    }

    /// Why the op that was put off last was, if it has no verdict yet.
    pub(super) fn why_put_off(&self) -> Option<String> {
        let (op, why) = self.session.as_ref()?.why_put_off.as_ref()?;
        let pending = self.outbox.get(self.outbox.position(*op)?)?;
        pending.fate.is_none().then(|| why.clone())
    }

    /// Authenticates the present connection anew, once the server has said welcome; the token of
    /// the next one is handed to [`Replica::connect`].
    pub fn renew(&mut self, token: String) {
        match &mut self.session {
            Some(session) if session.ready => session.send(Message::Renew { token }),
            Some(session) => session.renewal = Some(token),
            None => {}
        }
    }

    pub(super) fn send(&mut self, message: Message) {
        if let Some(session) = &mut self.session {
            session.send(message);
        }
    }

    /// Tells the server which verdicts are stored, if there is a connection.
    pub(super) fn report(&mut self, reports: Vec<Stored>) {
        let session = self.session.as_mut().filter(|session| session.ready);
        if let Some(session) = session.filter(|_| !reports.is_empty()) {
            session.told.reports.extend_from_slice(&reports);
            session.send(Message::Stored(reports));
        }
    }

    /// Tells the server which runs are over, so that it may forget them one day.
    pub(super) fn release_runs(&mut self) {
        let Some(session) = self.session.as_mut().filter(|session| session.ready) else {
            return;
        };
        if self.unsaved.settled || self.saving.is_some() {
            // What looks finished may be pending again after a crash.
            return;
        }
        for (ordinal, run) in self.outbox.finished(self.ordinal) {
            if !session.knows_release(ordinal) {
                session.told.runs.insert(ordinal);
                session.send(Message::Release(run));
            }
        }
    }
}
