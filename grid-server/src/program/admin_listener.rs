//! The socket on which operators ask.

use std::net::SocketAddr;

use crate::config::Settings;
use crate::{Admin, AdminRoutes};
use grid_core::traits::Runtime;
use grid_core::{Error, ErrorKind, Result};
use tokio::net::TcpListener;

use super::data_dir::DataDir;

/// The port where `grid admin` looks for it.
const DEFAULT_PORT: u16 = 7172;
/// The setting that stands for no listener.
const OFF: &str = "off";

/// The socket on which operators ask.
#[derive(Debug)]
pub(super) struct AdminListener {
    socket: TcpListener,
    address: SocketAddr,
    hosts: Vec<String>,
}

impl AdminListener {
    /// Takes the port that the settings name; none when they say `off`.
    ///
    /// # Errors
    /// `Invalid` when the address cannot be, or is reached from other machines and nobody allowed
    /// that; `Locked` when another program has the port.
    pub(super) async fn bind(settings: &Settings) -> Result<Option<Self>> {
        let named = settings.admin.as_str();
        if named.eq_ignore_ascii_case(OFF) {
            return Ok(None);
        }
        let hosts: Vec<String> = hosts(&settings.admin_hosts);
        let wanted = if named.contains(':') && !named.ends_with(']') {
            named.to_owned()
        } else {
            format!("{named}:{DEFAULT_PORT}")
        };
        let addresses = tokio::net::lookup_host(&wanted).await.map_err(|error| {
            let message = "`admin` must be host:port, as in 127.0.0.1:7172, or `off`";
            failed(ErrorKind::Invalid, named, message).with_source(error)
        })?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        if hosts.is_empty() && !addresses.iter().all(|address| address.ip().is_loopback()) {
            let message = "`admin` names an address that other machines reach, and it asks nobody \
                           who they are: name 127.0.0.1 or [::1], or allow it by naming in \
                           `admin_hosts` the hosts that operators ask for";
            return Err(failed(ErrorKind::Invalid, named, message));
        }
        let bound = TcpListener::bind(&*addresses).await;
        let socket = bound.map_err(|error| {
            let (kind, message) = match error.kind() {
                std::io::ErrorKind::AddrInUse => (
                    ErrorKind::Locked,
                    "another program has the port of `admin`; stop that one, or name another port \
                     (--admin 127.0.0.1:PORT), or none (--admin off)",
                ),
                _ => (ErrorKind::Io, "`admin` cannot be listened on"),
            };
            failed(kind, named, message).with_source(error)
        })?;
        let address = socket.local_addr().map_err(|error| {
            failed(ErrorKind::Io, named, "the port is not known").with_source(error)
        })?;
        Ok(Some(Self {
            socket,
            address,
            hosts,
        }))
    }

    /// Answers until the program ends; returns where, as a URL.
    pub(super) fn serve(self, admin: Admin, runtime: &dyn Runtime, data_dir: &DataDir) -> String {
        let url = format!("http://{}", self.address);
        let routes = AdminRoutes::new(admin)
            .hosts(self.hosts)
            .journal_bytes(data_dir.journal_bytes());
        let router = routes.into_router();
        let task = async move {
            if let Err(error) = axum::serve(self.socket, router).await {
                tracing::error!(%error, "operators are not answered any more");
            }
        };
        runtime.spawn("admin", Box::pin(task));
        url
    }
}

fn hosts(list: &str) -> Vec<String> {
    let each = list.split(',').map(str::trim);
    let named = each.filter(|host| !host.is_empty());
    named
        .map(|host| host.trim_matches(['[', ']']).to_owned())
        .collect()
}

fn failed(kind: ErrorKind, named: &str, message: &str) -> Error {
    Error::new(kind, "listen for operators", message).with("admin", named)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bind(admin: &str, hosts: &str) -> Result<Option<AdminListener>> {
        let settings = Settings {
            admin: admin.to_owned(),
            admin_hosts: hosts.to_owned(),
            ..Settings::default()
        };
        AdminListener::bind(&settings).await
    }

    #[tokio::test]
    async fn an_address_that_others_reach_is_taken_only_when_that_is_allowed() {
        let error = bind("0.0.0.0:0", "").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("`admin_hosts`"), "{error}");
        let listener = bind("0.0.0.0:0", "grid-1, [fd00::1],").await;
        assert_eq!(listener.unwrap().unwrap().hosts, ["grid-1", "fd00::1"]);
        assert!(bind("127.0.0.1:0", "").await.unwrap().is_some());
        assert!(bind("off", "").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_taken_port_and_an_impossible_address_name_the_setting() {
        let first = bind("127.0.0.1:0", "").await.unwrap().unwrap();
        let error = bind(&first.address.to_string(), "").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains("--admin off"), "{error}");
        for wrong in ["127.0.0.1:x", "no such host.invalid:1", "127.0.0.1:99999"] {
            let error = bind(wrong, "").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains("`admin`"), "{error}");
        }
    }
}
