//! What must hold after every step.

use std::fmt;
use std::time::Duration;

use grid_client::Grid;
use grid_core::op::{AckLevel, Op, OpId};
use grid_server::Handle;

use super::event::Event;
use super::world::World;

/// Something that must hold all the time, not only in the end.
///
/// ```
/// use grid_testkit::scenario::{Event, Invariant, Simulation, View};
///
/// /// No device sends more than this in one frame.
/// #[derive(Debug)]
/// struct SmallFrames(usize);
///
/// impl Invariant for SmallFrames {
///     fn name(&self) -> &'static str {
///         "frames are small"
///     }
///
///     fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
///         match event {
///             Event::Frame { bytes, .. } if *bytes > self.0 => {
///                 Err(format!("{bytes} bytes in one frame at {:?}", view.now()))
///             }
///             _ => Ok(()),
///         }
///     }
/// }
///
/// let simulation = Simulation::new("small frames")
///     .ops_per_device(5)
///     .invariant(|| Box::new(SmallFrames(10)));
/// let outcome = simulation.run(1);
/// assert!(outcome.failure.is_some_and(|failure| failure.contains("frames are small")));
/// ```
pub trait Invariant: Send + fmt::Debug {
    /// What holds, in a few words.
    fn name(&self) -> &'static str;

    /// Looks at something that just happened.
    ///
    /// # Errors
    /// What does not hold, in words.
    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String>;
}

/// The world, to look at between two steps.
#[derive(Debug)]
pub struct View<'a> {
    pub(super) world: &'a World,
    pub(super) now: Duration,
}

impl View<'_> {
    /// Time since the world began when the event happened.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The true wall clock, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.world.true_ms(self.now)
    }

    /// How long the servers remember removals.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_millis(self.world.simulation.settings.retention_ms)
    }

    /// How far a stamp may be ahead of a server's clock before the server sets it back, in
    /// milliseconds.
    #[must_use]
    pub fn allowed_drift_ms(&self) -> u64 {
        self.world.simulation.settings.allowed_drift_ms
    }

    /// Whether servers stamp anew what fast clocks have stamped, and nothing else. They do not
    /// where the drift that they allow is very small or very large.
    #[must_use]
    pub fn restamps_tell(&self) -> bool {
        self.world.simulation.restamps_tell()
    }

    /// When a device is told what became of an op.
    #[must_use]
    pub fn ack_level(&self, op: &Op) -> AckLevel {
        let levels = &self.world.simulation.settings.ack_levels;
        op.ack.unwrap_or_else(|| levels.of(&op.map))
    }

    /// Whether the device of an op that was pushed is told before the journal has it.
    pub(super) fn is_in_memory(&self, op: OpId) -> bool {
        self.world.ledger.is_in_memory(op)
    }

    /// How many changes of a partition may wait for the database before no more ops are taken.
    #[must_use]
    pub fn backlog_records(&self) -> u64 {
        self.world.simulation.settings.backlog_records as u64
    }

    /// Whether the later of two writes wins, as it does unless the simulation has a merge rule.
    #[must_use]
    pub fn later_wins(&self) -> bool {
        self.world.simulation.resolver.is_none()
    }

    /// The grid of a device that is up.
    #[must_use]
    pub fn grid(&self, device: usize) -> Option<Grid> {
        self.world.grid(device)
    }

    /// The way into a server that is up.
    #[must_use]
    pub fn server(&self, server: usize) -> Option<Handle> {
        self.world.server_handle(server)
    }
}
