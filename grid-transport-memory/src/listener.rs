//! A name at which connections arrive.

use std::sync::Arc;

use async_trait::async_trait;
use grid_core::traits::{Connection, Listener};
use grid_core::{Error, ErrorKind, Result};

use crate::backlog::Backlog;
use crate::hub::MemoryHub;

/// Holds its name until it is closed or dropped.
#[derive(Debug)]
pub(crate) struct MemoryListener {
    hub: MemoryHub,
    name: String,
    backlog: Arc<Backlog>,
}

impl MemoryListener {
    /// Takes `name` on `hub`.
    pub(crate) fn bind(hub: MemoryHub, name: &str) -> Result<Self> {
        let backlog = hub.bind(name)?;
        Ok(Self {
            hub,
            name: name.to_owned(),
            backlog,
        })
    }

    fn shut(&self) {
        self.hub.release(&self.name, &self.backlog);
        self.backlog.close();
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.shut();
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Listener for MemoryListener {
    fn url(&self) -> String {
        format!("memory:{}", self.name)
    }

    async fn accept(&self) -> Result<Arc<dyn Connection>> {
        match self.backlog.next().await {
            Some(connection) => Ok(Arc::new(connection)),
            None => Err(
                Error::new(ErrorKind::Closed, "accept", "the listener is closed")
                    .with("address", self.url()),
            ),
        }
    }

    async fn close(&self) {
        self.shut();
    }
}
