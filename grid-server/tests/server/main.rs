//! The server over a memory transport, driven by hand, in the simulated world's time.

mod catching_up;
mod handshake;
mod pushing;
#[cfg(test)]
mod support;
