//! One message of every kind and variant, fixed for ever: what the wire vectors hold.

use bytes::Bytes;
use grid_core::op::{Action, Op, OpId, RunId, Stamp};
use grid_core::protocol::*;
use grid_core::{History, Hlc, Key, MapName, Namespace, PartitionId, Record, Sequence};

const RUN: RunId = RunId(0x0123_4567_89ab_cdef);
const OTHER_RUN: RunId = RunId(0xfedc_ba98_7654_3210);
const HISTORY: History = History(0x1122_3344_5566_7788);
const NOW_MS: u64 = 1_767_225_600_000;
const ROOT: u128 = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;
const VIEW: ViewId = ViewId(3);
const PARTITION: PartitionId = PartitionId(17);

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn map(text: &str) -> MapName {
    MapName::new(text).unwrap()
}

fn stamp(after_ms: u64, run: RunId, number: u64) -> Stamp {
    Stamp {
        hlc: Hlc::new(NOW_MS + after_ms, 0),
        op: OpId { run, number },
    }
}

fn op(number: u64, name: &str, text: &str, action: Action) -> Op {
    Op {
        id: OpId { run: RUN, number },
        hlc: Hlc::new(NOW_MS + number, 0),
        map: map(name),
        key: key(text),
        action,
        base: Hlc::ZERO,
        if_version: None,
        schema: 0,
        ack: None,
    }
}

fn put(value: &'static [u8]) -> Action {
    Action::Put {
        value: Bytes::from_static(value),
        ttl_ms: None,
    }
}

/// Ops with every field in every form.
pub(crate) fn ops() -> Vec<Op> {
    let mut edit = op(9, "notes-2", "list1/item7", put(b"\x19\x01\xf4"));
    edit.base = Hlc::new(NOW_MS - 5, 2);
    edit.if_version = Some(stamp(0, OTHER_RUN, 12));
    edit.schema = 300;
    let mut temporary = op(10, "todos", "ключ", put(b"\xf6"));
    temporary.hlc = Hlc::new(NOW_MS - 1, 65_535);
    temporary.action = Action::Put {
        value: Bytes::from_static(b"\xf6"),
        ttl_ms: Some(60_000),
    };
    vec![
        op(7, "todos", "t1", put(b"\xa1\x64done\xf4")),
        op(8, "todos", "t2", Action::Remove),
        edit,
        temporary,
    ]
}

/// Records with every field in every form.
pub(crate) fn records() -> Vec<Record> {
    let record = |text: &str, value: Option<&'static [u8]>, stamp, sequence| Record {
        key: key(text),
        value: value.map(Bytes::from_static),
        stamp,
        sequence: Sequence(sequence),
        expires_at_ms: None,
    };
    let mut expiring = record("t3", Some(b"\x01"), stamp(3, OTHER_RUN, 2), 1_000_300);
    expiring.expires_at_ms = Some(NOW_MS + 60_000);
    vec![
        record("t1", Some(b"\xa1\x64done\xf5"), stamp(1, RUN, 7), 1_000_001),
        record("t2", None, stamp(2, RUN, 8), 1_000_002),
        expiring,
    ]
}

fn handshake() -> Vec<(&'static str, Message)> {
    let hello = Hello {
        min_version: 1,
        max_version: 1,
        codecs: vec!["cbor".to_owned()],
        namespace: Namespace::default(),
        token: Some("secret".to_owned()),
        run: RUN,
        now_ms: NOW_MS,
    };
    let mut anonymous = hello.clone();
    anonymous.token = None;
    anonymous.codecs.push("msgpack".to_owned());
    let welcome = Welcome {
        version: 1,
        codec: "cbor".to_owned(),
        now_ms: NOW_MS,
        history: HISTORY,
        partition_count: 271,
        digest_key: u64::MAX,
        max_value_bytes: 262_144,
        push_window: 4096,
        heartbeat_ms: 15_000,
    };
    let refused = Refused {
        code: 1,
        message: "update the client".to_owned(),
        retryable: false,
    };
    let token = "another".to_owned();
    vec![
        ("hello", Message::Hello(hello)),
        ("hello-anonymous", Message::Hello(anonymous)),
        ("welcome", Message::Welcome(welcome)),
        ("refused", Message::Refused(refused)),
        ("renew", Message::Renew { token }),
    ]
}

fn pushing() -> Vec<(&'static str, Message)> {
    let push = Push {
        run: RUN,
        resume: false,
        previous: 6,
        ops: ops(),
    };
    let resumed = Push {
        run: RUN,
        resume: true,
        previous: 0,
        ops: Vec::new(),
    };
    let rejected = Verdict::Rejected {
        reason: RejectReason::Gone,
        message: "deleted long ago".to_owned(),
    };
    let verdicts = [
        Verdict::Accepted,
        Verdict::Restamped(Hlc::new(NOW_MS, 1)),
        Verdict::Superseded(stamp(9, OTHER_RUN, 1)),
        rejected,
    ];
    let exceptions = (20..).zip(verdicts);
    let exceptions = exceptions.map(|(number, verdict)| Exception { number, verdict });
    let ack = Ack {
        run: RUN,
        partition: PARTITION,
        sequence: Sequence(1_000_002),
        accepted: [(7, 2), (10, 9)]
            .map(|(first, count)| NumberRange { first, count })
            .to_vec(),
        exceptions: exceptions.collect(),
        window: None,
    };
    let deferred = Deferred {
        run: RUN,
        from: 9,
        message: "the disk is slow".to_owned(),
        retry_after_ms: 250,
    };
    let stored = |run, partition, through| Stored {
        run,
        partition: PartitionId(partition),
        through,
    };
    let stored = vec![stored(RUN, 17, 18), stored(OTHER_RUN, 300, 70_000)];
    vec![
        ("push", Message::Push(push)),
        ("push-resumed", Message::Push(resumed)),
        ("ack", Message::Ack(ack.clone())),
        (
            "ack-window",
            Message::Ack(Ack {
                window: Some(300),
                ..ack
            }),
        ),
        ("deferred", Message::Deferred(deferred)),
        ("stored", Message::Stored(stored)),
        ("release", Message::Release(RUN)),
    ]
}

fn views() -> Vec<(&'static str, Message)> {
    let cursor = vec![
        (PARTITION, Sequence(1_000_000)),
        (PartitionId(18), Sequence(4)),
    ];
    let subscribe = Subscribe {
        request: 1,
        map: map("todos"),
        selector: Selector::All,
        history: HISTORY,
        cursor: cursor.clone(),
    };
    let mut prefixed = subscribe.clone();
    prefixed.selector = Selector::Prefix("list1/".to_owned());
    prefixed.cursor.clear();
    let subscribed = Subscribed {
        request: 1,
        view: VIEW,
        definition: MapDefinition {
            spread: 8,
            schema: 2,
        },
    };
    let refused = SubscribeRefused {
        request: 2,
        reason: RejectReason::Unknown(200),
        message: "not for you".to_owned(),
    };
    let caught_up = CaughtUp {
        view: VIEW,
        history: HISTORY,
        cursor,
        root: ROOT,
        reset: true,
    };
    let mut unchanged = caught_up.clone();
    unchanged.cursor.clear();
    unchanged.reset = false;
    vec![
        ("subscribe", Message::Subscribe(subscribe)),
        ("subscribe-prefix", Message::Subscribe(prefixed)),
        ("subscribed", Message::Subscribed(subscribed)),
        ("subscribe-refused", Message::SubscribeRefused(refused)),
        ("unsubscribe", Message::Unsubscribe(VIEW)),
        ("caught-up", Message::CaughtUp(caught_up)),
        ("caught-up-unchanged", Message::CaughtUp(unchanged)),
    ]
}

fn deltas() -> Vec<(&'static str, Message)> {
    let delta = |mode, continued, root, records| {
        Message::Delta(Delta {
            view: VIEW,
            partition: PARTITION,
            mode,
            continued,
            from: Sequence(1_000_000),
            to: Sequence(1_000_300),
            records,
            root,
        })
    };
    let fetched = records().into_iter().rev().collect();
    vec![
        (
            "delta",
            delta(DeltaMode::Changes, false, Some(ROOT), records()),
        ),
        (
            "delta-snapshot",
            delta(DeltaMode::Snapshot, true, None, records()),
        ),
        (
            "delta-repair",
            delta(DeltaMode::Repair, false, None, fetched),
        ),
    ]
}

fn repairs() -> Vec<(&'static str, Message)> {
    let repair = |step| {
        Message::Repair(Repair {
            view: VIEW,
            partition: PARTITION,
            step,
        })
    };
    let nodes = RepairStep::Nodes {
        bits: 12,
        level: 1,
        parents: vec![0, 3, 15],
    };
    let leaves = RepairStep::Leaves {
        bits: 12,
        leaves: vec![4095, 7],
    };
    let keys = vec![1, u64::MAX];
    let sums = RepairNodes {
        view: VIEW,
        partition: PARTITION,
        bits: 12,
        level: 1,
        parents: vec![3],
        sums: (0..16).map(|n| n << 56 | n).collect(),
    };
    let entries = RepairLeaves {
        view: VIEW,
        partition: PARTITION,
        bits: 12,
        leaves: vec![7, 4095],
        entries: vec![(1, 2), (u64::MAX, 3)],
    };
    vec![
        ("repair-nodes", repair(nodes)),
        ("repair-leaves", repair(leaves)),
        ("repair-fetch", repair(RepairStep::Fetch { keys })),
        ("repair-snapshot", repair(RepairStep::Snapshot)),
        ("nodes", Message::RepairNodes(sums)),
        ("leaves", Message::RepairLeaves(entries)),
    ]
}

fn reads() -> Vec<(&'static str, Message)> {
    let read = |target| {
        Message::Read(Read {
            request: 70_000,
            map: map("todos"),
            target,
        })
    };
    let page = ReadTarget::Page {
        selector: Selector::Prefix("t".to_owned()),
        after: Some(key("t1")),
        limit: 100,
    };
    let first_page = ReadTarget::Page {
        selector: Selector::All,
        after: None,
        limit: 1,
    };
    let result = ReadResult {
        request: 70_000,
        records: records(),
        more: true,
    };
    let goodbye = Goodbye {
        code: 4,
        message: "shutting down".to_owned(),
    };
    vec![
        ("read-key", read(ReadTarget::Key(key("t1")))),
        ("read-page", read(page)),
        ("read-first-page", read(first_page)),
        ("read-result", Message::ReadResult(result)),
        ("ping", Message::Ping(23)),
        ("pong", Message::Pong(24)),
        ("goodbye", Message::Goodbye(goodbye)),
    ]
}

/// The messages, by the names of their vectors.
pub(crate) fn messages() -> Vec<(&'static str, Message)> {
    [
        handshake(),
        pushing(),
        views(),
        deltas(),
        repairs(),
        reads(),
    ]
    .concat()
}
