//! A port for a server that comes and goes.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Below the ports from which systems take those of outgoing connections: a client that looks for
/// its killed server must not take the server's own port, and connect to itself.
const PORTS: std::ops::Range<u16> = 15_000..32_000;
/// How many are tried.
const TRIES: u32 = 200;

/// A port of 127.0.0.1 that nobody listens on now.
pub(crate) fn steady_port() -> io::Result<u16> {
    let mut last = None;
    for _ in 0..TRIES {
        let port = fastrand::u16(PORTS);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("no port was tried")))
}
