//! How this backend makes itself known.

use std::sync::Arc;

use grid_core::Driver;

use crate::WebSocketTransport;

/// Serves `ws://HOST:PORT`.
pub static DRIVER: Driver = Driver::new("websocket", &["ws"])
    .with_transport(|runtime| Arc::new(WebSocketTransport::new(runtime)));

grid_core::export::inventory::submit! { &DRIVER }

#[cfg(test)]
mod tests {
    use super::*;
    use grid_core::{DriverKind, Registry};

    #[test]
    fn the_inventory_finds_it() {
        let found = Registry::default()
            .find(DriverKind::Transport, "ws")
            .unwrap();
        assert_eq!(found.name, DRIVER.name);
    }
}
