//! What peers say to each other, chosen by a script: well-formed messages with numbers from small
//! ranges, so that they meet what is there.

use grid_core::op::{Action, Op, OpId, RunId, Stamp};
use grid_core::protocol::*;
use grid_core::{History, Hlc, Key, MapName, PartitionId, Record, Sequence};

use crate::script::Script;

/// The time at which every conversation begins, in milliseconds since 1970.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

pub(crate) fn key(script: &mut Script<'_>) -> Key {
    let names = ["a", "b", "c", "a/1", "a/2", "d/1"];
    let name = names[usize::from(script.below(6))];
    Key::new(name).expect("a good key")
}

pub(crate) fn map(script: &mut Script<'_>) -> MapName {
    let name = if script.rarely(8) { "n" } else { "m" };
    MapName::new(name).expect("a good name")
}

pub(crate) fn partition(script: &mut Script<'_>) -> PartitionId {
    PartitionId(match script.below(16) {
        15 => script.short(),
        near => u16::from(near) % 4,
    })
}

fn sequence(script: &mut Script<'_>) -> Sequence {
    Sequence(script.number())
}

fn run(script: &mut Script<'_>) -> RunId {
    RunId(match script.below(8) {
        7 => script.number(),
        near => 1 + u64::from(near) % 3,
    })
}

/// A time near the beginning, or any.
pub(crate) fn hlc(script: &mut Script<'_>) -> Hlc {
    match script.below(16) {
        15 => Hlc::from_u64(script.number()),
        14 => Hlc::new(NOW_MS + 10_000_000, 0),
        13 => Hlc::new(NOW_MS - 10_000_000, u16::MAX),
        near => Hlc::new(NOW_MS + u64::from(near) - 4, script.below(3).into()),
    }
}

pub(crate) fn stamp(script: &mut Script<'_>) -> Stamp {
    if script.rarely(4) {
        return Stamp::ZERO;
    }
    Stamp {
        hlc: hlc(script),
        op: OpId {
            run: run(script),
            number: script.number(),
        },
    }
}

/// Well-formed CBOR, mostly.
pub(crate) fn value(script: &mut Script<'_>) -> Vec<u8> {
    match script.below(8) {
        0 => script.bytes(300),
        1 => vec![0xf6],
        small => vec![small],
    }
}

pub(crate) fn action(script: &mut Script<'_>) -> Action {
    if script.rarely(3) {
        return Action::Remove;
    }
    Action::Put {
        value: value(script).into(),
        ttl_ms: script.rarely(4).then(|| script.number()),
    }
}

/// An op of `run` under `number`.
pub(crate) fn op(script: &mut Script<'_>, run: RunId, number: u64) -> Op {
    Op {
        id: OpId { run, number },
        hlc: hlc(script),
        map: map(script),
        key: key(script),
        action: action(script),
        base: if script.rarely(3) {
            hlc(script)
        } else {
            Hlc::ZERO
        },
        if_version: script.rarely(4).then(|| stamp(script)),
        schema: u32::from(script.rarely(8)),
        ack: None,
    }
}

pub(crate) fn selector(script: &mut Script<'_>) -> Selector {
    match script.below(4) {
        0 => Selector::Prefix("a/".to_owned()),
        1 => Selector::Prefix(String::new()),
        _ => Selector::All,
    }
}

fn history(script: &mut Script<'_>) -> History {
    History(if script.rarely(4) { script.number() } else { 1 })
}

fn cursor(script: &mut Script<'_>) -> Vec<(PartitionId, Sequence)> {
    script.list(4, |script| (partition(script), sequence(script)))
}

fn view(script: &mut Script<'_>) -> ViewId {
    ViewId(match script.below(8) {
        7 => script.number(),
        near => 1 + u64::from(near) % 2,
    })
}

fn indexes(script: &mut Script<'_>) -> Vec<u32> {
    let list = script.list(4, |script| u32::from(script.short()) % 300);
    if list.is_empty() { vec![0] } else { list }
}

fn bits(script: &mut Script<'_>) -> u8 {
    [0, 8, 9, 0, 18, 255][usize::from(script.below(6))]
}

fn verdict(script: &mut Script<'_>) -> Verdict {
    match script.below(4) {
        0 => Verdict::Accepted,
        1 => Verdict::Restamped(hlc(script)),
        2 => Verdict::Superseded(stamp(script)),
        _ => Verdict::Rejected {
            reason: RejectReason::from_code(script.below(8)),
            message: "no".to_owned(),
        },
    }
}

fn record(script: &mut Script<'_>) -> Record {
    Record {
        key: key(script),
        value: (!script.rarely(4)).then(|| value(script).into()),
        stamp: stamp(script),
        sequence: sequence(script),
        expires_at_ms: script.rarely(4).then(|| script.number()),
    }
}

/// What a client may say after its hello.
pub(crate) fn of_client(script: &mut Script<'_>) -> Message {
    match script.below(16) {
        0..=4 => push(script),
        5 | 6 => Message::Subscribe(Subscribe {
            request: script.below(4).into(),
            map: map(script),
            selector: selector(script),
            history: history(script),
            cursor: cursor(script),
        }),
        7 => Message::Unsubscribe(view(script)),
        8..=10 => Message::Repair(Repair {
            view: view(script),
            partition: partition(script),
            step: repair_step(script),
        }),
        11 => Message::Stored(script.list(3, |script| Stored {
            run: run(script),
            partition: partition(script),
            through: script.number(),
        })),
        12 => Message::Release(run(script)),
        13 => Message::Read(Read {
            request: script.below(4).into(),
            map: map(script),
            target: read_target(script),
        }),
        14 => Message::Renew {
            token: "another".to_owned(),
        },
        _ => of_server(script),
    }
}

fn push(script: &mut Script<'_>) -> Message {
    let run = run(script);
    let mut number = script.number();
    let previous = if script.rarely(4) {
        script.number()
    } else {
        number
    };
    let ops = script.list(5, |script| {
        number = number.saturating_add(1 + u64::from(script.rarely(8)));
        op(script, run, number)
    });
    Message::Push(Push {
        run,
        resume: script.rarely(8),
        previous,
        ops,
    })
}

fn repair_step(script: &mut Script<'_>) -> RepairStep {
    match script.below(4) {
        0 => RepairStep::Nodes {
            bits: bits(script),
            level: script.below(4),
            parents: indexes(script),
        },
        1 => RepairStep::Leaves {
            bits: bits(script),
            leaves: indexes(script),
        },
        2 => RepairStep::Fetch {
            keys: script.list(4, Script::number),
        },
        _ => RepairStep::Snapshot,
    }
}

fn read_target(script: &mut Script<'_>) -> ReadTarget {
    if script.flag() {
        return ReadTarget::Key(key(script));
    }
    ReadTarget::Page {
        selector: selector(script),
        after: script.flag().then(|| key(script)),
        limit: u32::from(script.below(4)),
    }
}

/// A welcome, as a server says it that means no harm, mostly.
pub(crate) fn welcome(script: &mut Script<'_>) -> Message {
    Message::Welcome(Welcome {
        version: 1 + u16::from(script.rarely(16)),
        codec: "cbor".to_owned(),
        now_ms: if script.rarely(8) {
            script.number()
        } else {
            NOW_MS
        },
        history: history(script),
        partition_count: [4, 1, 271, 0][usize::from(script.below(16) / 5)],
        digest_key: u64::from(script.rarely(8)),
        max_value_bytes: if script.rarely(8) { 2 } else { 1 << 18 },
        push_window: [100, 1, 0, u32::MAX][usize::from(script.below(4))],
        heartbeat_ms: [1000, 0, u32::MAX][usize::from(script.below(3))],
    })
}

/// What a server may say after its welcome.
pub(crate) fn of_server(script: &mut Script<'_>) -> Message {
    match script.below(16) {
        0..=3 => delta(script),
        4..=6 => ack(script),
        7 | 8 => Message::Subscribed(Subscribed {
            request: 1 + u32::from(script.below(3)),
            view: view(script),
            definition: MapDefinition {
                spread: [2, 1, 0, u16::MAX][usize::from(script.below(4))],
                schema: 0,
            },
        }),
        9 => Message::CaughtUp(CaughtUp {
            view: view(script),
            history: history(script),
            cursor: cursor(script),
            root: script.number().into(),
            reset: script.rarely(3),
        }),
        10 => Message::RepairNodes(RepairNodes {
            view: view(script),
            partition: partition(script),
            bits: bits(script),
            level: script.below(3),
            parents: indexes(script),
            sums: (0..16).map(|_| u64::from(script.rarely(3))).collect(),
        }),
        11 => Message::RepairLeaves(RepairLeaves {
            view: view(script),
            partition: partition(script),
            bits: bits(script),
            leaves: indexes(script),
            entries: script.list(4, |script| (script.number(), script.number())),
        }),
        12 => Message::Deferred(Deferred {
            run: run(script),
            from: script.number(),
            message: String::new(),
            retry_after_ms: script.below(4).into(),
        }),
        13 => Message::SubscribeRefused(SubscribeRefused {
            request: 1 + u32::from(script.below(3)),
            reason: RejectReason::from_code(script.below(8)),
            message: String::new(),
        }),
        14 => Message::Ping(0),
        _ => farewell(script),
    }
}

fn farewell(script: &mut Script<'_>) -> Message {
    match script.below(4) {
        0 => welcome(script),
        1 => Message::Goodbye(Goodbye {
            code: script.below(8),
            message: String::new(),
        }),
        _ => Message::Pong(0),
    }
}

fn delta(script: &mut Script<'_>) -> Message {
    Message::Delta(Delta {
        view: view(script),
        partition: partition(script),
        mode: [DeltaMode::Changes, DeltaMode::Snapshot, DeltaMode::Repair]
            [usize::from(script.below(3))],
        continued: script.rarely(4),
        from: sequence(script),
        to: sequence(script),
        records: script.list(5, record),
        root: (!script.rarely(3)).then(|| script.number().into()),
    })
}

fn ack(script: &mut Script<'_>) -> Message {
    Message::Ack(Ack {
        run: run(script),
        partition: partition(script),
        sequence: sequence(script),
        accepted: script.list(3, |script| NumberRange {
            first: script.number(),
            count: 1 + script.number() % 5,
        }),
        exceptions: script.list(3, |script| Exception {
            number: script.number(),
            verdict: verdict(script),
        }),
        window: None,
    })
}
