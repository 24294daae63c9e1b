//! The judge of a crash test: what clients were told, what a subscriber saw, and what server,
//! database and clients hold in the end.
//!
//! A crash test runs real processes and kills them under load; which processes, and when, is its
//! own business. Here lives what it needs to say what came of it:
//!
//! - [`Load`] is one client that writes as a [`Habit`] draws, and enters every op and what it was
//!   told about it into a [`Ledger`];
//! - [`Watcher`] speaks the protocol by hand, and enters every change that it is told into a
//!   [`Stream`], through which op it came and under which sequence;
//! - [`read_server`] and [`read_database`] say what those hold;
//! - [`judge`] takes all of that as [`Evidence`], and returns a [`Verdict`]: how many acknowledged
//!   ops are *lost*, how many took effect twice (*doubled*), and where parties *diverged*.
//!
//! The judge trusts neither side: it compares what clients were told with what is there, and knows
//! nothing of how the grid works inside.

mod evidence;
mod gate;
mod habit;
mod judge;
mod ledger;
mod load;
mod observer;
mod readers;
mod stream;
mod verdict;

pub use evidence::{Database, Evidence, Held, Place, ServerState, State};
pub use gate::Gate;
pub use habit::{Draw, Habit};
pub use judge::judge;
pub use ledger::{Ledger, Told, Write};
pub use load::Load;
pub use observer::{Watcher, read_server};
pub use readers::{read_client, read_database};
pub use stream::Stream;
pub use verdict::Verdict;
