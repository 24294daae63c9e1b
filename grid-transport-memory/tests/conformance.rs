//! The memory transport passes the suite.

use std::sync::Arc;

use grid_core::traits::Transport;
use grid_testkit::conformance::transport::TransportFixture;
use grid_transport_memory::{MemoryHub, MemoryTransport};

#[derive(Default)]
struct Fixture(MemoryHub);

impl TransportFixture for Fixture {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(MemoryTransport::new(self.0.clone()))
    }

    fn url(&self) -> String {
        "memory:conformance".to_owned()
    }
}

grid_testkit::transport_conformance!(transport, Fixture);
