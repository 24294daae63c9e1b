//! Every short life of a clock whose bound is stored: ticks at any wall time, instants of others,
//! crashes before and after the store.

use grid_core::{Clock, ClockBound, Hlc};

use crate::lives::each_life;

/// Wall times, in milliseconds: back, again, forward, and beyond one lead of the bound.
const WALL_MS: [u64; 4] = [0, 1, 2, 25_000];
/// What others may say: a counter that is about to be full, one that is, and a later time.
const SEEN: [Hlc; 3] = [
    Hlc::new(1, u16::MAX - 1),
    Hlc::new(2, u16::MAX),
    Hlc::new(24_999, u16::MAX),
];
/// Things that happen in one life; all of 11 ^ 5 lives are lived.
const LENGTH: u32 = 5;

#[derive(Debug, Clone, Copy)]
enum Step {
    Tick(u64),
    /// The bound is stored, and the process dies before it issues what it wanted to.
    TickAndDie(u64),
    Absorb(Hlc),
}

fn steps() -> Vec<Step> {
    let ticks = WALL_MS.map(Step::Tick);
    let deaths = WALL_MS.map(Step::TickAndDie);
    [&ticks[..], &deaths, &SEEN.map(Step::Absorb)].concat()
}

#[derive(Debug, Clone)]
struct Owner {
    clock: Clock,
    /// What is on its disk.
    bound: ClockBound,
    /// The highest instant that anybody was told.
    told: Hlc,
    /// The highest instant of this life, told or seen.
    known: Hlc,
}

impl Owner {
    fn tick(&mut self, wall_ms: u64) -> Hlc {
        let wanted = self.clock.tick(wall_ms);
        if let Some(raised) = self.bound.raise_for(wanted) {
            assert!(raised > wanted, "what is stored lies ahead");
            self.bound.stored(raised);
        }
        assert_eq!(self.bound.raise_for(wanted), None);
        wanted
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Tick(wall_ms) => {
                let issued = self.tick(wall_ms);
                assert!(issued > self.told, "later than all that was ever told");
                assert!(issued > self.known, "later than all that was seen");
                let least = Hlc::new(wall_ms, 0).max(self.known.next());
                assert_eq!(issued, least, "and not later than it must be");
                (self.told, self.known) = (issued, issued);
            }
            Step::TickAndDie(wall_ms) => {
                self.tick(wall_ms);
                let read = ClockBound::new(self.bound.get());
                assert!(read.get() >= self.told, "the bound covers what was told");
                self.clock = read.restart();
                (self.bound, self.known) = (read, read.get());
            }
            Step::Absorb(seen) => {
                self.clock.absorb(seen);
                self.known = self.known.max(seen);
            }
        }
        assert_eq!(self.clock.last(), self.known);
    }
}

#[test]
fn no_short_life_of_a_clock_issues_an_instant_twice() {
    let newborn = Owner {
        clock: ClockBound::default().restart(),
        bound: ClockBound::default(),
        told: Hlc::ZERO,
        known: Hlc::ZERO,
    };
    let lives = each_life(&steps(), LENGTH, |life| {
        let mut owner = newborn.clone();
        life.iter().for_each(|step| owner.step(*step));
    });
    assert_eq!(lives, 11_usize.pow(5));
}
