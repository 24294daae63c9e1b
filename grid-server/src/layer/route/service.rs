//! The service.

use std::collections::BTreeMap;
use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use grid_core::address::Placement;
use grid_core::partition::Veto;
use grid_core::protocol::{Message, Push, ReadTarget};
use grid_core::{Error, MapAddress, MapName, PartitionId, Result};
use tower::Service;

use super::error::concerns_no_partition;
use super::layer::Router;
use super::routed::{Routed, RoutedWork};
use crate::layer::Request;
use crate::sessions::Session;

/// Hands on requests with the partitions that they concern.
#[derive(Debug, Clone)]
pub(crate) struct Route<S> {
    inner: S,
    router: Router,
}

impl<S> Route<S> {
    pub(super) fn new(inner: S, router: Router) -> Self {
        Self { inner, router }
    }

    fn route(&self, request: Request) -> Result<Routed> {
        let session = request.session;
        let work = match request.message {
            Message::Push(push) => self.push(&session, push, request.vetoes)?,
            Message::Stored(stored) => RoutedWork::Stored(stored),
            Message::Release(run) => RoutedWork::Release(run),
            Message::Unsubscribe(view) => RoutedWork::Unsubscribe(view),
            Message::Repair(repair) => {
                self.router.check(repair.partition)?;
                RoutedWork::Repair(repair)
            }
            Message::Subscribe(subscribe) => {
                let address = address(&session, &subscribe.map);
                RoutedWork::Subscribe {
                    partitions: self.partitions(&address)?,
                    address,
                    subscribe,
                }
            }
            Message::Read(read) => {
                let address = address(&session, &read.map);
                let partitions = match &read.target {
                    ReadTarget::Key(key) => {
                        let partition = self.router.locate(&address, key);
                        self.router.check(partition)?;
                        vec![partition]
                    }
                    ReadTarget::Page { .. } => self.partitions(&address)?,
                };
                RoutedWork::Read {
                    read,
                    address,
                    partitions,
                }
            }
            _ => return Err(concerns_no_partition()),
        };
        Ok(Routed { session, work })
    }

    fn partitions(&self, address: &MapAddress) -> Result<Vec<PartitionId>> {
        let partitions: Vec<PartitionId> = self.router.placement(address).partitions().collect();
        partitions
            .iter()
            .try_for_each(|partition| self.router.check(*partition))?;
        Ok(partitions)
    }

    fn push(
        &self,
        session: &Session,
        push: Push,
        mut vetoes: BTreeMap<usize, Veto>,
    ) -> Result<RoutedWork> {
        let first = push.begins();
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
            self.router.check(partition)?;
            let veto = vetoes.remove(&index);
            ops.push((partition, op, veto));
        }
        let run = push.run;
        Ok(RoutedWork::Push {
            run,
            first,
            resumes: push.resume,
            ops,
        })
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
            Ok(routed) => Either::Left(self.inner.call(routed)),
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}
