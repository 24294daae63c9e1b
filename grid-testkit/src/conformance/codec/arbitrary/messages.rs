//! One strategy for each kind of message.

use grid_core::protocol::*;
use grid_core::{History, Namespace};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;

fn hello() -> BoxedStrategy<Message> {
    let versions = (0..=u16::MAX, 1..=u16::MAX).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let namespace = any_name().prop_filter_map("a name", |name| Namespace::new(name).ok());
    let codecs = vec(any_text(), 0..=16);
    let fields = (
        versions,
        codecs,
        namespace,
        of(any_text()),
        any_run(),
        any_number(),
    );
    fields
        .prop_map(|(versions, codecs, namespace, token, run, now_ms)| {
            Message::Hello(Hello {
                min_version: versions.0,
                max_version: versions.1,
                codecs,
                namespace,
                token,
                run,
                now_ms,
            })
        })
        .boxed()
}

fn welcome() -> BoxedStrategy<Message> {
    let fields = (
        (
            any::<u16>(),
            any_text(),
            any_number(),
            any_number(),
            any::<u16>(),
        ),
        (any_number(), any_small(), any_small(), any_small()),
    );
    fields
        .prop_map(|(first, last)| {
            Message::Welcome(Welcome {
                version: first.0,
                codec: first.1,
                now_ms: first.2,
                history: History(first.3),
                partition_count: first.4,
                digest_key: last.0,
                max_value_bytes: last.1,
                push_window: last.2,
                heartbeat_ms: last.3,
            })
        })
        .boxed()
}

fn refused() -> BoxedStrategy<Message> {
    (any::<u8>(), any_text(), any::<bool>())
        .prop_map(|(code, message, retryable)| {
            Message::Refused(Refused {
                code,
                message,
                retryable,
            })
        })
        .boxed()
}

fn push() -> BoxedStrategy<Message> {
    (any_ops(), any::<bool>(), any_number())
        .prop_map(|((run, ops), resume, previous)| {
            Message::Push(Push {
                run,
                resume,
                previous,
                ops,
            })
        })
        .boxed()
}

fn ack() -> BoxedStrategy<Message> {
    let range = (any_number(), any_number()).prop_map(|(first, count)| {
        let first = first.min(u64::MAX - 1);
        let count = count.clamp(1, u64::MAX - first);
        NumberRange { first, count }
    });
    let exception =
        (any_number(), any_verdict()).prop_map(|(number, verdict)| Exception { number, verdict });
    let lists = (vec(range, 0..10), vec(exception, 0..10));
    let window = proptest::option::of(any_small());
    (any_run(), any_partition(), any_sequence(), lists, window)
        .prop_map(
            |(run, partition, sequence, (accepted, exceptions), window)| {
                Message::Ack(Ack {
                    run,
                    partition,
                    sequence,
                    accepted,
                    exceptions,
                    window,
                })
            },
        )
        .boxed()
}

fn deferred() -> BoxedStrategy<Message> {
    (any_run(), any_number(), any_text(), any_small())
        .prop_map(|(run, from, message, retry_after_ms)| {
            Message::Deferred(Deferred {
                run,
                from,
                message,
                retry_after_ms,
            })
        })
        .boxed()
}

fn stored() -> BoxedStrategy<Message> {
    let one =
        (any_run(), any_partition(), any_number()).prop_map(|(run, partition, through)| Stored {
            run,
            partition,
            through,
        });
    vec(one, 0..10).prop_map(Message::Stored).boxed()
}

fn subscribe() -> BoxedStrategy<Message> {
    let fields = (
        any_small(),
        any_map(),
        any_selector(),
        any_number(),
        any_cursor(),
    );
    fields
        .prop_map(|(request, map, selector, history, cursor)| {
            Message::Subscribe(Subscribe {
                request,
                map,
                selector,
                history: History(history),
                cursor,
            })
        })
        .boxed()
}

fn subscribed() -> BoxedStrategy<Message> {
    (any_small(), any_view(), any::<u16>(), any_small())
        .prop_map(|(request, view, spread, schema)| {
            let definition = MapDefinition { spread, schema };
            Message::Subscribed(Subscribed {
                request,
                view,
                definition,
            })
        })
        .boxed()
}

fn subscribe_refused() -> BoxedStrategy<Message> {
    (any_small(), any_reason(), any_text())
        .prop_map(|(request, reason, message)| {
            Message::SubscribeRefused(SubscribeRefused {
                request,
                reason,
                message,
            })
        })
        .boxed()
}

fn delta() -> BoxedStrategy<Message> {
    let modes = prop_oneof![
        Just(DeltaMode::Changes),
        Just(DeltaMode::Snapshot),
        Just(DeltaMode::Repair),
    ];
    let records = (vec(any_record(), 0..10), of(any::<u128>()));
    let span = (any_sequence(), any_sequence());
    (
        any_view(),
        any_partition(),
        modes,
        any::<bool>(),
        span,
        records,
    )
        .prop_map(
            |(view, partition, mode, continued, span, (records, root))| {
                Message::Delta(Delta {
                    view,
                    partition,
                    mode,
                    continued,
                    from: span.0,
                    to: span.1,
                    records,
                    root,
                })
            },
        )
        .boxed()
}

fn caught_up() -> BoxedStrategy<Message> {
    let fields = (
        any_view(),
        any_number(),
        any_cursor(),
        any::<u128>(),
        any::<bool>(),
    );
    fields
        .prop_map(|(view, history, cursor, root, reset)| {
            Message::CaughtUp(CaughtUp {
                view,
                history: History(history),
                cursor,
                root,
                reset,
            })
        })
        .boxed()
}

fn any_indexes() -> impl Strategy<Value = Vec<u32>> + Clone {
    vec(any_small(), 0..20)
}

fn repair() -> BoxedStrategy<Message> {
    let nodes = (any::<u8>(), any::<u8>(), any_indexes());
    let step = prop_oneof![
        nodes.prop_map(|(bits, level, parents)| RepairStep::Nodes {
            bits,
            level,
            parents
        }),
        (any::<u8>(), any_indexes()).prop_map(|(bits, leaves)| RepairStep::Leaves { bits, leaves }),
        vec(any_number(), 0..20).prop_map(|keys| RepairStep::Fetch { keys }),
        Just(RepairStep::Snapshot),
    ];
    (any_view(), any_partition(), step)
        .prop_map(|(view, partition, step)| {
            Message::Repair(Repair {
                view,
                partition,
                step,
            })
        })
        .boxed()
}

fn repair_nodes() -> BoxedStrategy<Message> {
    let bits = (any::<u8>(), any::<u8>());
    let sums = vec(any_number(), 0..40);
    (any_view(), any_partition(), bits, any_indexes(), sums)
        .prop_map(|(view, partition, (bits, level), parents, sums)| {
            Message::RepairNodes(RepairNodes {
                view,
                partition,
                bits,
                level,
                parents,
                sums,
            })
        })
        .boxed()
}

fn repair_leaves() -> BoxedStrategy<Message> {
    let entries = vec((any_number(), any_number()), 0..20);
    (
        any_view(),
        any_partition(),
        any::<u8>(),
        any_indexes(),
        entries,
    )
        .prop_map(|(view, partition, bits, leaves, entries)| {
            Message::RepairLeaves(RepairLeaves {
                view,
                partition,
                bits,
                leaves,
                entries,
            })
        })
        .boxed()
}

fn read() -> BoxedStrategy<Message> {
    let page = (any_selector(), of(any_key()), any_small());
    let target = prop_oneof![
        any_key().prop_map(ReadTarget::Key),
        page.prop_map(|(selector, after, limit)| ReadTarget::Page {
            selector,
            after,
            limit
        }),
    ];
    (any_small(), any_map(), target)
        .prop_map(|(request, map, target)| {
            Message::Read(Read {
                request,
                map,
                target,
            })
        })
        .boxed()
}

fn read_result() -> BoxedStrategy<Message> {
    (any_small(), vec(any_record(), 0..10), any::<bool>())
        .prop_map(|(request, records, more)| {
            Message::ReadResult(ReadResult {
                request,
                records,
                more,
            })
        })
        .boxed()
}

fn goodbye() -> BoxedStrategy<Message> {
    (any::<u8>(), any_text())
        .prop_map(|(code, message)| Message::Goodbye(Goodbye { code, message }))
        .boxed()
}

/// One strategy for each kind of message.
#[must_use]
pub fn kinds() -> Vec<BoxedStrategy<Message>> {
    vec![
        hello(),
        welcome(),
        refused(),
        any_text()
            .prop_map(|token| Message::Renew { token })
            .boxed(),
        push(),
        ack(),
        deferred(),
        stored(),
        any_run().prop_map(Message::Release).boxed(),
        subscribe(),
        subscribed(),
        subscribe_refused(),
        any_view().prop_map(Message::Unsubscribe).boxed(),
        delta(),
        caught_up(),
        repair(),
        repair_nodes(),
        repair_leaves(),
        read(),
        read_result(),
        any_number().prop_map(Message::Ping).boxed(),
        any_number().prop_map(Message::Pong).boxed(),
        goodbye(),
    ]
}

/// A message of any kind.
pub fn any_message() -> BoxedStrategy<Message> {
    proptest::strategy::Union::new(kinds()).boxed()
}
