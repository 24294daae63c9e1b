//! Histories of what sessions asked for and were told, and checkers of what must follow from
//! them.
//!
//! A [`History`] is plain data: calls and their returns, streams of applied ops, and what every
//! party holds at the end. A [`Recorder`] writes one down, in a simulation or around real
//! processes, whose files (JSON Lines) can be merged by time. A checker reads it and answers
//! whether a promise was kept. It knows nothing of how the grid works inside, which is the point:
//! it judges what users could see.
//!
//! | checker | asks | works on |
//! | --- | --- | --- |
//! | [`check_linearizable`] | does every key at the server behave as one register? | writes, their acks, reads of the [server](Source::Server) |
//! | [`check_sessions`] | may a session trust what it has seen and written? | writes, reads of its [own copy](Source::Local) |
//! | [`check_convergence`] | do all end with the same? | final states |
//! | [`check_outcomes`] | did every write end as it was told? | all of it |
//!
//! # Recording a run
//!
//! Record a call *before* it is made and its return *after* it came back, so that the time it
//! took effect lies between them. Time is handed in: a simulator's, or nanoseconds since a moment
//! that all processes share. Put a value of its own with every write (its number will do): then
//! every read shows which write it saw, and the checkers decide more.
//!
//! A write returns twice: when it is durable on the device, and when its fate is told. Where the
//! process died before a return, record nothing: such a write is *unknown*, and may take effect
//! at any later time or never. It is never assumed to be absent.
//!
//! ```
//! use std::collections::BTreeMap;
//! use grid_core::{OpId, RunId};
//! use grid_testkit::history::{
//!     Action, FinalState, Outcome, Recorder, Seen, Source, check_convergence,
//!     check_linearizable, check_outcomes, check_sessions,
//! };
//!
//! let recorder = Recorder::new();
//!
//! // The phone writes, and is told that the write is durable, and later that it is acked.
//! let put = recorder.call(1_000, "phone", Action::put("lists", "milk", 1));
//! recorder.durable(2_000, &put, OpId { run: RunId(7), number: 1 });
//! let own = recorder.call(2_500, "phone", Action::get(Source::Local, "lists", "milk"));
//! recorder.returned(2_600, &own, Outcome::Read(Seen::value(1)));
//! recorder.returned(9_000, &put, Outcome::acked());
//!
//! // The laptop dies while it writes.
//! recorder.call(9_500, "laptop", Action::put("lists", "bread", 2));
//!
//! // Somebody asks the server.
//! let get = recorder.call(10_000, "auditor", Action::get(Source::Server, "lists", "milk"));
//! recorder.returned(11_000, &get, Outcome::Read(Seen::value(1)));
//!
//! // In the end both hold the same. The laptop's write has come through, as it may.
//! let entries = BTreeMap::from([
//!     ("milk".to_owned(), Seen::value(1)),
//!     ("bread".to_owned(), Seen::value(2)),
//! ]);
//! for party in ["phone", "server"] {
//!     let (map, entries) = ("lists".to_owned(), entries.clone());
//!     recorder.state(99_000, party, FinalState { map, entries, settled: true });
//! }
//!
//! let history = recorder.history();
//! check_linearizable(&history)?;
//! check_sessions(&history)?;
//! check_convergence(&history)?;
//! let fates = check_outcomes(&history)?;
//! assert_eq!((fates.acked, fates.unknown.len()), (1, 1));
//! # Ok::<(), grid_testkit::history::Violation>(())
//! ```
//!
//! # When something is wrong
//!
//! A [`Violation`] names the [`Guarantee`], says in words what happened, and carries the events
//! that show it and no more: printing it is the report. A checker that could not decide says so
//! ([`Finding::Undecided`]) instead of passing, and one that passes tells how much it rests on
//! ([`Checked`], [`Fates`]): assert that too, because an empty history breaks no promise.
//!
//! # What the checkers cannot see
//!
//! They judge what was recorded. Without versions (in acks, reads of the server, streams or final
//! states) it is often impossible to say which of two overlapping writes should have won. Record
//! versions that the server gave; never those of writes that are still pending.

mod action;
mod convergence;
mod event;
#[expect(
    clippy::module_inception,
    reason = "the main type of the module has its name, and a file of its own"
)]
mod history;
mod linearizable;
mod operation;
mod outcome;
mod outcomes;
mod recorder;
mod seen;
mod sessions;
mod text;
mod value;
mod violation;

pub use action::{Action, Source};
pub use convergence::check_convergence;
pub use event::{Applied, Call, Event, FinalState, Happening};
pub use history::{BadLine, History};
pub use linearizable::{MAX_CONFIGURATIONS, check_linearizable, check_linearizable_within};
pub use outcome::Outcome;
pub use outcomes::{Fates, check_outcomes};
pub use recorder::Recorder;
pub use seen::Seen;
pub use sessions::check_sessions;
pub use value::Value;
pub use violation::{Checked, Finding, Guarantee, Violation};
