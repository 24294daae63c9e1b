use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use grid_core::{Error, ErrorKind};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::TraceLayer;
use crate::layer::testing::{around, call, unsubscribe};
use crate::sessions::Session;
use crate::support::now;

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
        let (mut service, mut handle) = around(&TraceLayer);
        for fails in [false, true] {
            let outcome = call(&mut service, unsubscribe(&Session::for_tests()));
            let (_, answer) = now(handle.next_request()).unwrap();
            if fails {
                answer.send_error(Error::new(ErrorKind::Protocol, "test", "told to fail"));
            } else {
                answer.send_response(());
            }
            assert_eq!(now(outcome).is_err(), fails, "the outcome passes through");
        }
    });
    assert_eq!(counting.spans.load(Ordering::SeqCst), 2);
    let events = counting.events.lock().unwrap();
    assert_eq!(*events, [tracing::Level::TRACE, tracing::Level::DEBUG]);
}
