//! The program `grid` as its user meets it: every exit code, and what it says.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test of real processes panics when something fails, and waits in real time"
)]

mod damaged_journal;
mod device;
mod exit_codes;
mod files;
mod full_disk;
mod interruptions;
mod letters;
mod operating;
mod outage;
mod queries;
mod refusals;
mod refused_database;
mod restored;
