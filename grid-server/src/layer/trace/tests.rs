use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use grid_core::protocol::{Message, ViewId};
use grid_core::{Error, ErrorKind};
use tower::{Layer, Service};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::TraceLayer;
use crate::layer::Request;
use crate::sessions::Session;

/// Counts spans named `request`, and keeps the levels of events.
#[derive(Debug, Clone, Default)]
struct Counting {
    spans: Arc<AtomicUsize>,
    events: Arc<Mutex<Vec<tracing::Level>>>,
}

impl Subscriber for Counting {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        assert_eq!(attributes.metadata().name(), "request");
        self.spans.fetch_add(1, Ordering::SeqCst);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.events.lock().unwrap().push(*event.metadata().level());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn every_request_leaves_a_span_and_a_failed_one_a_louder_event() {
    let counting = Counting::default();
    tracing::subscriber::with_default(counting.clone(), || {
        let inner = tower::service_fn(|request: Request| {
            let fails = matches!(request.message, Message::Unsubscribe(ViewId(2)));
            let error = || Error::new(ErrorKind::Protocol, "test", "told to fail");
            std::future::ready(if fails { Err(error()) } else { Ok(()) })
        });
        let mut service = TraceLayer.layer(inner);
        for view in [1, 2] {
            let message = Message::Unsubscribe(ViewId(view));
            let request = Request::new(Session::for_tests(), message);
            let outcome = service.call(request).now_or_never().unwrap();
            assert_eq!(outcome.is_err(), view == 2, "the outcome passes through");
        }
    });
    assert_eq!(counting.spans.load(Ordering::SeqCst), 2);
    let events = counting.events.lock().unwrap();
    assert_eq!(*events, [tracing::Level::TRACE, tracing::Level::DEBUG]);
}
