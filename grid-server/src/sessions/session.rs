//! One client's connection, as everybody but its own tasks sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grid_core::protocol::{Message, Push, RejectReason, SubscribeRefused, ViewId};
use grid_core::traits::{Authenticated, Principal};
use grid_core::{Error, Namespace, Result, RunId};

use super::outgoing::Outgoing;

/// The number of a connection, unique within the process.
pub(crate) type SessionId = u64;

/// An authenticated connection.
pub struct Session {
    id: SessionId,
    peer: String,
    principal: Arc<Principal>,
    /// When its token expires, in milliseconds since 1970.
    expires_at_ms: AtomicU64,
    name: Arc<str>,
    /// Who counts as one client, over all of its connections.
    client: Arc<str>,
    /// The client's wall clock minus ours at the handshake, in milliseconds.
    offset_ms: i64,
    /// The number of its codec among the server's.
    codec: usize,
    outgoing: Outgoing,
    /// Ops that were read and have no answer yet.
    unanswered: AtomicUsize,
    /// The last op number of each run that was pushed here.
    pushed: Mutex<BTreeMap<RunId, u64>>,
    /// From which op on each run has to come again, after it was put off.
    deferred: Mutex<BTreeMap<RunId, u64>>,
    views: Mutex<BTreeSet<ViewId>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("principal", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a handshake found out.
#[derive(Debug)]
pub(crate) struct Introduction {
    pub(crate) id: SessionId,
    pub(crate) peer: String,
    pub(crate) authenticated: Authenticated,
    pub(crate) offset_ms: i64,
    pub(crate) codec: usize,
}

/// The expiry of a token that does not expire.
const NEVER: u64 = u64::MAX;

fn or_never(expires_at_ms: Option<u64>) -> u64 {
    expires_at_ms.unwrap_or(NEVER)
}

/// A principal at one address, whatever its port.
fn client(principal: &Principal, peer: &str) -> Arc<str> {
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    format!("{}\0{}\0{host}", principal.namespace, principal.name).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(crate) fn new(introduction: Introduction, outgoing: Outgoing) -> Self {
        let client = client(&introduction.authenticated.principal, &introduction.peer);
        Self {
            id: introduction.id,
            peer: introduction.peer,
            client,
            name: introduction.authenticated.principal.name.as_str().into(),
            expires_at_ms: AtomicU64::new(or_never(introduction.authenticated.expires_at_ms)),
            principal: Arc::new(introduction.authenticated.principal),
            offset_ms: introduction.offset_ms,
            codec: introduction.codec,
            outgoing,
            unanswered: AtomicUsize::new(0),
            pushed: Mutex::default(),
            deferred: Mutex::default(),
            views: Mutex::default(),
        }
    }

    /// The number of the connection, unique within the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The other side, for logs: an address.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Who the client is.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The tenant whose maps the client sees.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.principal.namespace
    }

    /// Who counts as one client over all of its connections: a principal at one address. So neither
    /// those who share a token nor those who share an address count as one.
    pub(crate) fn client(&self) -> &Arc<str> {
        &self.client
    }

    pub(crate) fn shared_principal(&self) -> Arc<Principal> {
        self.principal.clone()
    }

    pub(crate) fn principal_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// When its token expires by this server's wall clock, in milliseconds since 1970.
    pub(crate) fn expires_at_ms(&self) -> Option<u64> {
        Some(self.expires_at_ms.load(Ordering::Relaxed)).filter(|at| *at != NEVER)
    }

    /// The connection has another token, which expires then.
    pub(crate) fn renewed_until(&self, expires_at_ms: Option<u64>) {
        let at = or_never(expires_at_ms);
        self.expires_at_ms.store(at, Ordering::Relaxed);
    }

    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    pub(crate) fn codec(&self) -> usize {
        self.codec
    }

    pub(crate) fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// Queues an answer; one that cannot be encoded ends the connection, because the client waits
    /// for it.
    pub(crate) fn answer(&self, message: &Message) {
        self.check(self.outgoing.answer(message));
    }

    /// Answers a read of what is not served at present; everything else on the connection goes on.
    pub(crate) fn refuse_read(&self, request: u32, error: &Error) {
        self.answer(&Message::SubscribeRefused(SubscribeRefused {
            request,
            reason: RejectReason::Unavailable,
            message: error.message().to_owned(),
        }));
    }

    /// Ends the connection when something for it could not be encoded.
    pub(crate) fn check<T: Default>(&self, queued: Result<T>) -> T {
        queued.unwrap_or_else(|error| {
            tracing::error!(session = self.id, %error, "a message cannot be encoded");
            self.outgoing.end(Some(&super::goodbye(&error)));
            T::default()
        })
    }

    /// Counts ops in; returns how many have no answer now.
    pub(crate) fn ops_read(&self, ops: usize) -> usize {
        self.unanswered.fetch_add(ops, Ordering::Relaxed) + ops
    }

    /// Counts ops out.
    pub(crate) fn ops_answered(&self, ops: usize) {
        self.unanswered.fetch_sub(ops, Ordering::Relaxed);
    }

    /// The last op number that was pushed here, by run.
    pub(crate) fn pushed(&self) -> MutexGuard<'_, BTreeMap<RunId, u64>> {
        lock(&self.pushed)
    }

    /// From which op on each run has to come again, after it was put off.
    pub(crate) fn deferred(&self) -> MutexGuard<'_, BTreeMap<RunId, u64>> {
        lock(&self.deferred)
    }

    /// Nothing more of this run comes here.
    pub(crate) fn forget_run(&self, run: RunId) {
        self.pushed().remove(&run);
        self.deferred().remove(&run);
    }

    /// Whether a push is behind one that was put off, and comes again.
    pub(crate) fn is_deferred(&self, push: &Push) -> bool {
        let deferred = self.deferred();
        deferred
            .get(&push.run)
            .is_some_and(|from| push.begins() > *from)
    }

    /// The views that the client follows.
    pub(crate) fn views(&self) -> MutexGuard<'_, BTreeSet<ViewId>> {
        lock(&self.views)
    }
}

#[cfg(test)]
impl Session {
    /// A connection that nobody reads from.
    pub(crate) fn for_tests() -> Arc<Self> {
        Self::with_room(64 * 1024)
    }

    /// The same, of another principal.
    pub(crate) fn of(name: &str, namespace: &Namespace) -> Arc<Self> {
        let principal = Principal {
            name: name.to_owned(),
            namespace: namespace.clone(),
        };
        Self::with(principal, 64 * 1024)
    }

    /// The same, with room for events of so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Arc<Self> {
        let principal = Principal {
            name: "ada".to_owned(),
            namespace: Namespace::default(),
        };
        Self::with(principal, bytes)
    }

    fn with(principal: Principal, bytes: usize) -> Arc<Self> {
        use std::sync::atomic::{AtomicU64, Ordering};

        use grid_core::codec::CborCodec;

        static NEXT: AtomicU64 = AtomicU64::new(1);

        let introduction = Introduction {
            id: NEXT.fetch_add(1, Ordering::SeqCst),
            peer: "test".to_owned(),
            authenticated: Authenticated::from(principal),
            offset_ms: 0,
            codec: 0,
        };
        let outgoing = Outgoing::new(Arc::new(CborCodec), bytes);
        Arc::new(Self::new(introduction, outgoing))
    }

    /// The messages that wait to be sent.
    pub(crate) fn queued(&self) -> Vec<Message> {
        use futures::FutureExt;
        use grid_core::codec::CborCodec;
        use grid_core::protocol::read_frame;
        use grid_core::traits::CodecLimits;

        let frames = self.outgoing.next().now_or_never().flatten();
        let decode = |frame| {
            read_frame(&CborCodec, frame, &CodecLimits::default())
                .expect("the server's own frames can be read")
        };
        frames.into_iter().flatten().map(decode).collect()
    }
}
