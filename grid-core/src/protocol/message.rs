//! The messages, as plain data.

use crate::address::{Key, MapName, Namespace, PartitionId};
use crate::op::{Op, RunId};
use crate::protocol::{RejectReason, Verdict};
use crate::record::{History, Record, Sequence};

/// The server's number for a view: a map, what of it, and what the reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ViewId(pub u64);

/// Which entries of a map a view holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Selector {
    /// All of them.
    #[default]
    All,
    /// Those whose key starts with this text.
    Prefix(String),
}

impl Selector {
    /// Whether the view holds `key`.
    #[must_use]
    pub fn matches(&self, key: &Key) -> bool {
        self.matches_bytes(key.as_bytes())
    }

    /// Whether the view holds the key with these bytes.
    #[must_use]
    pub(crate) fn matches_bytes(&self, key: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => key.starts_with(prefix.as_bytes()),
        }
    }
}

/// What a map is; fixed when the map is made, told to clients when they subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapDefinition {
    /// Over how many partitions the map is spread.
    pub spread: u16,
    /// The version of the schema of its values.
    pub schema: u32,
}

/// The first message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The oldest protocol version that the client speaks.
    pub min_version: u16,
    /// The newest protocol version that the client speaks.
    pub max_version: u16,
    /// The codecs that the client speaks, best first.
    pub codecs: Vec<String>,
    /// The tenant.
    pub namespace: Namespace,
    /// What authenticates the client.
    pub token: Option<String>,
    /// The run that this opening of the client's store drew.
    pub run: RunId,
    /// The client's wall clock, in milliseconds since 1970.
    pub now_ms: u64,
}

/// The server's answer to a `Hello` that it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol version from here on.
    pub version: u16,
    /// The codec from here on.
    pub codec: String,
    /// The server's wall clock, in milliseconds since 1970.
    pub now_ms: u64,
    /// The line of sequences that the server is on.
    pub history: History,
    /// The partitions of the data set.
    pub partition_count: u16,
    /// The key of the data set's digests.
    pub digest_key: u64,
    /// The largest value, in bytes.
    pub max_value_bytes: u32,
    /// How many ops the client may have pushed and not yet seen a verdict of.
    pub push_window: u32,
    /// After how much silence either side asks for a sign of life, in milliseconds.
    pub heartbeat_ms: u32,
}

/// The server's answer to a `Hello` that it does not accept; the connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The number of an [`crate::ErrorKind`]-like reason: 1 version, 2 unauthorized,
    /// 3 overloaded, 4 shutting down, 5 protocol, 6 unsupported, 7 a frame was damaged on its way.
    pub code: u8,
    /// What is wrong and what to do.
    pub message: String,
    /// Whether trying again later can help.
    pub retryable: bool,
}

/// Ops of one run, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The run of all the ops.
    pub run: RunId,
    /// Whether this is the first push after a [`Deferred`]: the server accepts pushes again.
    pub resume: bool,
    /// The number of the last op of this run that was pushed before on this connection; 0 if this
    /// is the first push of the run. A server that saw another number has lost or doubled a frame:
    /// it takes nothing and ends the connection, because an op that arrives after a later one of
    /// its run would look like a duplicate. Of a resumed push it is the lowest [`Deferred::from`]
    /// since the last one: what lies between there and the first op has its verdict.
    pub previous: u64,
    /// The ops.
    pub ops: Vec<Op>,
}

impl Push {
    /// Where it comes back to: its first op, or one before that has its verdict by now. 0 for a
    /// push without ops.
    #[must_use]
    pub fn begins(&self) -> u64 {
        let first = self.ops.first().map_or(0, |op| op.id.number);
        if self.resume && self.previous > 0 {
            first.min(self.previous)
        } else {
            first
        }
    }
}

/// Consecutive op numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberRange {
    /// The first number.
    pub first: u64,
    /// How many; at least 1.
    pub count: u64,
}

/// A verdict other than "accepted as it came".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The op's number within the run.
    pub number: u64,
    /// What became of it.
    pub verdict: Verdict,
}

/// Verdicts of ops of one run in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The run.
    pub run: RunId,
    /// The partition.
    pub partition: PartitionId,
    /// A view that is at this sequence or later shows what became of these ops; a subscriber that
    /// would not get there by an event is sent an empty delta.
    pub sequence: Sequence,
    /// The ops that were accepted as they came.
    pub accepted: Vec<NumberRange>,
    /// The others.
    pub exceptions: Vec<Exception>,
    /// How many ops without a verdict the client may have from now on for this partition's sake,
    /// where that is another number than the last one: of all partitions the lowest counts, and
    /// [`Welcome::push_window`] is the bound. 0 stops the client until another ack, which may hold
    /// no verdict, names more.
    pub window: Option<u32>,
}

/// The server could not take this op and those after it of its run now; the client pushes again
/// from here, with [`Push::resume`]. A verdict that it has of one of them already may not hold: at
/// [`crate::op::AckLevel::Memory`] it is told before the op is safe. Other runs are not concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    /// The run.
    pub run: RunId,
    /// The first op that was not taken.
    pub from: u64,
    /// Why, for people.
    pub message: String,
    /// How long to wait at least, in milliseconds. A client that is put off again waits longer each
    /// time, and comes back with one op.
    pub retry_after_ms: u32,
}

/// The client has stored the verdicts up to `through` of its run in this partition; the server
/// may forget the exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The run.
    pub run: RunId,
    /// The partition.
    pub partition: PartitionId,
    /// The highest op number whose verdict is stored, with all below it in this partition.
    pub through: u64,
}

/// Asks for a view: what changed since the cursor, then every change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The client's number for this request.
    pub request: u32,
    /// The map.
    pub map: MapName,
    /// Which of its entries.
    pub selector: Selector,
    /// The history of the cursor.
    pub history: History,
    /// Where the client stands; empty when it has nothing.
    pub cursor: Vec<(PartitionId, Sequence)>,
}

/// The server took a [`Subscribe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    /// The client's number for the request.
    pub request: u32,
    /// The view, in every message from here on.
    pub view: ViewId,
    /// What the map is.
    pub definition: MapDefinition,
}

/// The server refused a [`Subscribe`] or a [`Read`]. Only a read is refused because its partition
/// is not served at present ([`RejectReason::Unavailable`]): a view waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRefused {
    /// The client's number for the request.
    pub request: u32,
    /// Why, for code.
    pub reason: RejectReason,
    /// Why, for people.
    pub message: String,
}

/// How the records of a [`Delta`] relate to what the client has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaMode {
    /// They changed after `from`; nothing else did.
    Changes,
    /// The first part of all there is: what the client has of this partition and does not find
    /// in this delta or the following `More` ones is gone.
    Snapshot,
    /// Fetched in a repair; they replace what the client has and move no cursor.
    Repair,
}

/// Records of one partition of a view, in the order of their sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The view.
    pub view: ViewId,
    /// The partition.
    pub partition: PartitionId,
    /// How the records are meant.
    pub mode: DeltaMode,
    /// Whether this continues the delta before it.
    pub continued: bool,
    /// The records are all that changed after this. A client whose cursor is at or after it is
    /// complete once it has applied them; one whose cursor lies before it has missed something.
    /// It is not always equal to the cursor, because one event serves every subscriber.
    pub from: Sequence,
    /// The cursor after this; meaningful once `root` is there.
    pub to: Sequence,
    /// The records; a tombstone says that the entry is gone.
    pub records: Vec<Record>,
    /// The root of the view's entries in this partition at `to`; absent when more follows.
    pub root: Option<u128>,
}

/// The client is level with the view in these partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaughtUp {
    /// The view.
    pub view: ViewId,
    /// The history from here on.
    pub history: History,
    /// Partitions and where they stand; empty means: all, where the client said it stands.
    pub cursor: Vec<(PartitionId, Sequence)>,
    /// The sum of the roots of these partitions.
    pub root: u128,
    /// Whether the cursor could not be used (another history, or below the horizon), so that a
    /// client whose root differs has to repair.
    pub reset: bool,
}

/// One step of the comparison of two Merkle trees, asked by the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The view.
    pub view: ViewId,
    /// The partition.
    pub partition: PartitionId,
    /// What is asked.
    pub step: RepairStep,
}

/// What a [`Repair`] asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepairStep {
    /// The children of these nodes of one level; level 0 is the root, whose only index is 0.
    Nodes {
        /// Leaf bits as the server named them; 0 in the first step.
        bits: u8,
        /// The level of the parents.
        level: u8,
        /// The parents.
        parents: Vec<u32>,
    },
    /// The entries of these leaves, as hashes.
    Leaves {
        /// Leaf bits as the server named them.
        bits: u8,
        /// The leaves.
        leaves: Vec<u32>,
    },
    /// The records with these key hashes.
    Fetch {
        /// Key hashes.
        keys: Vec<u64>,
    },
    /// Everything.
    Snapshot,
}

/// The server's answer to [`RepairStep::Nodes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairNodes {
    /// The view.
    pub view: ViewId,
    /// The partition.
    pub partition: PartitionId,
    /// Leaf bits of this descent.
    pub bits: u8,
    /// The level of the parents.
    pub level: u8,
    /// The parents, as asked.
    pub parents: Vec<u32>,
    /// The sums of the children of all parents, one after the other.
    pub sums: Vec<u64>,
}

/// The server's answer to [`RepairStep::Leaves`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairLeaves {
    /// The view.
    pub view: ViewId,
    /// The partition.
    pub partition: PartitionId,
    /// Leaf bits of this descent.
    pub bits: u8,
    /// The leaves, as asked.
    pub leaves: Vec<u32>,
    /// Key hash and digest of every entry in them.
    pub entries: Vec<(u64, u64)>,
}

/// Asks for records once, without subscribing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The client's number for this request.
    pub request: u32,
    /// The map.
    pub map: MapName,
    /// Which records.
    pub target: ReadTarget,
}

/// What a [`Read`] asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadTarget {
    /// One entry.
    Key(Key),
    /// Entries in the order of their keys.
    Page {
        /// Which entries.
        selector: Selector,
        /// After this key; `None` from the start.
        after: Option<Key>,
        /// At most this many; at least 1.
        limit: u32,
    },
}

/// The answer to a [`Read`]: live records only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadResult {
    /// The client's number for the request.
    pub request: u32,
    /// The records.
    pub records: Vec<Record>,
    /// Whether there are more after these.
    pub more: bool,
}

/// The sender ends the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goodbye {
    /// As in [`Refused`].
    pub code: u8,
    /// Why, for people.
    pub message: String,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Client: who I am and what I speak.
    Hello(Hello),
    /// Server: welcome.
    Welcome(Welcome),
    /// Server: no.
    Refused(Refused),
    /// Client: a new token for this connection.
    Renew {
        /// The token.
        token: String,
    },
    /// Client: ops.
    Push(Push),
    /// Server: verdicts.
    Ack(Ack),
    /// Server: not now.
    Deferred(Deferred),
    /// Client: verdicts are stored.
    Stored(Vec<Stored>),
    /// Client: this run will push nothing more.
    Release(RunId),
    /// Client: follow a view.
    Subscribe(Subscribe),
    /// Server: the view is followed.
    Subscribed(Subscribed),
    /// Server: the view or read is refused.
    SubscribeRefused(SubscribeRefused),
    /// Client: stop following a view.
    Unsubscribe(ViewId),
    /// Server: records of a view.
    Delta(Delta),
    /// Server: nothing more to tell for now.
    CaughtUp(CaughtUp),
    /// Client: compare trees.
    Repair(Repair),
    /// Server: sums of tree nodes.
    RepairNodes(RepairNodes),
    /// Server: hashes of entries.
    RepairLeaves(RepairLeaves),
    /// Client: read once.
    Read(Read),
    /// Server: what was read.
    ReadResult(ReadResult),
    /// Either, every heartbeat: are you there? The [`crate::protocol::FrameChain`] of the frames
    /// that the sender has sent on this connection before this one. A receiver that finds another
    /// value over what it received ends the connection: the transport lost, doubled or reordered
    /// a frame.
    Ping(u64),
    /// Either: I am. The chain of the frames that the sender has sent before this one, checked in
    /// the same way.
    Pong(u64),
    /// Either: I am going.
    Goodbye(Goodbye),
}
