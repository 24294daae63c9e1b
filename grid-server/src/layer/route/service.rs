//! The service.

use std::collections::BTreeMap;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, Ready, ready};
use grid_core::address::Placement;
use grid_core::partition::Veto;
use grid_core::protocol::{Message, Push, ReadTarget};
use grid_core::{Error, MapAddress, MapName, PartitionId, Result};
use tower::Service;

use super::error::concerns_no_partition;
use super::layer::Router;
use super::routed::{Routed, RoutedWork};
use crate::layer::defer::Deferral;
use crate::layer::{PutOff, Request};
use crate::sessions::Session;

/// Hands on requests with the partitions that they concern.
#[derive(Debug, Clone)]
pub(crate) struct Route<S> {
    inner: S,
    router: Router,
    retry_after: Duration,
}

impl<S> Route<S> {
    pub(super) fn new(inner: S, router: Router, retry_after: Duration) -> Self {
        Self {
            inner,
            router,
            retry_after,
        }
    }

    /// Where a request goes; none when it is answered already.
    fn route(&self, request: Request) -> Result<Option<Routed>> {
        let session = request.session;
        let work = match request.message {
            Message::Push(push) => match self.push(&session, push, request.vetoes)? {
                Some(work) => work,
                None => return Ok(None),
            },
            Message::Stored(stored) => RoutedWork::Stored(stored),
            Message::Release(run) => RoutedWork::Release(run),
            Message::Unsubscribe(view) => RoutedWork::Unsubscribe(view),
            Message::Repair(repair) => {
                self.router.check(repair.partition)?;
                RoutedWork::Repair(repair)
            }
            Message::Subscribe(subscribe) => {
                let address = address(&session, &subscribe.map);
                let partitions: Vec<_> = self.router.placement(&address).partitions().collect();
                // The worker waits for those that are to come.
                partitions
                    .iter()
                    .try_for_each(|partition| self.router.check_owned(*partition))?;
                RoutedWork::Subscribe {
                    partitions,
                    address,
                    subscribe,
                }
            }
            Message::Read(read) => {
                let address = address(&session, &read.map);
                let partitions = self.concerned(&address, &read.target);
                if let Some(error) = self.router.lacks(&partitions)? {
                    session.refuse_read(read.request, &error);
                    return Ok(None);
                }
                RoutedWork::Read {
                    read,
                    address,
                    partitions,
                }
            }
            _ => return Err(concerns_no_partition()),
        };
        Ok(Some(Routed { session, work }))
    }

    /// The partitions that a read concerns.
    fn concerned(&self, address: &MapAddress, target: &ReadTarget) -> Vec<PartitionId> {
        match target {
            ReadTarget::Key(key) => vec![self.router.locate(address, key)],
            ReadTarget::Page { .. } => self.router.placement(address).partitions().collect(),
        }
    }

    /// Where each op goes, as far as the first that waits for its partition: from there on the push
    /// is put off, so that what is handed on keeps the run's order. None when that is all of it.
    fn push(
        &self,
        session: &Session,
        push: Push,
        mut vetoes: BTreeMap<usize, Veto>,
    ) -> Result<Option<RoutedWork>> {
        let (first, of) = (push.begins(), Deferral::of(&push));
        let mut last: Option<(MapName, Placement)> = None;
        let mut ops = Vec::with_capacity(push.ops.len());
        for (index, op) in push.ops.into_iter().enumerate() {
            let placement = match &last {
                Some((map, placement)) if *map == op.map => *placement,
                _ => {
                    let placement = self.router.placement(&address(session, &op.map));
                    last = Some((op.map.clone(), placement));
                    placement
                }
            };
            let partition = placement.partition(&op.key);
            if let Some(error) = self.router.waits(partition)? {
                let rest = of.behind(ops.len(), op.id.number);
                self.router.count_deferred(rest.ops);
                let put_off = PutOff {
                    message: error.message().to_owned(),
                    retry_after: self.retry_after,
                };
                rest.tell(session, put_off);
                break;
            }
            let veto = vetoes.remove(&index);
            ops.push((partition, op, veto));
        }
        let (run, resumes) = (push.run, push.resume);
        Ok((!ops.is_empty()).then_some(RoutedWork::Push {
            run,
            first,
            resumes,
            ops,
        }))
    }
}

/// The map of this name within the client's namespace.
fn address(session: &Session, map: &MapName) -> MapAddress {
    MapAddress {
        namespace: session.namespace().clone(),
        map: map.clone(),
    }
}

impl<S> Service<Request> for Route<S>
where
    S: Service<Routed, Response = (), Error = Error>,
{
    type Response = ();
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<()>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.route(request) {
            Ok(Some(routed)) => Either::Left(self.inner.call(routed)),
            Ok(None) => Either::Right(ready(Ok(()))),
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}
