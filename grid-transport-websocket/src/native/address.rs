//! Host and port in a `ws://` URL.

use std::fmt;
use std::net::Ipv6Addr;

use grid_core::{Error, ErrorKind, Result};
use tokio_tungstenite::tungstenite::http::Uri;

/// The port of `ws://` when none is named.
const DEFAULT_PORT: u16 = 80;

/// The host and the port in a `ws://` URL. What else the URL holds, a password for one, is not
/// kept, so it is never shown.
///
/// ```
/// use grid_transport_websocket::Address;
///
/// let address = Address::parse("connect", "ws://me:secret@grid.example:7171/path")?;
/// assert_eq!(address.to_string(), "grid.example:7171");
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The address in `url`; `operation` is what an error names as having failed.
    ///
    /// # Errors
    /// `Invalid` when it is no such URL, `Unsupported` when it asks for TLS.
    pub fn parse(operation: &'static str, url: &str) -> Result<Self> {
        let invalid = || {
            Error::new(
                ErrorKind::Invalid,
                operation,
                "the URL of a WebSocket is ws://HOST:PORT, with a port up to 65535",
            )
        };
        if url.starts_with("wss:") {
            let message = "TLS is not built in: use ws:// within a trusted network, or through a \
                           tunnel or proxy that encrypts";
            return Err(Error::new(ErrorKind::Unsupported, operation, message));
        }
        let uri: Uri = url
            .parse()
            .map_err(|cause| invalid().with_source(Box::new(cause)))?;
        let authority = uri.authority().ok_or_else(invalid)?;
        let host = authority.host();
        // What the library takes for the host may be only the start of it.
        let place = authority.as_str();
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        let behind = place.strip_prefix(host).ok_or_else(invalid)?;
        let port = match behind.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| invalid())?,
            None if behind.is_empty() => DEFAULT_PORT,
            None => return Err(invalid()),
        };
        if uri.scheme_str() != Some("ws") || !is_host(host) {
            return Err(invalid());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// What the resolver takes: an IPv6 address without its brackets.
    pub(super) fn endpoint(&self) -> (&str, u16) {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        (host, self.port)
    }
}

/// Brackets stand around an IPv6 address and nowhere else; the library lets others pass behind an
/// `@`.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && !host.contains(['[', ']']),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> (String, u16) {
        let address = Address::parse("test", url).unwrap();
        let (host, port) = address.endpoint();
        (host.to_owned(), port)
    }

    #[test]
    fn host_and_port_are_found() {
        assert_eq!(endpoint("ws://127.0.0.1:7171"), ("127.0.0.1".into(), 7171));
        assert_eq!(
            endpoint("ws://grid.example/a?b"),
            ("grid.example".into(), 80)
        );
        assert_eq!(endpoint("ws://[::1]:9"), ("::1".into(), 9));
    }

    #[test]
    fn anything_else_is_invalid() {
        for url in [
            "",
            "ws:",
            "ws://",
            "http://a:1",
            "127.0.0.1:7171",
            "ws://a:b",
            "ws://a[::1]:9",
            "ws://[::1]9",
            "ws://h[@(]",
            "ws://[::1@]",
            "ws://me@]:9",
            "ws://[h]:9",
            "ws://[]:9",
            "ws://a b",
        ] {
            let error = Address::parse("test", url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
        }
    }

    #[test]
    fn encryption_that_is_not_built_in_is_told_as_such() {
        let error = Address::parse("test", "wss://me:secret@host:1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("TLS"), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn a_password_is_never_shown() {
        let address = Address::parse("test", "ws://me:secret@host:1").unwrap();
        assert_eq!(address.to_string(), "host:1");
        for url in [
            "ws://me:secret@host:x",
            "ws://me:secret@",
            "ws://me:sec ret@h:1",
        ] {
            let error = Address::parse("test", url).unwrap_err();
            assert!(!error.to_string().contains("ret"), "{error}");
        }
    }
}
