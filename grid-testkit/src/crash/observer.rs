//! A subscriber that speaks the protocol by hand: what it sees is what the server sends, and no
//! code of the client's stands in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use grid_core::protocol::{CaughtUp, Delta, Message, Selector, Subscribe, ViewId};
use grid_core::traits::{Runtime, Transport};
use grid_core::{Error, ErrorKind, History, MapName, PartitionId, Result, RunId, Sequence};

use super::evidence::{Held, ServerState};
use super::stream::Stream;
use crate::Link;

/// How long a watcher waits before it connects again.
const PAUSE: Duration = Duration::from_millis(50);

/// Follows maps through every crash, and enters what it sees into a [`Stream`].
#[derive(Debug)]
pub struct Watcher {
    transport: Arc<dyn Transport>,
    runtime: Arc<dyn Runtime>,
    url: String,
    maps: Vec<Followed>,
    history: History,
}

/// Where a subscriber stands in a map.
#[derive(Debug, Default)]
struct Followed {
    map: String,
    /// The number of the view on this connection, and how many partitions the map has.
    view: Option<(ViewId, usize)>,
    cursor: BTreeMap<PartitionId, Sequence>,
    /// Partitions in which it is level on this connection.
    level: BTreeSet<PartitionId>,
}

impl Watcher {
    /// One that follows `maps` of the server at `url` from the first change on.
    #[must_use]
    pub fn new(
        transport: Arc<dyn Transport>,
        runtime: Arc<dyn Runtime>,
        url: &str,
        maps: &[&str],
    ) -> Self {
        let follow = |map: &&str| Followed {
            map: (*map).to_owned(),
            ..Followed::default()
        };
        Self {
            transport,
            runtime,
            url: url.to_owned(),
            maps: maps.iter().map(follow).collect(),
            history: History::default(),
        }
    }

    /// Follows, for ever: drop it to end it.
    pub async fn run(mut self, stream: Arc<Stream>) {
        loop {
            match self.follow(&stream).await {
                Err(error) if error.kind() == ErrorKind::Protocol => stream.puzzled(&error),
                // That the server goes away is what it is here for.
                _ => {}
            }
            self.runtime.sleep(PAUSE).await;
        }
    }

    async fn follow(&mut self, stream: &Stream) -> Result<()> {
        let mut link = self.subscribe().await?;
        loop {
            let message = link.next().await?;
            self.take(message, &mut |partition, record| {
                stream.saw(partition, record);
            })?
            .then(|| stream.was_reset());
        }
    }

    /// Connects and asks for the maps from where it stands.
    async fn subscribe(&mut self) -> Result<Link> {
        let run = RunId(self.runtime.random() | 1);
        let (transport, runtime) = (&*self.transport, &*self.runtime);
        let (mut link, answer) = Link::open(transport, runtime, &self.url, run).await?;
        match answer {
            Message::Welcome(welcome) => {
                // A history of one's own begins with the first welcome.
                if self.history == History::default() {
                    self.history = welcome.history;
                }
            }
            other => return Err(ended_by(&other)),
        }
        for (request, followed) in (1..).zip(&mut self.maps) {
            followed.view = None;
            followed.level.clear();
            link.send(&Message::Subscribe(Subscribe {
                request,
                map: MapName::new(followed.map.as_str())?,
                selector: Selector::All,
                history: self.history,
                cursor: followed.cursor.iter().map(|(p, s)| (*p, *s)).collect(),
            }))
            .await?;
        }
        Ok(link)
    }

    /// Takes a message; says whether the server did not know where the subscriber stood.
    fn take(
        &mut self,
        message: Message,
        see: &mut dyn FnMut(PartitionId, &grid_core::Record),
    ) -> Result<bool> {
        match message {
            Message::Subscribed(told) => {
                let at = usize::try_from(told.request).unwrap_or(0).wrapping_sub(1);
                let followed = self.maps.get_mut(at);
                let followed = followed.ok_or_else(|| unexpected(&"a view of no request"))?;
                followed.view = Some((told.view, usize::from(told.definition.spread)));
                Ok(false)
            }
            Message::Delta(delta) => {
                for record in &delta.records {
                    see(delta.partition, record);
                }
                self.followed(delta.view)?.moves(&delta);
                Ok(false)
            }
            Message::CaughtUp(caught_up) => {
                self.followed(caught_up.view)?.is_level(&caught_up);
                Ok(caught_up.reset)
            }
            other => Err(ended_by(&other)),
        }
    }

    fn followed(&mut self, view: ViewId) -> Result<&mut Followed> {
        let mut maps = self.maps.iter_mut();
        let found = maps.find(|followed| followed.view.is_some_and(|(own, _)| own == view));
        found.ok_or_else(|| unexpected(&view))
    }
}

impl Followed {
    fn moves(&mut self, delta: &Delta) {
        if delta.root.is_some() {
            self.cursor.insert(delta.partition, delta.to);
            self.level.insert(delta.partition);
        }
    }

    fn is_level(&mut self, told: &CaughtUp) {
        if told.cursor.is_empty() {
            self.level.extend(self.cursor.keys().copied());
        }
        for (partition, sequence) in &told.cursor {
            self.cursor.insert(*partition, *sequence);
            self.level.insert(*partition);
        }
    }

    fn is_complete(&self) -> bool {
        self.view
            .is_some_and(|(_, spread)| self.level.len() >= spread)
    }
}

/// What the server at `url` holds of `maps`, as somebody is told who comes for the first time.
///
/// # Errors
/// `Unavailable` or `Closed` when the server does not answer, or goes away meanwhile.
pub async fn read_server(
    transport: Arc<dyn Transport>,
    runtime: Arc<dyn Runtime>,
    url: &str,
    maps: &[&str],
) -> Result<ServerState> {
    let mut reader = Watcher::new(transport, runtime, url, maps);
    let mut link = reader.subscribe().await?;
    let mut server = ServerState::default();
    while !reader.maps.iter().all(Followed::is_complete) {
        let message = link.next().await?;
        let map = match &message {
            Message::Delta(delta) => reader.followed(delta.view)?.map.clone(),
            _ => String::new(),
        };
        reader.take(message, &mut |_, record| {
            let place = (map.clone(), record.key.as_str().to_owned());
            let held = record.value.clone().map(|value| Held {
                value: Some(value),
                stamp: record.stamp,
                sequence: Some(record.sequence),
            });
            match held {
                Some(held) => server.state.insert(place, held),
                None => server.state.remove(&place),
            };
        })?;
    }
    for followed in &reader.maps {
        for (partition, sequence) in &followed.cursor {
            let known = server.sequences.entry(*partition).or_default();
            *known = (*known).max(*sequence);
        }
    }
    link.close().await;
    Ok(server)
}

/// Why a message ends the connection.
fn ended_by(message: &Message) -> Error {
    match message {
        Message::Goodbye(_) | Message::Refused(_) => Error::new(
            ErrorKind::Unavailable,
            "watch server",
            format!("it ends the connection: {message:?}"),
        ),
        other => unexpected(other),
    }
}

fn unexpected(what: &dyn std::fmt::Debug) -> Error {
    Error::new(
        ErrorKind::Protocol,
        "watch server",
        format!("this was not to be expected: {what:?}"),
    )
}
