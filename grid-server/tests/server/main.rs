//! The server over a memory transport, driven by hand, in the simulated world's time.

#[cfg(test)]
mod ack_levels;
#[cfg(test)]
mod away;
#[cfg(test)]
mod catching_up;
#[cfg(test)]
mod credit;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod deferring;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod events;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod handle;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod heartbeat;
#[cfg(test)]
mod lagging;
#[cfg(test)]
mod late_letters;
#[cfg(test)]
mod late_states;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod logging;
#[cfg(test)]
mod many_letters;
#[cfg(test)]
mod meanwhile;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod pushing;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod reclaiming;
#[cfg(test)]
mod repairing;
#[cfg(test)]
mod restoring;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod support;
#[cfg(test)]
mod takeovers;
#[cfg(test)]
mod uneven;
#[cfg(test)]
mod writing_behind;
