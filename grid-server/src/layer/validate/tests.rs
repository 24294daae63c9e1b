use std::sync::Arc;

use bytes::Bytes;
use grid_core::op::{Action, Op};
use grid_core::partition::Veto;
use grid_core::protocol::{Message, Push, RejectReason, Selector, Stored, Subscribe};
use grid_core::{ErrorKind, History, MapName, PartitionId, Result, RunId, Sequence};

use super::push::MAX_RUNS;
use super::{Limits, ValidateLayer};
use crate::config::Settings;
use crate::layer::Request;
use crate::layer::testing::{around, call, handed_on};
use crate::sessions::Session;
use crate::support::{self, RUN, now, put};

fn settings() -> Settings {
    Settings {
        partition_count: 7,
        map_spread: 2,
        max_value_bytes: 10,
        push_window: 5,
        max_views: 1,
        ..Settings::default()
    }
}

/// Runs a message through the layer alone; what it handed on comes back.
fn validate(session: &Arc<Session>, message: Message) -> Result<Request> {
    validate_by(&settings(), session, message)
}

fn validate_by(settings: &Settings, session: &Arc<Session>, message: Message) -> Result<Request> {
    validated(settings, Request::new(session.clone(), message))
}

fn validated(settings: &Settings, request: Request) -> Result<Request> {
    let (mut service, mut handle) = around(&ValidateLayer::new(Limits::new(settings)));
    let served = call(&mut service, request);
    let request = handed_on(&mut handle);
    now(served).map(|()| request.unwrap())
}

fn op(number: u64, value: &'static [u8]) -> Op {
    Op {
        action: put(Bytes::from_static(value)),
        ..support::op(number)
    }
}

fn push(previous: u64, ops: Vec<Op>) -> Message {
    Message::Push(Push {
        run: RUN,
        resume: false,
        previous,
        ops,
    })
}

#[test]
fn single_ops_get_vetoes_and_the_push_goes_on() {
    let session = Session::for_tests();
    let request = validate(
        &session,
        push(
            0,
            vec![
                op(1, b"\x01"),
                op(2, b"\x4b12345678901"),
                op(3, b"\x82\x01"),
                op(9, b"\x02"),
            ],
        ),
    )
    .unwrap();
    let vetoes: Vec<_> = request
        .vetoes
        .iter()
        .map(|(at, veto)| (*at, veto.reason))
        .collect();
    assert_eq!(
        vetoes,
        [(1, RejectReason::TooLarge), (2, RejectReason::Malformed)]
    );
}

#[test]
fn the_bytes_of_a_value_bound_its_items() {
    const ITEMS: u32 = 50_000;
    let array = {
        let mut bytes = vec![0x9a];
        bytes.extend(ITEMS.to_be_bytes());
        bytes.resize(bytes.len() + ITEMS as usize, 1);
        Bytes::from(bytes)
    };
    let mut op = op(1, b"\x01");
    op.action = Action::Put {
        value: array,
        ttl_ms: None,
    };
    let settings = Settings {
        max_value_bytes: 256 * 1024,
        ..settings()
    };
    let request = validate_by(&settings, &Session::for_tests(), push(0, vec![op]));
    let vetoes = request.unwrap().vetoes;
    assert!(vetoes.is_empty(), "{vetoes:?}");
}

#[test]
fn a_value_with_one_name_twice_is_malformed() {
    let settings = Settings {
        max_value_bytes: 100,
        ..settings()
    };
    let once = op(1, b"\xa2\x61a\x01\x61b\x01");
    let twice = op(2, b"\x81\xa2\x61a\x01\x61a\x02");
    let request = validate_by(&settings, &Session::for_tests(), push(0, vec![once, twice]));
    let vetoes = request.unwrap().vetoes;
    assert_eq!(vetoes.keys().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(vetoes[&1].reason, RejectReason::Malformed);
    assert!(vetoes[&1].message.contains("one name"), "{vetoes:?}");
}

#[test]
fn what_a_layer_before_refused_stays_refused_for_its_reason() {
    let veto = |message: &str| Veto {
        reason: RejectReason::Forbidden,
        message: message.to_owned(),
    };
    let long = b"\x6b01234567890";
    let ops = vec![op(1, long), op(2, long), op(3, b"\x01")];
    let mut request = Request::new(Session::for_tests(), push(0, ops));
    request.vetoes.insert(0, veto("not here"));
    request.vetoes.insert(2, veto("not now"));
    let vetoes = validated(&settings(), request).unwrap().vetoes;
    assert_eq!(vetoes.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(vetoes[&0].message, "not here");
    assert_eq!(vetoes[&1].reason, RejectReason::TooLarge);
    assert_eq!(vetoes[&2].message, "not now");
}

#[test]
fn pushes_that_break_the_protocol_are_errors() {
    let mut foreign = op(1, b"\x01");
    foreign.id.run = RunId(4);
    let cases = [
        push(0, Vec::new()),
        push(0, vec![op(0, b"\x01")]),
        push(0, vec![op(u64::MAX, b"\x01")]),
        push(0, vec![op(2, b"\x01"), op(2, b"\x01")]),
        push(0, vec![op(2, b"\x01"), op(1, b"\x01")]),
        push(0, vec![foreign]),
        push(7, vec![op(8, b"\x01")]),
    ];
    for case in cases {
        let error = validate(&Session::for_tests(), case.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{case:?}");
    }
}

#[test]
fn a_push_follows_on_the_one_before_unless_it_resumes() {
    let session = Session::for_tests();
    validate(&session, push(0, vec![op(1, b"\x01"), op(2, b"\x01")])).unwrap();
    session.ops_answered(2);
    validate(&session, push(2, vec![op(3, b"\x01")])).unwrap();
    session.ops_answered(1);
    let doubled = validate(&session, push(2, vec![op(3, b"\x01")])).unwrap_err();
    assert!(doubled.message().contains("doubled"), "{doubled}");
    let session = Session::for_tests();
    validate(&session, push(0, vec![op(1, b"\x01"), op(5, b"\x01")])).unwrap();
    session.ops_answered(2);
    let resumed = Message::Push(Push {
        run: RUN,
        resume: true,
        previous: 0,
        ops: vec![op(1, b"\x01")],
    });
    validate(&session, resumed).unwrap();
    validate(&session, push(1, vec![op(2, b"\x01")])).unwrap();
}

#[test]
fn the_window_counts_what_has_no_answer() {
    let session = Session::for_tests();
    // Twice the window: a client that was put off counts anew.
    for number in 1..=10 {
        validate(&session, push(number - 1, vec![op(number, b"\x01")])).unwrap();
    }
    let error = validate(&session, push(10, vec![op(11, b"\x01")])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    session.ops_answered(11);
    validate(&session, push(11, vec![op(12, b"\x01")])).unwrap();
}

#[test]
fn cursors_and_confirmations_name_partitions_that_are_there() {
    let subscribe = |cursor: Vec<(PartitionId, Sequence)>| {
        Message::Subscribe(Subscribe {
            request: 1,
            map: MapName::new("m").unwrap(),
            selector: Selector::All,
            history: History(1),
            cursor,
        })
    };
    let session = Session::for_tests();
    validate(&session, subscribe(Vec::new())).unwrap();
    let everywhere = (0..7).map(|id| (PartitionId(id), Sequence(1))).collect();
    let twice = {
        let address = grid_core::MapAddress {
            namespace: session.namespace().clone(),
            map: MapName::new("m").unwrap(),
        };
        let placement = grid_core::address::Placement::new(&address, 2, 7);
        let here = placement.partitions().next().unwrap();
        vec![(here, Sequence(1)), (here, Sequence(2))]
    };
    for cursor in [everywhere, twice] {
        let error = validate(&session, subscribe(cursor)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
    session.views().insert(grid_core::protocol::ViewId(1));
    let error = validate(&session, subscribe(Vec::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded, "one view is allowed");
    let stored = |partition| {
        Message::Stored(vec![Stored {
            run: RUN,
            partition: PartitionId(partition),
            through: 1,
        }])
    };
    validate(&session, stored(6)).unwrap();
    validate(&session, stored(7)).unwrap_err();
}

#[test]
fn what_only_a_server_sends_is_an_error() {
    let error = validate(&Session::for_tests(), Message::Ping(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[test]
fn what_is_remembered_of_a_connections_runs_is_bounded() {
    let session = Session::for_tests();
    let of_run = |number: u64| {
        let run = RunId(number);
        let mut op = op(1, b"\x01");
        op.id.run = run;
        let answer = validate(
            &session,
            Message::Push(Push {
                run,
                resume: false,
                previous: 0,
                ops: vec![op],
            }),
        );
        answer.map(|_| session.ops_answered(1))
    };
    let most = MAX_RUNS as u64;
    for run in 1..=most {
        of_run(run).unwrap();
    }
    let error = of_run(most + 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}");
    assert!(error.is_retryable(), "another connection takes the rest");
    // One that is released makes room for another.
    session.forget_run(RunId(3));
    of_run(most + 1).unwrap();
    of_run(3).unwrap_err();
}
