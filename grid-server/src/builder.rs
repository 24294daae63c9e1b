//! Putting a server together.

use std::fmt;
use std::sync::Arc;

use grid_core::codec::CborCodec;
use grid_core::partition::Rules;
use grid_core::traits::{
    Authenticator, Codec, Journal, Listener, Ownership, Persistence, Policy, Resolver, Runtime,
};
use grid_core::{Error, ErrorKind, Result};

use crate::access::{OpenDoor, OpenPolicy};
use crate::config::Settings;
use crate::layer::GatewayLayer;
use crate::local_ownership::LocalOwnership;
use crate::server::Server;
use crate::write_behind::ENVELOPE_BYTES;

/// What a server is made of. Runtime, journal and persistence must be given; the rest has
/// defaults: the CBOR codec, an open door, and no listener (reads and writes then go through
/// [`Server::handle`] only).
#[derive(Default)]
pub struct ServerBuilder {
    runtime: Option<Arc<dyn Runtime>>,
    journal: Option<Arc<dyn Journal>>,
    persistence: Option<Arc<dyn Persistence>>,
    ownership: Option<Arc<dyn Ownership>>,
    codecs: Vec<Arc<dyn Codec>>,
    authenticator: Option<Arc<dyn Authenticator>>,
    policy: Option<Arc<dyn Policy>>,
    resolver: Option<Arc<dyn Resolver>>,
    listeners: Vec<Arc<dyn Listener>>,
    settings: Settings,
    layers: Vec<GatewayLayer>,
    node: Option<String>,
    new_history: bool,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What [`ServerBuilder`] gathered, complete.
pub(crate) struct Parts {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) persistence: Arc<dyn Persistence>,
    pub(crate) ownership: Arc<dyn Ownership>,
    /// Whether other servers may own partitions.
    pub(crate) has_peers: bool,
    pub(crate) codecs: Arc<[Arc<dyn Codec>]>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) rules: Rules,
    pub(crate) listeners: Vec<Arc<dyn Listener>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) layers: Vec<GatewayLayer>,
    pub(crate) node: String,
    pub(crate) new_history: bool,
}

impl ServerBuilder {
    /// Where tasks run, and the source of time and chance.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The durable log of what is acknowledged.
    #[must_use]
    pub fn journal(mut self, journal: Arc<dyn Journal>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// The system of record.
    #[must_use]
    pub fn persistence(mut self, persistence: Arc<dyn Persistence>) -> Self {
        self.persistence = Some(persistence);
        self
    }

    /// The table of who owns which partition, for several servers with one journal and one
    /// database. The server takes what nobody owns and what it owned before, and follows every
    /// change. Unless given, this server is the only one and owns all partitions.
    ///
    /// Give the server a name, too ([`ServerBuilder::node`]): by it, the table knows it again.
    #[must_use]
    pub fn ownership(mut self, ownership: Arc<dyn Ownership>) -> Self {
        self.ownership = Some(ownership);
        self
    }

    /// The name of this node in the ownership table. Every server on a table needs one that no
    /// other has, and that stays the same from start to start.
    ///
    /// Unless given it is a random one, another at each start. That does for a server that is the
    /// only one: its own table is new at each start as well. In a table that outlives the server
    /// ([`ServerBuilder::ownership`]) everything still belongs to the name of its last start, which
    /// never comes back: the server does not take it, and nobody serves it until somebody gives it
    /// to another node in the table.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = Some(name.into());
        self
    }

    /// A codec that clients may choose; without any, CBOR.
    #[must_use]
    pub fn codec(mut self, codec: Arc<dyn Codec>) -> Self {
        self.codecs.push(codec);
        self
    }

    /// Who lets clients in.
    #[must_use]
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = Some(authenticator);
        self
    }

    /// The rules on reads and writes.
    #[must_use]
    pub fn policy(mut self, policy: Arc<dyn Policy>) -> Self {
        self.policy = Some(policy);
        self
    }

    /// The merge rule of all maps; without one the last writer wins.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// An address at which clients connect; there may be several.
    #[must_use]
    pub fn listen(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// The numbers.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// A layer of the program's own in the gateway's pipeline; the first one added sees requests
    /// first.
    #[must_use]
    pub fn layer(mut self, layer: GatewayLayer) -> Self {
        self.layers.push(layer);
        self
    }

    /// An operator's order for this one start: should journal and persistence have diverged (one of
    /// them was lost or restored from a backup), the persistence is the truth. What only the
    /// journal has is discarded, and a new history begins, with which every client compares what it
    /// holds.
    ///
    /// What was acknowledged and is not in the persistence is lost for good, unless a client still
    /// has it pending. So try without the order first; where the two fit, it changes nothing. All
    /// other servers of the data set must have ended.
    #[must_use]
    pub fn new_history(mut self, ordered: bool) -> Self {
        self.new_history = ordered;
        self
    }

    /// Recovers the data set and starts to serve.
    ///
    /// # Errors
    /// `Invalid` when a part is missing or a setting is out of bounds; `Conflict` when the data set
    /// was made with other numbers than the settings'; `Diverged` when journal and persistence do
    /// not follow on each other, see [`ServerBuilder::new_history`]; `Corrupt` when one of them is
    /// damaged; else as theirs.
    pub async fn start(self) -> Result<Server> {
        Server::start(self.parts()?).await
    }

    fn parts(self) -> Result<Parts> {
        self.settings.check()?;
        let runtime = self.runtime.ok_or_else(|| missing("a runtime"))?;
        let persistence = self.persistence.ok_or_else(|| missing("a persistence"))?;
        check_values(&self.settings, &*persistence)?;
        if self.layers.len() < self.settings.layers.len() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "start server",
                "the setting `layers` names layers that the server was not given: open them with \
                 `GatewayLayer::open`, and add each with `ServerBuilder::layer`",
            ));
        }
        let node = self
            .node
            .unwrap_or_else(|| format!("node-{:016x}", runtime.random()));
        let codecs = if self.codecs.is_empty() {
            vec![Arc::new(CborCodec) as Arc<dyn Codec>]
        } else {
            self.codecs
        };
        Ok(Parts {
            journal: self.journal.ok_or_else(|| missing("a journal"))?,
            persistence,
            has_peers: self.ownership.is_some(),
            ownership: self
                .ownership
                .unwrap_or_else(|| Arc::new(LocalOwnership::new())),
            codecs: codecs.into(),
            authenticator: self.authenticator.unwrap_or_else(|| Arc::new(OpenDoor)),
            policy: self.policy.unwrap_or_else(|| Arc::new(OpenPolicy)),
            rules: Rules {
                allowed_drift_ms: self.settings.allowed_drift_ms,
                retention_ms: self.settings.retention_ms,
                resolver: self.resolver,
            },
            listeners: self.listeners,
            settings: Arc::new(self.settings),
            layers: self.layers,
            node,
            new_history: self.new_history,
            runtime,
        })
    }
}

/// Checks that every value that is let in can be stored, as a dead letter too.
fn check_values(settings: &Settings, persistence: &dyn Persistence) -> Result<()> {
    let largest = persistence.capabilities().max_value_bytes;
    let needed = (settings.max_value_bytes as usize).saturating_add(ENVELOPE_BYTES);
    if needed <= largest {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        "start server",
        format!(
            "`max_value_bytes` is {}, and the system of record takes values of {largest} bytes, of \
             which {ENVELOPE_BYTES} may be the server's own: lower the setting to {}",
            settings.max_value_bytes,
            largest.saturating_sub(ENVELOPE_BYTES)
        ),
    ))
}

fn missing(what: &str) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "start server",
        format!("the server was given no {}", what.trim_start_matches("a ")),
    )
}
