//! The format a second time, written as generic CBOR values and encoded by ciborium, which shares
//! no code with the codec under test.

use ciborium::Value;
use grid_core::op::{Action, Op, Stamp};
use grid_core::protocol::*;
use grid_core::{PartitionId, Record, Sequence};

/// How tuples (arrays whose fields have meanings of their own) are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    /// As they are.
    Known,
    /// With fields after them, as a later version would write them.
    More,
}

fn number(number: impl Into<u64>) -> Value {
    Value::from(number.into())
}

/// The distance between two numbers modulo 2^64, as a number that may be below 0.
fn distance(from: u64, to: u64) -> Value {
    Value::from(to.wrapping_sub(from).cast_signed())
}

fn option<T>(option: Option<T>, some: impl FnOnce(T) -> Value) -> Value {
    option.map_or(Value::Null, some)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn list<T>(items: impl IntoIterator<Item = T>, item: impl FnMut(T) -> Value) -> Value {
    Value::Array(items.into_iter().map(item).collect())
}

fn indexes(indexes: &[u32]) -> Value {
    let mut before = 0;
    list(indexes, |index| {
        let step = i64::from(*index) - before;
        before = i64::from(*index);
        Value::from(step)
    })
}

fn packed(numbers: impl IntoIterator<Item = u64>) -> Value {
    Value::Bytes(numbers.into_iter().flat_map(u64::to_be_bytes).collect())
}

fn root(root: u128) -> Value {
    Value::Bytes(root.to_be_bytes().to_vec())
}

fn cursor(cursor: &[(PartitionId, Sequence)]) -> Value {
    let flat = cursor
        .iter()
        .flat_map(|(partition, sequence)| [partition.0.into(), sequence.0]);
    list(flat, number)
}

impl Fields {
    fn tuple(self, fields: impl IntoIterator<Item = Value>) -> Value {
        let mut fields: Vec<Value> = fields.into_iter().collect();
        if self == Self::More {
            let nested = Value::Array(vec![
                Value::Null,
                Value::Map(vec![(number(1_u8), text("x"))]),
            ]);
            fields.extend([
                Value::Tag(7, Box::new(nested)),
                Value::Float(1.5),
                text("later"),
            ]);
        }
        Value::Array(fields)
    }

    fn stamp(self, stamp: &Stamp) -> Value {
        self.tuple([
            number(stamp.hlc.as_u64()),
            number(stamp.op.run.0),
            number(stamp.op.number),
        ])
    }

    fn verdict(self, verdict: &Verdict) -> Value {
        self.tuple(match verdict {
            Verdict::Accepted => vec![number(0_u8)],
            Verdict::Restamped(hlc) => vec![number(1_u8), number(hlc.as_u64())],
            Verdict::Superseded(by) => vec![number(2_u8), self.stamp(by)],
            Verdict::Rejected { reason, message } => {
                vec![number(3_u8), number(reason.code()), text(message)]
            }
        })
    }

    fn selector(self, selector: &Selector) -> Value {
        self.tuple(match selector {
            Selector::All => vec![number(0_u8)],
            Selector::Prefix(prefix) => vec![number(1_u8), text(prefix)],
        })
    }

    /// The records, whose first is relative to `from`.
    fn records(self, from: Sequence, records: &[Record]) -> Value {
        let (mut stamp, mut sequence) = (Stamp::ZERO, from);
        list(records, |record| {
            let (last, run) = (stamp, record.stamp.op.run);
            let fields = self.tuple([
                text(record.key.as_str()),
                option(record.value.as_ref(), |value| Value::Bytes(value.to_vec())),
                distance(last.hlc.as_u64(), record.stamp.hlc.as_u64()),
                option((run != last.op.run).then_some(run.0), number),
                distance(last.op.number, record.stamp.op.number),
                distance(sequence.0, record.sequence.0),
                option(record.expires_at_ms, number),
            ]);
            (stamp, sequence) = (record.stamp, record.sequence);
            fields
        })
    }

    fn op(self, op: &Op, before: Option<&Op>, map: usize) -> Value {
        let (value, ttl_ms) = match &op.action {
            Action::Put { value, ttl_ms } => (Value::Bytes(value.to_vec()), *ttl_ms),
            Action::Remove => (Value::Null, None),
        };
        // Who writes later fields writes this one too.
        let writes_level = op.ack.is_some() || self == Self::More;
        let level = option(op.ack, |level| number(level as u8));
        let fields = [
            number(op.id.number - before.map_or(0, |op| op.id.number)),
            distance(before.map_or(0, |op| op.hlc.as_u64()), op.hlc.as_u64()),
            number(map as u64),
            text(op.key.as_str()),
            value,
            number(op.base.as_u64()),
            number(op.schema),
            option(ttl_ms, number),
            option(op.if_version.as_ref(), |stamp| self.stamp(stamp)),
        ];
        self.tuple(fields.into_iter().chain(writes_level.then_some(level)))
    }

    /// The names of the maps, each once in the order of its first op, and the ops.
    pub(crate) fn ops(self, ops: &[Op]) -> [Value; 2] {
        let mut maps: Vec<&str> = Vec::new();
        let mut before = None;
        let ops = list(ops, |op| {
            let name = op.map.as_str();
            let map = maps
                .iter()
                .position(|known| *known == name)
                .unwrap_or_else(|| {
                    maps.push(name);
                    maps.len() - 1
                });
            self.op(op, before.replace(op), map)
        });
        [list(maps, text), ops]
    }

    /// The row of a record, after its version.
    pub(crate) fn record(self, record: &Record) -> Value {
        match self.records(Sequence::ZERO, std::slice::from_ref(record)) {
            Value::Array(mut records) => records.remove(0),
            other => other,
        }
    }

    fn repair_step(self, step: &RepairStep) -> Value {
        self.tuple(match step {
            RepairStep::Nodes {
                bits,
                level,
                parents,
            } => vec![
                number(0_u8),
                number(*bits),
                number(*level),
                indexes(parents),
            ],
            RepairStep::Leaves { bits, leaves } => {
                vec![number(1_u8), number(*bits), indexes(leaves)]
            }
            RepairStep::Fetch { keys } => vec![number(2_u8), packed(keys.iter().copied())],
            RepairStep::Snapshot => vec![number(3_u8)],
        })
    }

    fn read_target(self, target: &ReadTarget) -> Value {
        self.tuple(match target {
            ReadTarget::Key(key) => vec![number(0_u8), text(key.as_str())],
            ReadTarget::Page {
                selector,
                after,
                limit,
            } => vec![
                number(1_u8),
                self.selector(selector),
                option(after.as_ref(), |key| text(key.as_str())),
                number(*limit),
            ],
        })
    }

    /// The message, without the first byte of its frame or what stands before a hello.
    pub(crate) fn message(self, message: &Message) -> Value {
        let (kind, fields) = self
            .connection(message)
            .or_else(|| self.view(message))
            .unwrap();
        self.tuple([number(kind)].into_iter().chain(fields))
    }

    fn connection(self, message: &Message) -> Option<(u8, Vec<Value>)> {
        Some(match message {
            Message::Hello(m) => (0, self.hello(m)),
            Message::Welcome(m) => (1, welcome(m)),
            Message::Refused(m) => {
                let retryable = Value::Bool(m.retryable);
                (2, vec![number(m.code), text(&m.message), retryable])
            }
            Message::Renew { token } => (3, vec![text(token)]),
            Message::Push(m) => {
                let resume = Value::Bool(m.resume);
                let [maps, ops] = self.ops(&m.ops);
                (
                    4,
                    vec![number(m.run.0), resume, number(m.previous), maps, ops],
                )
            }
            Message::Ack(m) => (5, self.ack(m)),
            Message::Deferred(m) => {
                let wait = number(m.retry_after_ms);
                (
                    6,
                    vec![number(m.run.0), number(m.from), text(&m.message), wait],
                )
            }
            Message::Stored(m) => {
                let one = |m: &Stored| {
                    self.tuple([number(m.run.0), number(m.partition.0), number(m.through)])
                };
                (7, vec![list(m, one)])
            }
            Message::Release(run) => (8, vec![number(run.0)]),
            Message::Ping(sent) => (20, vec![number(*sent)]),
            Message::Pong(sent) => (21, vec![number(*sent)]),
            Message::Goodbye(m) => (22, vec![number(m.code), text(&m.message)]),
            _ => return None,
        })
    }

    fn hello(self, m: &Hello) -> Vec<Value> {
        vec![
            number(m.min_version),
            number(m.max_version),
            list(&m.codecs, |codec| text(codec)),
            text(m.namespace.as_str()),
            option(m.token.as_deref(), text),
            number(m.run.0),
            number(m.now_ms),
        ]
    }

    fn ack(self, m: &Ack) -> Vec<Value> {
        let ranges = m
            .accepted
            .iter()
            .flat_map(|range| [range.first, range.count]);
        let exception =
            |one: &Exception| self.tuple([number(one.number), self.verdict(&one.verdict)]);
        let mut fields = vec![
            number(m.run.0),
            number(m.partition.0),
            number(m.sequence.0),
            list(ranges, number),
            list(&m.exceptions, exception),
        ];
        // Who writes later fields writes this one too.
        if m.window.is_some() || self == Self::More {
            fields.push(option(m.window, number));
        }
        fields
    }

    fn view(self, message: &Message) -> Option<(u8, Vec<Value>)> {
        Some(match message {
            Message::Subscribe(m) => (
                9,
                vec![
                    number(m.request),
                    text(m.map.as_str()),
                    self.selector(&m.selector),
                    number(m.history.0),
                    cursor(&m.cursor),
                ],
            ),
            Message::Subscribed(m) => {
                let definition =
                    self.tuple([number(m.definition.spread), number(m.definition.schema)]);
                (10, vec![number(m.request), number(m.view.0), definition])
            }
            Message::SubscribeRefused(m) => (
                11,
                vec![number(m.request), number(m.reason.code()), text(&m.message)],
            ),
            Message::Unsubscribe(view) => (12, vec![number(view.0)]),
            Message::Delta(m) => (13, self.delta(m)),
            Message::CaughtUp(m) => {
                let (cursor, reset) = (cursor(&m.cursor), Value::Bool(m.reset));
                let view = number(m.view.0);
                (
                    14,
                    vec![view, number(m.history.0), cursor, root(m.root), reset],
                )
            }
            Message::Repair(m) => {
                let (view, partition) = (number(m.view.0), number(m.partition.0));
                (15, vec![view, partition, self.repair_step(&m.step)])
            }
            Message::RepairNodes(m) => (16, nodes(m)),
            Message::RepairLeaves(m) => (17, leaves(m)),
            Message::Read(m) => {
                let (map, target) = (text(m.map.as_str()), self.read_target(&m.target));
                (18, vec![number(m.request), map, target])
            }
            Message::ReadResult(m) => {
                let records = self.records(Sequence::ZERO, &m.records);
                (19, vec![number(m.request), Value::Bool(m.more), records])
            }
            _ => return None,
        })
    }

    fn delta(self, m: &Delta) -> Vec<Value> {
        let mode = match m.mode {
            DeltaMode::Changes => 0_u8,
            DeltaMode::Snapshot => 1,
            DeltaMode::Repair => 2,
        };
        vec![
            number(m.view.0),
            number(m.partition.0),
            number(mode),
            Value::Bool(m.continued),
            number(m.from.0),
            number(m.to.0),
            option(m.root, root),
            self.records(m.from, &m.records),
        ]
    }
}

fn welcome(m: &Welcome) -> Vec<Value> {
    vec![
        number(m.version),
        text(&m.codec),
        number(m.now_ms),
        number(m.history.0),
        number(m.partition_count),
        number(m.digest_key),
        number(m.max_value_bytes),
        number(m.push_window),
        number(m.heartbeat_ms),
    ]
}

fn nodes(m: &RepairNodes) -> Vec<Value> {
    vec![
        number(m.view.0),
        number(m.partition.0),
        number(m.bits),
        number(m.level),
        indexes(&m.parents),
        packed(m.sums.iter().copied()),
    ]
}

fn leaves(m: &RepairLeaves) -> Vec<Value> {
    vec![
        number(m.view.0),
        number(m.partition.0),
        number(m.bits),
        indexes(&m.leaves),
        packed(m.entries.iter().flat_map(|(key, digest)| [*key, *digest])),
    ]
}
