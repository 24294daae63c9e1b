//! Drivers: how a backend makes itself known, and how a URL finds its backend.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::maybe_send::BoxFuture;
use crate::traits::{Codec, Persistence, Runtime, Storage, Transport};

/// Opens a local store. The URL reaches the driver untouched.
pub type OpenStorage = fn(String, Arc<dyn Runtime>) -> BoxFuture<'static, Result<Arc<dyn Storage>>>;
/// Opens a system of record. The URL reaches the driver untouched.
pub type OpenPersistence =
    fn(String, Arc<dyn Runtime>) -> BoxFuture<'static, Result<Arc<dyn Persistence>>>;
/// Makes a transport.
pub type OpenTransport = fn(Arc<dyn Runtime>) -> Arc<dyn Transport>;
/// Makes a codec.
pub type OpenCodec = fn() -> Arc<dyn Codec>;
/// Makes a layer of a server's pipeline. What it is made of only the server knows, which takes it
/// back as what it is. The URL reaches the driver untouched.
pub type OpenLayer =
    fn(String, Arc<dyn Runtime>) -> BoxFuture<'static, Result<Box<dyn Any + Send + Sync>>>;

/// What a driver can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriverKind {
    /// A client's local store.
    Storage,
    /// A server's system of record.
    Persistence,
    /// A transport.
    Transport,
    /// A codec; its scheme is the codec's name.
    Codec,
    /// A layer of a server's pipeline.
    Layer,
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Storage => "storage",
            Self::Persistence => "persistence",
            Self::Transport => "transport",
            Self::Codec => "codec",
            Self::Layer => "layer",
        })
    }
}

/// A backend: its name, its URL schemes, and what it can open.
///
/// Each backend crate exports one as `DRIVER` and submits it:
///
/// ```
/// use grid_core::Driver;
///
/// pub static DRIVER: Driver = Driver::new("example", &["example"]);
/// grid_core::export::inventory::submit! { &DRIVER }
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Driver {
    /// The backend's name.
    pub name: &'static str,
    /// The URL schemes that it serves: each a letter, then letters, digits, `+`, `-` and `.`
    /// ([RFC 3986, section 3.1](https://www.rfc-editor.org/rfc/rfc3986#section-3.1)).
    pub schemes: &'static [&'static str],
    /// Opens a local store, if it can.
    pub storage: Option<OpenStorage>,
    /// Opens a system of record, if it can.
    pub persistence: Option<OpenPersistence>,
    /// Makes a transport, if it can.
    pub transport: Option<OpenTransport>,
    /// Makes a codec, if it can.
    pub codec: Option<OpenCodec>,
    /// Makes a layer of a server's pipeline, if it can.
    pub layer: Option<OpenLayer>,
}

inventory::collect!(&'static Driver);

impl Driver {
    /// A driver that opens nothing yet; add what it can with the `with_…` functions.
    #[must_use]
    pub const fn new(name: &'static str, schemes: &'static [&'static str]) -> Self {
        Self {
            name,
            schemes,
            storage: None,
            persistence: None,
            transport: None,
            codec: None,
            layer: None,
        }
    }

    /// Adds a local store.
    #[must_use]
    pub const fn with_storage(mut self, open: OpenStorage) -> Self {
        self.storage = Some(open);
        self
    }

    /// Adds a system of record.
    #[must_use]
    pub const fn with_persistence(mut self, open: OpenPersistence) -> Self {
        self.persistence = Some(open);
        self
    }

    /// Adds a transport.
    #[must_use]
    pub const fn with_transport(mut self, open: OpenTransport) -> Self {
        self.transport = Some(open);
        self
    }

    /// Adds a codec.
    #[must_use]
    pub const fn with_codec(mut self, open: OpenCodec) -> Self {
        self.codec = Some(open);
        self
    }

    /// Adds a layer of a server's pipeline.
    #[must_use]
    pub const fn with_layer(mut self, open: OpenLayer) -> Self {
        self.layer = Some(open);
        self
    }

    fn serves(&self, kind: DriverKind) -> bool {
        match kind {
            DriverKind::Storage => self.storage.is_some(),
            DriverKind::Persistence => self.persistence.is_some(),
            DriverKind::Transport => self.transport.is_some(),
            DriverKind::Codec => self.codec.is_some(),
            DriverKind::Layer => self.layer.is_some(),
        }
    }
}

/// A scheme that some crate of this project serves, and the Cargo feature that brings it.
#[derive(Debug, Clone, Copy)]
struct Known {
    scheme: &'static str,
    kind: DriverKind,
    feature: &'static str,
}

const KNOWN: &[Known] = &[
    Known {
        scheme: "memory",
        kind: DriverKind::Storage,
        feature: "storage-memory",
    },
    Known {
        scheme: "memory",
        kind: DriverKind::Persistence,
        feature: "storage-memory",
    },
    Known {
        scheme: "sqlite",
        kind: DriverKind::Storage,
        feature: "storage-sqlite",
    },
    Known {
        scheme: "sqlite",
        kind: DriverKind::Persistence,
        feature: "storage-sqlite",
    },
    Known {
        scheme: "mongodb",
        kind: DriverKind::Persistence,
        feature: "storage-mongodb",
    },
    Known {
        scheme: "postgres",
        kind: DriverKind::Persistence,
        feature: "storage-postgres",
    },
    Known {
        scheme: "postgresql",
        kind: DriverKind::Persistence,
        feature: "storage-postgres",
    },
    Known {
        scheme: "memory",
        kind: DriverKind::Transport,
        feature: "transport-memory",
    },
    Known {
        scheme: "ws",
        kind: DriverKind::Transport,
        feature: "transport-websocket",
    },
];

/// What to do where a URL asks for TLS.
const NO_TLS: &str = "; TLS is not built in: use ws:// within a trusted network, or through a \
                      tunnel or proxy that encrypts";

/// The drivers that can be looked up: explicit ones first, then the facade's table, then what
/// was submitted to the inventory.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    drivers: Vec<&'static Driver>,
}

impl Registry {
    /// A registry of the drivers in `table`, before those of the inventory.
    #[must_use]
    pub fn new(table: &[&'static Driver]) -> Self {
        Self {
            drivers: table.to_vec(),
        }
    }

    /// Puts `driver` before all others.
    pub fn register(&mut self, driver: &'static Driver) {
        self.drivers.insert(0, driver);
    }

    /// Opens the local store at `url`.
    ///
    /// # Errors
    /// `Invalid` when `url` starts with no scheme, `Unsupported` when no driver serves it;
    /// otherwise what the driver says.
    pub async fn open_storage(
        &self,
        url: &str,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Arc<dyn Storage>> {
        let driver = self.find(DriverKind::Storage, scheme_of(DriverKind::Storage, url)?)?;
        open_with(driver.storage, DriverKind::Storage)?(url.to_owned(), runtime).await
    }

    /// Opens the system of record at `url`.
    ///
    /// # Errors
    /// `Invalid` when `url` starts with no scheme, `Unsupported` when no driver serves it;
    /// otherwise what the driver says.
    pub async fn open_persistence(
        &self,
        url: &str,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Arc<dyn Persistence>> {
        let driver = self.find(
            DriverKind::Persistence,
            scheme_of(DriverKind::Persistence, url)?,
        )?;
        open_with(driver.persistence, DriverKind::Persistence)?(url.to_owned(), runtime).await
    }

    /// Makes the transport of `url`.
    ///
    /// # Errors
    /// `Invalid` when `url` starts with no scheme, `Unsupported` when no driver serves it.
    pub fn transport(&self, url: &str, runtime: Arc<dyn Runtime>) -> Result<Arc<dyn Transport>> {
        let driver = self.find(
            DriverKind::Transport,
            scheme_of(DriverKind::Transport, url)?,
        )?;
        Ok(open_with(driver.transport, DriverKind::Transport)?(runtime))
    }

    /// Makes the codec named `name`.
    ///
    /// # Errors
    /// `Unsupported` when no driver has that name.
    pub fn codec(&self, name: &str) -> Result<Arc<dyn Codec>> {
        let driver = self.find(DriverKind::Codec, name)?;
        Ok(open_with(driver.codec, DriverKind::Codec)?())
    }

    /// Opens the layer at `url`.
    ///
    /// # Errors
    /// `Invalid` when `url` starts with no scheme, `Unsupported` when no driver serves it;
    /// otherwise what the driver says.
    pub async fn open_layer(
        &self,
        url: &str,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Box<dyn Any + Send + Sync>> {
        let driver = self.find(DriverKind::Layer, scheme_of(DriverKind::Layer, url)?)?;
        open_with(driver.layer, DriverKind::Layer)?(url.to_owned(), runtime).await
    }

    /// Finds the driver for `scheme`.
    ///
    /// # Errors
    /// `Unsupported`, listing the known schemes and the feature that would add this one.
    pub fn find(&self, kind: DriverKind, scheme: &str) -> Result<&'static Driver> {
        self.all()
            .find(|driver| driver.serves(kind) && driver.schemes.contains(&scheme))
            .ok_or_else(|| unknown(kind, scheme, self))
    }

    fn all(&self) -> impl Iterator<Item = &'static Driver> {
        self.drivers
            .iter()
            .copied()
            .chain(inventory::iter::<&'static Driver>().copied())
    }
}

/// The opener of `kind`, which [`Registry::find`] made sure of.
fn open_with<T>(opener: Option<T>, kind: DriverKind) -> Result<T> {
    opener.ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            "select driver",
            format!("found no {kind} opener"),
        )
    })
}

/// The scheme of a URL: what stands before the first `:`, if it can be one. Of a URL, errors show
/// no more than that: in anything else a password may have been typed.
fn scheme_of(kind: DriverKind, url: &str) -> Result<&str> {
    match url.split_once(':') {
        Some((scheme, _)) if is_scheme(scheme) => Ok(scheme),
        _ => {
            let example = match kind {
                DriverKind::Storage | DriverKind::Persistence => "sqlite://notes.db",
                DriverKind::Transport => "ws://127.0.0.1:7171",
                DriverKind::Codec => "cbor:",
                DriverKind::Layer => "audit-log:audit.jsonl",
            };
            // With one of these it may hold a password all the same.
            let shown = if url.contains(['@', ':']) {
                "this".to_owned()
            } else {
                format!("`{url}`")
            };
            let message = format!("{shown} is no URL of a {kind}: that starts as in {example}");
            Err(Error::new(ErrorKind::Invalid, "select driver", message))
        }
    }
}

/// Whether `text` is a scheme as RFC 3986 has it.
fn is_scheme(text: &str) -> bool {
    let of_schemes = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(of_schemes)
}

fn unknown(kind: DriverKind, scheme: &str, registry: &Registry) -> Error {
    let mut known: Vec<&str> = registry
        .all()
        .filter(|driver| driver.serves(kind))
        .flat_map(|driver| driver.schemes.iter().copied())
        .collect();
    known.sort_unstable();
    known.dedup();
    let have = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    let hint = KNOWN
        .iter()
        .find(|entry| entry.kind == kind && entry.scheme == scheme)
        .map(|entry| format!("; enable the Cargo feature `{}` to add it", entry.feature))
        .or_else(|| (kind == DriverKind::Transport && scheme == "wss").then(|| NO_TLS.to_owned()))
        .unwrap_or_default();
    Error::new(
        ErrorKind::Unsupported,
        "select driver",
        format!("no {kind} driver serves the scheme `{scheme}`; there are: {have}{hint}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_a_letter_and_then_letters_digits_and_three_signs() {
        for url in ["ws:", "WS://a", "a+b-c.9:x", "postgres://me:pw@h", "z::"] {
            let scheme = scheme_of(DriverKind::Storage, url).unwrap();
            assert_eq!(scheme, &url[..scheme.len()]);
            assert!(url[scheme.len()..].starts_with(':'), "{url}");
        }
        for url in [
            "", ":", "9p:x", "+a:x", "a b:x", "a_b:x", "a@b:x", "a/b:x", "ä:x", "ws",
        ] {
            let error = scheme_of(DriverKind::Storage, url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.message().contains("sqlite://notes.db"), "{error}");
        }
    }

    /// A scheme is named, and so is what has no place for a password. Nothing else is.
    #[test]
    fn what_may_hold_a_password_is_not_named() {
        let refusal = |url| {
            let registry = Registry::default();
            let error = scheme_of(DriverKind::Transport, url)
                .and_then(|scheme| registry.find(DriverKind::Transport, scheme))
                .unwrap_err();
            error.to_string()
        };
        for url in [
            "me@secret:7171",
            "//me:secret@host",
            "/secret:1",
            "me secret:x@host",
            "secret@host",
            ":secret@host",
            "pigeon://me:secret@host",
        ] {
            assert!(!refusal(url).contains("secret"), "{}", refusal(url));
        }
        assert!(refusal("pigeon://host").contains("`pigeon`"));
        assert!(refusal("host.example").contains("`host.example`"));
    }
}
