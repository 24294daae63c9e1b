//! How this backend makes itself known.

use std::sync::Arc;

use grid_core::Driver;

use crate::{MemoryHub, MemoryTransport};

/// Serves `memory:NAME` on the hub of the process.
pub static DRIVER: Driver = Driver::new("memory transport", &["memory"])
    .with_transport(|_runtime| Arc::new(MemoryTransport::new(MemoryHub::global())));

grid_core::export::inventory::submit! { &DRIVER }

#[cfg(test)]
mod tests {
    use super::*;
    use grid_core::{DriverKind, Registry};

    #[test]
    fn the_inventory_finds_it() {
        let found = Registry::default()
            .find(DriverKind::Transport, "memory")
            .unwrap();
        assert_eq!(found.name, DRIVER.name);
    }
}
