use std::sync::Arc;

use grid_core::op::Op;
use grid_core::partition::Veto;
use grid_core::protocol::{Message, Push, Read, ReadTarget, RejectReason, Selector};
use grid_core::traits::Epoch;
use grid_core::{ErrorKind, Key, MapAddress, MapName, PartitionId, Result};

use super::{RouteLayer, Routed, RoutedWork, Router};
use crate::layer::Request;
use crate::layer::testing::{around, call, handed_on};
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
    (Router::new(table.clone(), 3, COUNT), table)
}

fn route(router: Router, request: Request) -> Result<Routed> {
    let (mut service, mut handle) = around::<_, Routed>(&RouteLayer::new(router));
    let served = call(&mut service, request);
    let routed = handed_on(&mut handle);
    now(served).map(|()| routed.unwrap())
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

#[test]
fn what_another_node_owns_is_not_served_here() {
    let (router, table) = router();
    for partition in router.placement(&address("b")).partitions() {
        table.changed(partition, &owner("there", 2));
    }
    let error = route(router, push()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable());
}
