//! What the layers' tests need: a layer around a mock of what is inside.

use std::sync::Arc;

use futures::FutureExt;
use grid_core::protocol::{Message, Push, Read, ReadTarget, ViewId};
use grid_core::traits::Runtime;
use grid_core::{Error, ErrorKind, Key, MapName};
use grid_testkit::sim::{Executor, PartyId, SimRuntime};
use tower::util::{MapErr, ServiceExt};
use tower::{BoxError, Layer, Service};
use tower_test::mock::{Handle, Mock, pair};

use super::Request;
use crate::partition_service::WorkBatch;
use crate::sessions::Session;
use crate::support::{RUN, now, op};

const PARTY: PartyId = PartyId(1);

/// What a layer of the gateway is put around.
pub(crate) type Inner<T> = MapErr<Mock<T, ()>, fn(BoxError) -> Error>;

/// `layer` around a mock that takes `T`, and the mock's other end.
pub(crate) fn around<L: Layer<Inner<T>>, T>(layer: &L) -> (L::Service, Handle<T, ()>) {
    let (mock, handle) = pair::<T, ()>();
    let same: fn(BoxError) -> Error = |error| match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(other) => Error::new(ErrorKind::Internal, "mock", other.to_string()),
    };
    (layer.layer(mock.map_err(same)), handle)
}

/// Calls a service that is ready.
pub(crate) fn call<S: Service<Request, Error = Error>>(
    service: &mut S,
    request: Request,
) -> S::Future {
    now(service.ready()).expect("a mock is ready").call(request)
}

/// What was handed on, which is answered; none when nothing was.
pub(crate) fn handed_on<T>(handle: &mut Handle<T, ()>) -> Option<T> {
    let (request, answer) = handle.next_request().now_or_never()??;
    answer.send_response(());
    Some(request)
}

/// What a layer of the partition's side hands on of a batch.
pub(crate) fn through<L>(layer: &L, batch: WorkBatch) -> WorkBatch
where
    L: Layer<Mock<WorkBatch, ()>>,
    L::Service: Service<WorkBatch, Error: std::fmt::Debug>,
{
    let (mock, mut handle) = pair();
    let mut service = layer.layer(mock);
    // Nobody waits for the answer.
    drop(now(service.ready()).expect("a mock is ready").call(batch));
    handed_on(&mut handle).expect("every batch is handed on")
}

/// Runs a test in simulated time.
pub(crate) fn simulated<F>(test: impl FnOnce(Arc<dyn Runtime>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let executor = Executor::new(1);
    let runtime = SimRuntime::new(&executor, PARTY);
    executor.block_on(PARTY, 1_000_000, test(Arc::new(runtime)));
}

/// A push of run 7: `ops` ops of a byte each, from number `first` on.
pub(crate) fn push(session: &Arc<Session>, first: u64, ops: u64) -> Request {
    let push = Push {
        run: RUN,
        resume: false,
        previous: first - 1,
        ops: (first..first + ops).map(op).collect(),
    };
    Request::new(session.clone(), Message::Push(push))
}

/// A read of one key.
pub(crate) fn read(session: &Arc<Session>) -> Request {
    let read = Read {
        request: 8,
        map: MapName::new("m").unwrap(),
        target: ReadTarget::Key(Key::new("k").unwrap()),
    };
    Request::new(session.clone(), Message::Read(read))
}

/// What gives something back.
pub(crate) fn unsubscribe(session: &Arc<Session>) -> Request {
    Request::new(session.clone(), Message::Unsubscribe(ViewId(1)))
}
