//! The vector files agree with this build. They were computed by another implementation of the
//! hash, so they also show that ours is the published one.

#[path = "../vectors/check.rs"]
mod check;

/// Vectors in all files together.
const COUNT: u32 = 202;

#[test]
fn every_vector_agrees() {
    // The number guards against a file that is cut or not read.
    match check::check_all() {
        Ok(agreed) => assert_eq!(agreed, COUNT),
        Err(mismatch) => panic!("{mismatch:?}"),
    }
}
