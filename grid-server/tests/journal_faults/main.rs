//! The local journal on disks that rot, fill up and refuse: what it says, and how it goes on.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod damage;
mod refusals;
mod support;
