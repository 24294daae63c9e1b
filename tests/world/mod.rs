//! What the tests of whole promises share: a server and devices on real sockets of this machine,
//! clocks that are wrong as told, and a look at everything that goes over the wire.

mod clock;
mod horizon;
mod site;
mod tap;
mod value;

pub(crate) use clock::WrongClock;
pub(crate) use horizon::Horizons;
pub(crate) use site::{
    Site, address, agree, contents, flushed, offline, soon, through, verdict, within,
};
pub(crate) use tap::{Direction, Seen, Tap};
pub(crate) use value::{Customer, customer};
