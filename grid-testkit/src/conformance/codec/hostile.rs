//! Frames that nobody should send.

use bytes::{Bytes, BytesMut};
use grid_core::protocol::{FRAME_PLAIN, MAGIC, Message};
use grid_core::traits::Codec;
use grid_core::{ErrorKind, Result};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::arbitrary::any_message;
use super::{decode, encode, failed, try_many, unexpected};

/// Checks that `decoded` is an error of a kind that the trait promises.
fn check_refused(decoded: &Result<Message>) -> Result<(), TestCaseError> {
    match decoded {
        Ok(message) => Err(TestCaseError::fail(format!("was taken for {message:?}"))),
        Err(error) => check_kind(error.kind()),
    }
}

fn check_kind(kind: ErrorKind) -> Result<(), TestCaseError> {
    let promised = [ErrorKind::Protocol, ErrorKind::TooLarge, ErrorKind::Version];
    prop_assert!(promised.contains(&kind), "an error of kind {kind:?}");
    Ok(())
}

/// Whatever comes of `frame` is an error of a promised kind, or a message that can be encoded
/// and is then the same again.
fn check_harmless(codec: &dyn Codec, frame: Bytes) -> Result<(), TestCaseError> {
    let message = match decode(codec, frame) {
        Ok(message) => message,
        Err(error) => return check_kind(error.kind()),
    };
    let again = encode(codec, &message).map_err(unexpected)?;
    prop_assert_eq!(decode(codec, again).map_err(unexpected)?, message);
    Ok(())
}

/// A frame of no bytes is no message.
///
/// # Errors
/// When the codec does otherwise.
pub fn empty_frames_are_refused(codec: &dyn Codec) -> Result<()> {
    check_refused(&decode(codec, Bytes::new())).map_err(|found| failed(found.to_string()))
}

/// A frame whose first byte names no encoding is no message.
///
/// # Errors
/// When the codec does otherwise.
pub fn unknown_encodings_are_refused(codec: &dyn Codec) -> Result<()> {
    let first =
        any::<u8>().prop_filter("unknown", |byte| *byte != FRAME_PLAIN && *byte != MAGIC[0]);
    try_many(&(any_message(), first), |(message, first)| {
        let mut frame = BytesMut::from(encode(codec, &message).map_err(unexpected)?);
        frame[0] = first;
        check_refused(&decode(codec, frame.freeze()))
    })
}

/// No frame that was cut short is a message.
///
/// # Errors
/// When the codec does otherwise.
pub fn cut_frames_are_refused(codec: &dyn Codec) -> Result<()> {
    let cut = any::<prop::sample::Index>();
    try_many(&(any_message(), vec(cut, 1..20)), |(message, cuts)| {
        let frame = encode(codec, &message).map_err(unexpected)?;
        let ends = cuts.iter().map(|cut| cut.index(frame.len()));
        for end in ends.chain([frame.len() - 1]) {
            check_refused(&decode(codec, frame.slice(..end)))?;
        }
        Ok(())
    })
}

/// No frame with something behind it is a message.
///
/// # Errors
/// When the codec does otherwise.
pub fn lengthened_frames_are_refused(codec: &dyn Codec) -> Result<()> {
    try_many(
        &(any_message(), vec(any::<u8>(), 1..20)),
        |(message, more)| {
            let frame = encode(codec, &message).map_err(unexpected)?;
            check_refused(&decode(codec, [&frame[..], &more].concat().into()))
        },
    )
}

/// A frame with damaged bytes is refused, or is a message like any other.
///
/// # Errors
/// When the codec does otherwise.
pub fn damaged_frames_do_no_harm(codec: &dyn Codec) -> Result<()> {
    let damage = (any::<prop::sample::Index>(), any::<u8>());
    let wounds = vec(damage, 1..6);
    try_many(&(any_message(), wounds), |(message, wounds)| {
        let mut frame = BytesMut::from(encode(codec, &message).map_err(unexpected)?);
        for (place, byte) in wounds {
            let place = place.index(frame.len());
            frame[place] = byte;
            check_harmless(codec, frame.clone().freeze())?;
        }
        Ok(())
    })
}

/// Bytes that nobody encoded are refused, or are a message like any other.
///
/// # Errors
/// When the codec does otherwise.
pub fn garbage_does_no_harm(codec: &dyn Codec) -> Result<()> {
    let mut hello = MAGIC.to_vec();
    hello.extend([0, 1]);
    let front = prop_oneof![
        Just(Vec::new()),
        Just(vec![FRAME_PLAIN]),
        Just(MAGIC.to_vec()),
        Just(hello),
    ];
    try_many(&(front, vec(any::<u8>(), 0..200)), |(front, bytes)| {
        check_harmless(codec, [front, bytes].concat().into())
    })
}
