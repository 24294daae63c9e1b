//! Reading and writing from within the program that runs the server.

use std::sync::Arc;

use bytes::Bytes;
use grid_core::codec::validate;
use grid_core::limits::MAX_CBOR_DEPTH;
use grid_core::op::{Action, Op, OpId, RunId};
use grid_core::partition::KeyPage;
use grid_core::protocol::{ReadTarget, Selector, Verdict};
use grid_core::query::check_names;
use grid_core::traits::Principal;
use grid_core::{
    Error, ErrorKind, Hlc, Key, MapAddress, PartitionId, Record, Result, Sequence, Stamp,
};
use tokio::sync::{Mutex, oneshot};

use crate::gateway::Dispatch;
use crate::layer::route::Router;
use crate::worker::{Mailboxes, Origin, PushWork, closed};

/// The program's own way into its server, without a socket. Clones share one run of ops.
///
/// Writes are stamped by the server, after everything that it holds, and return when they are
/// durable.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mailboxes: Mailboxes,
    dispatch: Dispatch,
    router: Router,
    principal: Arc<Principal>,
    run: RunId,
    /// The number of the last op; held until the op is in its worker's mailbox, so that each
    /// partition sees them in order.
    last: Mutex<u64>,
    max_value_bytes: usize,
}

/// A write that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its partition.
    pub partition: PartitionId,
    /// The sequence of the entry's version now.
    pub sequence: Sequence,
}

impl Handle {
    pub(crate) fn new(
        mailboxes: Mailboxes,
        dispatch: Dispatch,
        router: Router,
        run: RunId,
        max_value_bytes: usize,
    ) -> Self {
        Self(Arc::new(Inner {
            mailboxes,
            dispatch,
            router,
            principal: Arc::new(Principal {
                name: format!("program {run}"),
                namespace: grid_core::Namespace::default(),
            }),
            run,
            last: Mutex::new(0),
            max_value_bytes,
        }))
    }

    /// Sets an entry to `value`, which is CBOR.
    ///
    /// # Errors
    /// `Invalid` when the value is not well-formed or a map in it has two entries of one name,
    /// `TooLarge` beyond the bound, `Unavailable` or `Full` when it could not be made durable now,
    /// `Closed` after a shutdown.
    pub async fn put(&self, address: &MapAddress, key: &Key, value: Bytes) -> Result<Written> {
        let put = Action::Put {
            value,
            ttl_ms: None,
        };
        self.write(address, key, put, None).await
    }

    /// Removes an entry; that it is absent already is no error.
    ///
    /// # Errors
    /// As [`Handle::put`].
    pub async fn remove(&self, address: &MapAddress, key: &Key) -> Result<Written> {
        self.write(address, key, Action::Remove, None).await
    }

    /// Writes, if the entry is at exactly `if_version` ([`Stamp::ZERO`]: if there is none). Then it
    /// takes the place of that version, whatever the resolver would make of the two.
    ///
    /// # Errors
    /// As [`Handle::put`], and `Conflict` when it is at another version.
    pub async fn write(
        &self,
        address: &MapAddress,
        key: &Key,
        action: Action,
        if_version: Option<Stamp>,
    ) -> Result<Written> {
        if let Action::Put { value, .. } = &action {
            self.check(value)?;
        }
        self.write_as_stored(address, key, action, if_version).await
    }

    fn check(&self, value: &[u8]) -> Result<()> {
        let bound = self.0.max_value_bytes;
        if value.len() > bound {
            let message = format!(
                "the value has {} bytes; at most {bound} are allowed",
                value.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, "put", message));
        }
        validate(value, MAX_CBOR_DEPTH, value.len())?;
        check_names(value)
    }

    /// As [`Handle::write`], of a value that the database has: what it holds since before a bound
    /// must not stand in its operator's way.
    pub(crate) async fn write_as_stored(
        &self,
        address: &MapAddress,
        key: &Key,
        action: Action,
        if_version: Option<Stamp>,
    ) -> Result<Written> {
        let inner = &*self.0;
        let partition = inner.router.locate(address, key);
        inner.router.check(partition)?;
        let (reply, answer) = oneshot::channel();
        {
            let mut last = inner.last.lock().await;
            *last += 1;
            let op = Op {
                id: OpId {
                    run: inner.run,
                    number: *last,
                },
                // The partition stamps it.
                hlc: Hlc::ZERO,
                map: address.map.clone(),
                key: key.clone(),
                action,
                base: Hlc::ZERO,
                if_version,
                schema: 0,
                ack: None,
            };
            let push = PushWork {
                origin: Origin::Program {
                    principal: inner.principal.clone(),
                    reply: Some(reply),
                },
                run: inner.run,
                first: *last,
                ops: vec![(partition, address.clone(), op, None)],
            };
            let worker = inner.mailboxes.worker_of(partition);
            inner.mailboxes.push(worker, push).await?;
        }
        let outcome = answer.await.map_err(|_| closed())??;
        match outcome.verdict {
            Verdict::Rejected { message, .. } => {
                Err(Error::new(ErrorKind::Conflict, "write", message))
            }
            _ => Ok(Written {
                partition,
                sequence: outcome.sequence,
            }),
        }
    }

    /// The live entry of `key`.
    ///
    /// # Errors
    /// `Closed` after a shutdown.
    pub async fn get(&self, address: &MapAddress, key: &Key) -> Result<Option<Record>> {
        let partition = self.0.router.locate(address, key);
        self.0.router.check(partition)?;
        let target = ReadTarget::Key(key.clone());
        let page = self
            .0
            .dispatch
            .page(&target, address, vec![partition])
            .await?;
        Ok(page.records.into_iter().next())
    }

    /// Up to `limit` live entries after `after`, in the order of their keys; fewer, with more to
    /// come, when they are large.
    ///
    /// # Errors
    /// `Closed` after a shutdown.
    pub async fn page(
        &self,
        address: &MapAddress,
        selector: &Selector,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<KeyPage> {
        let target = ReadTarget::Page {
            selector: selector.clone(),
            after: after.cloned(),
            limit: limit.max(1),
        };
        let partitions: Vec<PartitionId> = self.0.router.placement(address).partitions().collect();
        partitions
            .iter()
            .try_for_each(|partition| self.0.router.check(*partition))?;
        self.0.dispatch.page(&target, address, partitions).await
    }
}
