//! What the tests of this crate share.

#![expect(
    dead_code,
    unreachable_pub,
    reason = "each test crate uses a part of this module"
)]

pub mod descent;
pub mod random;
