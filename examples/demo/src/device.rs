//! One device: a grid on a SQLite file, behind a network that can be cut.

use std::net::SocketAddr;
use std::path::Path;

use grid_testkit::proxy::{LinkState, Proxy};
use hybrid_grid::{Grid, Map, Result};
use serde::{Deserialize, Serialize};

/// An item of the shopping list that the devices share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// How much to buy.
    pub(crate) amount: u32,
    /// Who wrote this last.
    pub(crate) by: String,
}

/// A device and its user.
#[derive(Debug)]
pub(crate) struct Device {
    /// The user's name.
    pub(crate) name: &'static str,
    /// The shared list.
    pub(crate) list: Map<Item>,
    /// The device's grid.
    pub(crate) grid: Grid,
    network: Proxy,
}

impl Device {
    /// A device whose store lies in `folder`, in front of the server.
    pub(crate) async fn open(
        name: &'static str,
        folder: &Path,
        server: SocketAddr,
    ) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let network = Proxy::start(server).await?;
        let store = folder.join(format!("{name}.db"));
        let grid = Grid::builder()
            .storage(format!("sqlite://{}", store.display()))
            .server(format!("ws://{}", network.address()))
            .open()
            .await?;
        let list = grid.map("shopping")?;
        Ok(Self {
            name,
            list,
            grid,
            network,
        })
    }

    /// Writes an item; it is durable here when this returns.
    pub(crate) async fn put(&self, key: &str, amount: u32) -> Result<()> {
        let item = Item {
            amount,
            by: self.name.to_owned(),
        };
        // What the server says is looked at later, for all writes at once.
        drop(self.list.put(key, &item).await?);
        Ok(())
    }

    /// Removes an item.
    pub(crate) async fn remove(&self, key: &str) -> Result<()> {
        drop(self.list.remove(key).await?);
        Ok(())
    }

    /// Cuts the device off.
    pub(crate) fn cut(&self) {
        self.network.set(LinkState::Cut);
    }

    /// Gives the network back.
    pub(crate) fn heal(&self) {
        self.network.set(LinkState::Up);
        self.grid.connect_now();
    }

    /// How many writes the server has not decided.
    pub(crate) fn pending(&self) -> usize {
        self.grid.status().pending
    }

    /// The list as this device shows it, numbered filler items left out.
    pub(crate) fn shown(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for entry in self.list.iter() {
            let (key, item) = entry?;
            if !key.as_str().starts_with("bulk/") {
                lines.push(format!(
                    "{:<8}{:>3}  by {}",
                    key.as_str(),
                    item.amount,
                    item.by
                ));
            }
        }
        Ok(lines)
    }
}
