//! The innermost service of the gateway: hands requests to the workers that run their partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use grid_core::op::{Op, RunId};
use grid_core::partition::Veto;
use grid_core::protocol::{
    MapDefinition, Message, Read, ReadResult, ReadTarget, Repair, RepairStep, Stored, Subscribe,
    Subscribed, ViewId,
};
use grid_core::{BoxFuture, Error, ErrorKind, History, MapAddress, PartitionId, Result};
use tokio::sync::oneshot;
use tower::Service;

use super::views::Views;
use crate::layer::route::{Routed, RoutedWork};
use crate::sessions::{Owed, Session};
use crate::worker::{
    Mailboxes, Origin, PushWork, ReadWork, SubscribeWork, WorkerMessage, closed, merge_pages,
};

/// Hands requests to workers.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    mailboxes: Mailboxes,
    views: Arc<Views>,
    history: History,
    spread: u16,
}

impl Dispatch {
    pub(crate) fn new(
        mailboxes: Mailboxes,
        views: Arc<Views>,
        history: History,
        spread: u16,
    ) -> Self {
        Self {
            mailboxes,
            views,
            history,
            spread,
        }
    }

    async fn dispatch(self, routed: Routed) -> Result<()> {
        let session = routed.session;
        match routed.work {
            RoutedWork::Push {
                run,
                first,
                resumes,
                ops,
            } => self.push(session, (run, first, resumes), ops).await,
            RoutedWork::Stored(stored) => self.stored(session, stored).await,
            RoutedWork::Release(run) => {
                let release = || WorkerMessage::Release(session.clone(), run);
                self.mailboxes.send_all(release).await
            }
            RoutedWork::Subscribe {
                subscribe,
                address,
                partitions,
            } => {
                self.subscribe(session, subscribe, address, partitions)
                    .await
            }
            RoutedWork::Unsubscribe(view) => self.unsubscribe(&session, view).await,
            RoutedWork::Repair(repair) => self.repair(session, repair).await,
            RoutedWork::Read {
                read,
                address,
                partitions,
            } => self.read(&session, read, address, partitions).await,
        }
    }

    async fn push(
        &self,
        session: Arc<Session>,
        (run, first, resumes): (RunId, u64, bool),
        ops: Vec<(PartitionId, Op, Option<Veto>)>,
    ) -> Result<()> {
        let namespace = session.namespace();
        let mut last: Option<MapAddress> = None;
        let ops = ops.into_iter().map(|(partition, op, veto)| {
            let address = match last.take() {
                Some(address) if address.map == op.map => address,
                _ => MapAddress {
                    namespace: namespace.clone(),
                    map: op.map.clone(),
                },
            };
            last = Some(address.clone());
            (partition, address, op, veto)
        });
        let split = self.mailboxes.split(ops, |(partition, ..)| *partition);
        for (worker, ops) in split.into_iter().enumerate() {
            // One that refuses the run takes it again only if it hears that it has come back.
            if ops.is_empty() && !resumes {
                continue;
            }
            let push = PushWork {
                origin: Origin::Session(session.clone()),
                run,
                first,
                ops,
            };
            self.mailboxes.push(worker, push).await?;
        }
        Ok(())
    }

    async fn stored(&self, session: Arc<Session>, stored: Vec<Stored>) -> Result<()> {
        let split = self.mailboxes.split(stored, |each| each.partition);
        for (worker, stored) in split.into_iter().enumerate() {
            if !stored.is_empty() {
                let message = WorkerMessage::Stored(session.clone(), stored);
                self.mailboxes.send(worker, message).await?;
            }
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        session: Arc<Session>,
        subscribe: Subscribe,
        address: MapAddress,
        partitions: Vec<PartitionId>,
    ) -> Result<()> {
        let view = self.views.follow(&address, &subscribe.selector);
        let is_new = session.views().insert(view);
        if !is_new {
            self.views.unfollow(view);
        }
        session.answer(&Message::Subscribed(Subscribed {
            request: subscribe.request,
            view,
            definition: MapDefinition {
                spread: self.spread,
                schema: 0,
            },
        }));
        let merge = session
            .outgoing()
            .begin_merge(view, self.history, partitions.len());
        let cursor: BTreeMap<_, _> = subscribe.cursor.into_iter().collect();
        let partitions = partitions
            .into_iter()
            .map(|partition| (partition, cursor.get(&partition).copied()));
        let split = self.mailboxes.split(partitions, |(id, _)| *id);
        for (worker, partitions) in split.into_iter().enumerate() {
            if partitions.is_empty() {
                continue;
            }
            let work = SubscribeWork {
                session: session.clone(),
                view,
                merge,
                address: address.clone(),
                selector: subscribe.selector.clone(),
                history: subscribe.history,
                partitions,
            };
            self.mailboxes
                .send(worker, WorkerMessage::Subscribe(work))
                .await?;
        }
        Ok(())
    }

    async fn unsubscribe(&self, session: &Session, view: ViewId) -> Result<()> {
        if !session.views().remove(&view) {
            // It was never followed, or is no more: nothing is left to be done.
            return Ok(());
        }
        self.views.unfollow(view);
        let id = session.id();
        self.mailboxes
            .send_all(|| WorkerMessage::Unsubscribe(id, view))
            .await
    }

    async fn repair(&self, session: Arc<Session>, repair: Repair) -> Result<()> {
        let worker = self.mailboxes.worker_of(repair.partition);
        let items = match &repair.step {
            RepairStep::Nodes { parents, .. } => parents.len(),
            RepairStep::Leaves { leaves, .. } => leaves.len(),
            RepairStep::Fetch { keys } => keys.len(),
            RepairStep::Snapshot => 0,
        };
        let owed = Owed::new(&session, items);
        let message = WorkerMessage::Repair(session, repair, owed);
        self.mailboxes.send(worker, message).await
    }

    async fn read(
        &self,
        session: &Session,
        read: Read,
        address: MapAddress,
        partitions: Vec<PartitionId>,
    ) -> Result<()> {
        let page = match self.page(&read.target, &address, partitions).await {
            Ok(page) => page,
            // One of them was lost on the way here.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                session.refuse_read(read.request, &error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        session.answer(&Message::ReadResult(ReadResult {
            request: read.request,
            records: page.records,
            more: page.more,
        }));
        Ok(())
    }

    /// Reads from all `partitions`.
    ///
    /// # Errors
    /// `Closed` when the server is shutting down, `Unavailable` when one of them has got another
    /// owner.
    pub(crate) async fn page(
        &self,
        target: &ReadTarget,
        address: &MapAddress,
        partitions: Vec<PartitionId>,
    ) -> Result<grid_core::partition::KeyPage> {
        let mut replies = Vec::new();
        let split = self.mailboxes.split(partitions, |id| *id);
        for (worker, partitions) in split.into_iter().enumerate() {
            if partitions.is_empty() {
                continue;
            }
            let (reply, answer) = oneshot::channel();
            let work = ReadWork {
                address: address.clone(),
                partitions,
                target: target.clone(),
                reply,
            };
            self.mailboxes
                .send(worker, WorkerMessage::Read(work))
                .await?;
            replies.push(answer);
        }
        let mut pages = Vec::with_capacity(replies.len());
        for reply in replies {
            pages.push(reply.await.map_err(|_| closed())??);
        }
        Ok(merge_pages(target, pages))
    }
}

impl Service<Routed> for Dispatch {
    type Response = ();
    type Error = Error;
    type Future = BoxFuture<'static, Result<()>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, routed: Routed) -> Self::Future {
        Box::pin(self.clone().dispatch(routed))
    }
}
