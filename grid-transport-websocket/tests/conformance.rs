//! The WebSocket transport passes the suite.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::sync::Arc;

use grid_core::traits::Transport;
use grid_runtime_tokio::TokioRuntime;
use grid_testkit::conformance::transport::TransportFixture;
use grid_transport_websocket::WebSocketTransport;

struct Fixture(tokio::runtime::Runtime);

impl Default for Fixture {
    fn default() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        Self(runtime.expect("a runtime starts"))
    }
}

impl TransportFixture for Fixture {
    fn transport(&self) -> Arc<dyn Transport> {
        let runtime = TokioRuntime::new(self.0.handle().clone());
        Arc::new(WebSocketTransport::new(Arc::new(runtime)))
    }

    fn url(&self) -> String {
        "ws://127.0.0.1:0".to_owned()
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}

grid_testkit::transport_conformance!(transport, Fixture);
