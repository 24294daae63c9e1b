//! What goes wrong in a run, and when: faults as data, drawn from the run's seed.

use std::fmt;
use std::time::Duration;

use crate::sim::{Executor, LinkFaults};

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Frames from one device to the server, or back, vanish without a word.
    Cut {
        /// The device, counted from 0.
        device: usize,
        /// Whether the way to the server is cut.
        up: bool,
        /// Whether the way to the device is cut.
        down: bool,
    },
    /// All cuts end, and links are healthy again.
    Heal,
    /// All links treat frames like this.
    Links(LinkFaults),
    /// The server loses its power, with what its disk had not synced, and comes back.
    CrashServer {
        /// Whether the devices are not told.
        silent: bool,
        /// How long it is gone, in milliseconds.
        down_ms: u64,
    },
    /// A device loses its power and comes back.
    CrashDevice {
        /// The device, counted from 0.
        device: usize,
        /// How long it is gone, in milliseconds.
        down_ms: u64,
    },
    /// A device's wall clock is wrong from now on.
    Clock {
        /// The device, counted from 0.
        device: usize,
        /// By how much, in milliseconds.
        offset_ms: i64,
    },
}

/// Faults and when they happen, in order of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Time since the world began, and what happens then.
    pub faults: Vec<(Duration, Fault)>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in &self.faults {
            writeln!(f, "  {:>8.3} s  {fault:?}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

impl Plan {
    /// Between `least` and twice as many faults within `span`, among them at least one crash of
    /// the server and one cut.
    #[must_use]
    pub fn draw(world: &Executor, devices: usize, least: usize, span: Duration) -> Self {
        let count = least + index(world, least + 1);
        let mut faults = vec![crash_server(world), cut(world, devices)];
        while faults.len() < count.max(2) {
            faults.push(match world.below(10) {
                0 => crash_server(world),
                1 | 2 => Fault::CrashDevice {
                    device: index(world, devices),
                    down_ms: world.below(2000),
                },
                3 | 4 => cut(world, devices),
                5 | 6 => Fault::Links(links(world)),
                7 => Fault::Clock {
                    device: index(world, devices),
                    offset_ms: clock(world),
                },
                _ => Fault::Heal,
            });
        }
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut faults: Vec<(Duration, Fault)> = faults
            .into_iter()
            .map(|fault| (Duration::from_millis(world.below(millis)), fault))
            .collect();
        faults.sort_by_key(|(at, _)| *at);
        Self { faults }
    }
}

fn index(world: &Executor, bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
    usize::try_from(world.below(bound)).unwrap_or(0)
}

fn crash_server(world: &Executor) -> Fault {
    Fault::CrashServer {
        silent: world.chance(40),
        down_ms: world.below(1500),
    }
}

fn cut(world: &Executor, devices: usize) -> Fault {
    let up = world.chance(70);
    Fault::Cut {
        device: index(world, devices),
        up,
        down: !up || world.chance(60),
    }
}

/// Ten minutes fast, ten minutes slow, or a little off.
fn clock(world: &Executor) -> i64 {
    match world.below(4) {
        0 => 600_000,
        1 => -600_000,
        _ => i64::try_from(world.below(2000)).unwrap_or(0) - 1000,
    }
}

fn links(world: &Executor) -> LinkFaults {
    LinkFaults {
        delay: (
            Duration::from_millis(world.below(5)),
            Duration::from_millis(5 + world.below(300)),
        ),
        drop_percent: world.below(8),
        duplicate_percent: world.below(8),
        reorder_percent: world.below(8),
        reset_percent: world.below(4),
    }
}
