use std::sync::Arc;

use grid_core::op::Op;
use grid_core::partition::{Proposal, ProposalBatch, Veto};
use grid_core::protocol::{Message, Read, ReadTarget, RejectReason};
use grid_core::traits::{Decision, Epoch, Policy, Principal};
use grid_core::{Key, MapName, Namespace, PartitionId};

use super::{ReadPolicyLayer, WritePolicyLayer};
use crate::layer::Request;
use crate::layer::testing::{around, call, handed_on, through};
use crate::partition_service::{PartWork, Work, WorkBatch};
use crate::sessions::Session;
use crate::support::{self, now};

/// Nobody reads `secret`; keys that start with `x` are not written.
#[derive(Debug)]
struct Strict;

impl Policy for Strict {
    fn may_write(&self, principal: &Principal, op: &Op) -> Decision {
        if op.key.as_str().starts_with('x') {
            return Decision::Deny(format!("not by {}", principal.name));
        }
        Decision::Allow
    }

    fn may_read(&self, _principal: &Principal, map: &MapName) -> Decision {
        if map.as_str() == "secret" {
            return Decision::Deny("it is secret".to_owned());
        }
        Decision::Allow
    }
}

#[test]
fn denied_reads_are_answered_and_not_handed_on() {
    let (mut service, mut handle) = around(&ReadPolicyLayer::new(Arc::new(Strict)));
    let session = Session::for_tests();
    for map in ["secret", "open"] {
        let read = Message::Read(Read {
            request: 8,
            map: MapName::new(map).unwrap(),
            target: ReadTarget::Key(Key::new("k").unwrap()),
        });
        let request = Request::new(session.clone(), read);
        let served = call(&mut service, request);
        assert_eq!(handed_on(&mut handle).is_some(), map == "open");
        now(served).unwrap();
    }
    let [Message::SubscribeRefused(refused)] = &session.queued()[..] else {
        panic!("one refusal");
    };
    assert_eq!(
        (refused.request, refused.reason),
        (8, RejectReason::Forbidden)
    );
    assert_eq!(refused.message, "it is secret");
}

fn proposal(key: &str) -> Proposal {
    support::proposal(Op {
        key: Key::new(key).unwrap(),
        ..support::op(1)
    })
}

#[test]
fn denied_writes_go_on_with_a_veto() {
    let ada = Some(Arc::new(Principal {
        name: "ada".to_owned(),
        namespace: Namespace::default(),
    }));
    let mut vetoed = proposal("x1");
    let earlier = Veto {
        reason: RejectReason::TooLarge,
        message: "earlier".to_owned(),
    };
    vetoed.veto = Some(earlier.clone());
    let batch = WorkBatch {
        parts: vec![PartWork {
            partition: PartitionId(0),
            epoch: Epoch(1),
            work: Work::Decide {
                batch: ProposalBatch {
                    proposals: vec![proposal("x1"), proposal("y"), vetoed, proposal("x2")],
                    ..ProposalBatch::default()
                },
                // The last one is the server's own.
                authors: vec![ada.clone(), ada.clone(), ada, None],
            },
            refusal: None,
        }],
        early: None,
    };
    let batch = through(&WritePolicyLayer::new(Arc::new(Strict)), batch);
    let Work::Decide { batch, .. } = &batch.parts[0].work else {
        panic!("other work");
    };
    let vetoes: Vec<_> = batch.proposals.iter().map(|p| p.veto.clone()).collect();
    let denied = Veto {
        reason: RejectReason::Forbidden,
        message: "not by ada".to_owned(),
    };
    assert_eq!(vetoes, [Some(denied), None, Some(earlier), None]);
}
