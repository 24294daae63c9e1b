//! What holds after every step of every run. One file each; adding one is a file and a line here.

mod backed;
mod corrections;
mod cursors;
mod once;
mod order;
mod owners;
mod repairs;
mod revivals;
mod sent;
mod stamps;
mod verdicts;
mod views;
mod windows;
mod write_behind;

use std::sync::Arc;

use super::invariant::Invariant;

pub(super) use views::Views;

type Make = Arc<dyn Fn() -> Box<dyn Invariant> + Send + Sync>;

/// All of them.
pub(super) fn all() -> Vec<Make> {
    vec![
        Arc::new(|| Box::new(once::AppliedOnce::default())),
        Arc::new(|| Box::new(order::DeviceOrder::default())),
        Arc::new(|| Box::new(revivals::NoRevival::default())),
        Arc::new(|| Box::new(stamps::BoundedStamps::default())),
        Arc::new(|| Box::new(repairs::RepairsAreDue::default())),
        Arc::new(|| Box::new(verdicts::VerdictsAreTrue::default())),
        Arc::new(|| Box::new(windows::WindowKept::default())),
        Arc::new(|| Box::new(cursors::CursorsNeverSkip::default())),
        Arc::new(|| Box::new(owners::OneOwnerAcks::default())),
        Arc::new(|| Box::new(corrections::FastClocksAreCorrected::default())),
        Arc::new(|| Box::new(write_behind::DatabaseFollows::default())),
    ]
}
