//! The table of built-in drivers: naming each one keeps the linker from dropping its crate.

use grid_core::{Driver, Registry};

/// The drivers of all backends whose features are on.
pub static DRIVERS: &[&Driver] = &[
    &grid_core::codec::DRIVER,
    #[cfg(feature = "storage-memory")]
    &grid_storage_memory::DRIVER,
    #[cfg(feature = "storage-mongodb")]
    &grid_storage_mongodb::DRIVER,
    #[cfg(feature = "storage-postgres")]
    &grid_storage_postgres::DRIVER,
    #[cfg(feature = "storage-sqlite")]
    &grid_storage_sqlite::DRIVER,
    #[cfg(feature = "transport-memory")]
    &grid_transport_memory::DRIVER,
    #[cfg(feature = "transport-websocket")]
    &grid_transport_websocket::DRIVER,
];

/// The built-in drivers, before those that other crates submitted.
///
/// ```
/// use hybrid_grid::DriverKind;
///
/// let error = hybrid_grid::registry().find(DriverKind::Storage, "carrier-pigeon").unwrap_err();
/// assert!(error.to_string().contains("carrier-pigeon"));
/// ```
#[must_use]
pub fn registry() -> Registry {
    Registry::new(DRIVERS)
}
