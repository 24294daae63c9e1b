//! The suite for [`Codec`]: round trips of arbitrary messages, bounds, and hostile frames.
//!
//! A case that fails on an arbitrary message shows the smallest such message that it found, and
//! the line that runs the same messages again. `PROPTEST_CASES` sets how many are tried.

pub mod arbitrary;
mod bounds;
mod hostile;
mod round_trips;

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use grid_core::protocol::Message;
pub use grid_core::traits::Codec;
use grid_core::traits::CodecLimits;
use grid_core::{Error, ErrorKind, Result};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

pub use bounds::*;
pub use hostile::*;
pub use round_trips::*;

/// Runs one case.
///
/// # Panics
/// When the case fails.
pub fn run(codec: &dyn Codec, case: impl FnOnce(&dyn Codec) -> Result<()>) {
    if let Err(error) = case(codec) {
        panic!("{error:?}");
    }
}

/// Tries `test` on values of `strategy`.
///
/// # Errors
/// `Internal` when `test` refuses a value; the message ends with what replays it.
pub fn try_many<S: Strategy<Value: Debug>>(
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> Result<()> {
    let mut config = Config::default();
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => fastrand::u64(..),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    config.failure_persistence = None;
    TestRunner::new(config)
        .run(strategy, test)
        .map_err(|found| {
            failed(format!(
                "{found}\nreplay: PROPTEST_RNG_SEED={seed} before the same command"
            ))
        })
}

/// The error that says what a codec does not keep.
fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, "codec conformance", message)
}

/// The error in `result`, which must be one.
fn refusal<T>(result: Result<T>, what: &str) -> Result<Error> {
    match result {
        Ok(_) => Err(failed(format!("{what} was accepted"))),
        Err(error) => Ok(error),
    }
}

/// The frame of `message`.
fn encode(codec: &dyn Codec, message: &Message) -> Result<Bytes> {
    let mut buffer = BytesMut::new();
    codec.encode(message, &mut buffer)?;
    Ok(buffer.freeze())
}

/// The message of `frame`, within the limits of a server that was configured with nothing.
fn decode(codec: &dyn Codec, frame: Bytes) -> Result<Message> {
    codec.decode(frame, &CodecLimits::default())
}

/// A refusal of the case, about `error`.
fn unexpected(error: impl Debug) -> TestCaseError {
    TestCaseError::fail(format!("unexpected: {error:?}"))
}

/// Makes a module of tests, one for each case of the [`Codec`] suite.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::codec::CborCodec;
///
/// grid_testkit::codec_conformance!(cbor, || Arc::new(CborCodec));
/// # fn main() {}
/// ```
///
/// [`Codec`]: grid_core::traits::Codec
#[macro_export]
macro_rules! codec_conformance {
    ($module:ident, $open:expr) => {
        $crate::codec_conformance! { @cases $module, $open;
            name_is_a_short_word,
            messages_of_every_kind_come_back,
            encoding_appends,
            keys_and_values_share_the_frame,
            ops_of_many_maps_come_back,
            refused_messages_leave_the_buffer,
            most_items_come_back_and_one_more_is_refused,
            oversize_messages_are_refused,
            frames_beyond_the_limit_are_refused,
            collections_beyond_the_limit_are_refused,
            empty_frames_are_refused,
            unknown_encodings_are_refused,
            cut_frames_are_refused,
            lengthened_frames_are_refused,
            damaged_frames_do_no_harm,
            garbage_does_no_harm,
        }
    };
    (@cases $module:ident, $open:expr; $($case:ident),+ $(,)?) => {
        #[cfg(test)]
        mod $module {
            #[allow(unused_imports, reason = "the codec may be named by a full path")]
            use super::*;

            fn open() -> ::std::sync::Arc<dyn $crate::conformance::codec::Codec> {
                ($open)()
            }

            $(
                #[test]
                fn $case() {
                    $crate::conformance::codec::run(
                        &*open(),
                        $crate::conformance::codec::$case,
                    );
                }
            )+
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::conformance::listed::assert_every_case_is_listed;

    #[test]
    fn every_case_is_in_the_macro() {
        assert_every_case_is_listed(
            include_str!("codec.rs"),
            &[
                include_str!("codec/bounds.rs"),
                include_str!("codec/hostile.rs"),
                include_str!("codec/round_trips.rs"),
            ],
        );
    }
}
