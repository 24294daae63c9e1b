use std::sync::Arc;
use std::time::Duration;

use grid_core::op::Op;
use grid_core::partition::Veto;
use grid_core::protocol::{
    Message, Push, Read, ReadTarget, RejectReason, Selector, Subscribe, SubscribeRefused,
};
use grid_core::traits::Epoch;
use grid_core::{ErrorKind, Key, MapAddress, MapName, PartitionId, Result};

use super::{RouteLayer, Routed, RoutedWork, Router};
use crate::config::Settings;
use crate::layer::Request;
use crate::layer::testing::{around, call, handed_on};
use crate::observations::{Observations, Source};
use crate::ownership_table::OwnershipTable;
use crate::sessions::Session;
use crate::support::{self, now, owner};

const COUNT: u16 = 11;

fn router() -> (Router, Arc<OwnershipTable>) {
    let table = Arc::new(OwnershipTable::new("here".to_owned(), COUNT));
    for id in 0..COUNT {
        table.changed(PartitionId(id), &owner("here", 1));
        table.serve(PartitionId(id), Epoch(1));
    }
    let settings = Settings {
        map_spread: 3,
        partition_count: COUNT,
        ..Settings::default()
    };
    let observations = Arc::new(Observations::default());
    let router = Router::new(table.clone(), observations, &settings);
    (router, table)
}

fn route(router: Router, request: Request) -> Result<Routed> {
    answer(router, request).map(|routed| routed.unwrap())
}

/// What is handed on, if anything is.
fn answer(router: Router, request: Request) -> Result<Option<Routed>> {
    let layer = RouteLayer::new(router, Duration::from_millis(7));
    let (mut service, mut handle) = around::<_, Routed>(&layer);
    let served = call(&mut service, request);
    let routed = handed_on(&mut handle);
    now(served).map(|()| routed)
}

fn address(map: &str) -> MapAddress {
    MapAddress {
        namespace: Session::for_tests().namespace().clone(),
        map: MapName::new(map).unwrap(),
    }
}

fn push() -> Request {
    let op = |number, map: &str, key: &str| Op {
        map: MapName::new(map).unwrap(),
        key: Key::new(key).unwrap(),
        ..support::op(number)
    };
    let mut request = Request::new(
        Session::for_tests(),
        Message::Push(Push {
            run: support::RUN,
            resume: false,
            previous: 0,
            ops: vec![op(1, "a", "k"), op(2, "b", "k"), op(3, "a", "other")],
        }),
    );
    let veto = Veto {
        reason: RejectReason::TooLarge,
        message: String::new(),
    };
    request.vetoes.insert(1, veto);
    request
}

#[test]
fn every_op_goes_to_the_partition_of_its_key_with_its_veto() {
    let (router, _table) = router();
    let routed = route(router.clone(), push()).unwrap();
    let RoutedWork::Push { ops, .. } = routed.work else {
        panic!("no push");
    };
    for (partition, op, veto) in ops {
        let place = router.locate(&address(op.map.as_str()), &op.key);
        assert_eq!(partition, place);
        assert_eq!(veto.is_some(), op.id.number == 2);
    }
}

#[test]
fn a_push_that_resumes_comes_back_to_the_op_that_it_names() {
    let (router, _table) = router();
    let mut came = Vec::new();
    for (resume, previous) in [(false, 0), (true, 0), (true, 1), (true, 9)] {
        let mut request = push();
        let Message::Push(push) = &mut request.message else {
            panic!("no push");
        };
        (push.resume, push.previous) = (resume, previous);
        push.ops.remove(0);
        match route(router.clone(), request).unwrap().work {
            RoutedWork::Push { first, resumes, .. } => came.push((resumes, first)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came, [(false, 2), (true, 2), (true, 1), (true, 2)]);
}

#[test]
fn a_page_is_read_from_all_partitions_of_the_map_and_a_key_from_its_own() {
    let (router, _table) = router();
    let read = |target| {
        let read = Message::Read(Read {
            request: 1,
            map: MapName::new("a").unwrap(),
            target,
        });
        let request = Request::new(Session::for_tests(), read);
        match route(router.clone(), request).unwrap().work {
            RoutedWork::Read { partitions, .. } => partitions,
            other => panic!("{other:?}"),
        }
    };
    let all: Vec<_> = router.placement(&address("a")).partitions().collect();
    let page = ReadTarget::Page {
        selector: Selector::All,
        after: None,
        limit: 1,
    };
    assert_eq!(read(page), all);
    assert_eq!(all.len(), 3);
    let key = Key::new("k").unwrap();
    let one = router.locate(&address("a"), &key);
    assert_eq!(read(ReadTarget::Key(key)), [one]);
}

fn read_of(map: &str) -> Message {
    Message::Read(Read {
        request: 5,
        map: MapName::new(map).unwrap(),
        target: ReadTarget::Key(Key::new("k").unwrap()),
    })
}

fn subscribe_to(map: &str) -> Message {
    Message::Subscribe(Subscribe {
        request: 1,
        map: MapName::new(map).unwrap(),
        selector: Selector::All,
        history: grid_core::History(0),
        cursor: Vec::new(),
    })
}

/// What a read that goes nowhere is answered; the connection goes on.
fn refused_read(router: &Router, map: &str) -> SubscribeRefused {
    let session = Session::for_tests();
    let request = Request::new(session.clone(), read_of(map));
    assert!(answer(router.clone(), request).unwrap().is_none());
    match &session.queued()[..] {
        [Message::SubscribeRefused(refused)] => refused.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_another_node_owns_is_not_served_here() {
    let (router, table) = router();
    for partition in router.placement(&address("b")).partitions() {
        table.changed(partition, &owner("there", 2));
    }
    let of = |message| Request::new(Session::for_tests(), message);
    for request in [push(), of(subscribe_to("b")), of(read_of("b"))] {
        // An error ends the connection: who would only be refused would ask here for ever.
        let error = route(router.clone(), request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.is_retryable());
        assert!(error.message().contains("connect again"), "{error}");
    }
}

#[test]
fn a_page_ends_the_connection_only_where_no_part_of_it_is_owned() {
    let (router, table) = router();
    let page = Message::Read(Read {
        request: 5,
        map: MapName::new("b").unwrap(),
        target: ReadTarget::Page {
            selector: Selector::All,
            after: None,
            limit: 1,
        },
    });
    let partitions: Vec<_> = router.placement(&address("b")).partitions().collect();
    let refused = || {
        let session = Session::for_tests();
        let request = Request::new(session.clone(), page.clone());
        assert!(answer(router.clone(), request).unwrap().is_none());
        match &session.queued()[..] {
            [Message::SubscribeRefused(refused)] => refused.clone(),
            other => panic!("{other:?}"),
        }
    };
    table.cease(partitions[0], Epoch(1));
    assert!(refused().message.contains("load"));
    // No node can answer, so there is none to send the client to; whether it loads makes no
    // difference.
    for id in [partitions[2], partitions[1]] {
        table.changed(id, &owner("there", 2));
        let refused = refused();
        assert_eq!(refused.request, 5);
        assert_eq!(refused.reason, RejectReason::Unavailable);
        assert!(refused.message.contains("several"), "{}", refused.message);
    }
    table.changed(partitions[0], &owner("there", 2));
    let session = Session::for_tests();
    let request = Request::new(session.clone(), page.clone());
    let error = answer(router.clone(), request).unwrap_err();
    assert!(error.message().contains("connect again"), "{error}");
    assert!(session.queued().is_empty());
}

#[test]
fn of_a_push_all_that_comes_before_what_is_still_to_be_loaded_is_handed_on() {
    // What is left of the push, which op waits, and whether the client comes back with it.
    for (waits, resume) in [("b", false), ("b", true), ("a", true)] {
        let (router, table) = router();
        let partition = router.locate(&address(waits), &Key::new("k").unwrap());
        let keys = (0..).map(|number| Key::new(&format!("{number}")).unwrap());
        let mut served = keys.filter(|key| router.locate(&address("a"), key) != partition);
        table.cease(partition, Epoch(1));
        let mut request = push();
        let Message::Push(pushed) = &mut request.message else {
            panic!("no push");
        };
        pushed.ops[2].key = served.next().unwrap();
        (pushed.resume, pushed.previous) = (resume, 0);
        let session = request.session.clone();
        session.ops_read(3);
        let routed = answer(router.clone(), request).unwrap();
        let [Message::Deferred(deferred)] = &session.queued()[..] else {
            panic!("one answer");
        };
        let counts = router.observations().counts();
        let put_off = counts.ops[&("deferred", ErrorKind::Unavailable.name())];
        if waits == "a" {
            assert!(routed.is_none());
            assert_eq!((deferred.from, put_off, session.ops_read(0)), (1, 3, 0));
            continue;
        }
        let Some(RoutedWork::Push {
            first,
            resumes,
            ops,
            ..
        }) = routed.map(|routed| routed.work)
        else {
            panic!("no push");
        };
        let numbers: Vec<u64> = ops.iter().map(|(_, op, _)| op.id.number).collect();
        assert_eq!(numbers, [1], "not the third, which would overtake");
        assert_eq!((first, resumes), (1, resume));
        assert_eq!((deferred.from, put_off), (2, 2));
        assert_eq!(session.ops_read(0), 1, "the first has its answer to come");
        let behind = |from: usize| {
            let Message::Push(push) = push().message else {
                panic!("no push");
            };
            Push {
                ops: push.ops[from..].to_vec(),
                ..push
            }
        };
        assert!(session.is_deferred(&behind(2)), "that comes again too");
        assert!(!session.is_deferred(&behind(1)), "it has come back");
    }
}

/// What this node owns and has not loaded: the database is away, or it is being taken over.
#[test]
fn what_is_still_to_be_loaded_is_waited_for() {
    let (router, table) = router();
    for map in ["a", "b"] {
        for partition in router.placement(&address(map)).partitions() {
            table.cease(partition, Epoch(1));
        }
    }
    let request = push();
    let session = request.session.clone();
    session.ops_read(3);
    assert!(answer(router.clone(), request).unwrap().is_none());
    let [Message::Deferred(deferred)] = &session.queued()[..] else {
        panic!("it is put off, whole");
    };
    assert_eq!(deferred.from, 1);
    assert_eq!(deferred.retry_after_ms, 7);
    assert!(deferred.message.contains("load"), "{}", deferred.message);
    assert_eq!(session.ops_read(0), 0, "all have their answer");

    let refused = refused_read(&router, "b");
    assert_eq!(refused.request, 5);
    assert_eq!(refused.reason, RejectReason::Unavailable);
    assert!(refused.message.contains("load"), "{}", refused.message);

    let follows = route(router, Request::new(session, subscribe_to("b"))).unwrap();
    let RoutedWork::Subscribe { partitions, .. } = follows.work else {
        panic!("no subscription");
    };
    assert_eq!(partitions.len(), 3, "the workers wait for them");
}

#[test]
fn a_database_that_is_away_is_named() {
    let (router, table) = router();
    let partition = router.locate(&address("b"), &Key::new("k").unwrap());
    table.cease(partition, Epoch(1));
    let said = |router: &Router| router.check(partition).unwrap_err().to_string();
    assert!(said(&router).contains("about to load"));
    let now = Duration::ZERO;
    let observations = router.observations();
    observations.trouble(Source::Load(partition), "refused".to_owned(), now);
    assert!(said(&router).contains("cannot load"));
    observations.trouble(Source::Start, "nobody answers".to_owned(), now);
    assert!(said(&router).contains("database is away"));
    assert!(
        !said(&router).contains("nobody answers"),
        "that is for operators"
    );
}
