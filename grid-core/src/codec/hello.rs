//! The first frame of a connection: magic, version, then the `Hello` as CBOR, so that it can be
//! read before anything is agreed, and the check that ends every frame.

use bytes::{BufMut, Bytes, BytesMut};

use super::cbor::check_bounds;
use super::message;
use super::reader::Reader;
use super::writer::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{
    Hello, MAGIC, Message, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, seal_frame, unseal_frame,
};
use crate::traits::CodecLimits;

/// The longest first frame, in bytes: nobody is authenticated yet.
const MAX_HELLO_BYTES: usize = 64 * 1024;
const OPERATION: &str = "read hello";

/// Appends the frame of `hello`: [`MAGIC`], its newest version as two bytes big-endian, the message
/// as CBOR, and the check. After an error `buffer` is as it was.
///
/// # Errors
/// `TooLarge` beyond 64 KiB or 16 codecs, `Invalid` when the oldest version is newer than the
/// newest.
pub fn write_hello(hello: &Hello, buffer: &mut BytesMut) -> Result<()> {
    let start = buffer.len();
    let written = encode_hello(hello, buffer).and_then(|()| seal_frame(buffer, start));
    if written.is_err() {
        buffer.truncate(start);
    }
    written
}

/// Appends what comes before the check.
pub(super) fn encode_hello(hello: &Hello, buffer: &mut BytesMut) -> Result<()> {
    let start = buffer.len();
    buffer.put_slice(&MAGIC);
    buffer.put_u16(hello.max_version);
    let mut writer = Writer::new(buffer);
    message::write_hello(&mut writer, hello)?;
    let longest = writer.longest_list();
    let written = buffer.len() - start;
    if written > MAX_HELLO_BYTES {
        return Err(too_long(written, "write hello"));
    }
    check_bounds(longest, written)
}

/// Reads the first frame of a connection.
///
/// # Errors
/// `Protocol` when the frame is no hello, `Corrupt` when it is one that was damaged on its way,
/// `Version` when the client is too old for its hello to be understood, `TooLarge` beyond 64 KiB.
pub fn read_hello(frame: &Bytes, limits: &CodecLimits) -> Result<Hello> {
    if is_hello(frame) && frame.len() <= MAX_HELLO_BYTES {
        return decode_hello(&unseal_frame(frame.clone())?, limits);
    }
    decode_hello(frame, limits)
}

/// Reads what comes before the check.
pub(super) fn decode_hello(frame: &Bytes, limits: &CodecLimits) -> Result<Hello> {
    if frame.len() > MAX_HELLO_BYTES {
        return Err(too_long(frame.len(), OPERATION));
    }
    if !is_hello(frame) {
        return Err(Error::new(
            ErrorKind::Protocol,
            OPERATION,
            "the first frame does not start with GRID: the peer is no grid client",
        ));
    }
    let mut reader = Reader::of_frame(frame, limits)?;
    for _ in MAGIC {
        reader.raw_byte()?;
    }
    let version = u16::from_be_bytes([reader.raw_byte()?, reader.raw_byte()?]);
    if version < OLDEST_PROTOCOL_VERSION {
        return Err(no_common_version(version, version));
    }
    let Message::Hello(hello) = message::read(&mut reader)? else {
        return Err(reader.error("the first message is no hello"));
    };
    reader.finish()?;
    if hello.max_version != version || hello.min_version > version {
        return Err(reader.error("the hello contradicts itself about its versions"));
    }
    Ok(hello)
}

/// The newest protocol version that this code and the client of `hello` both speak.
///
/// # Errors
/// `Version` when there is none, naming what either side speaks.
pub fn agree_version(hello: &Hello) -> Result<u16> {
    let version = hello.max_version.min(PROTOCOL_VERSION);
    if version < OLDEST_PROTOCOL_VERSION || version < hello.min_version {
        return Err(no_common_version(hello.min_version, hello.max_version));
    }
    Ok(version)
}

/// Whether `frame` starts as a hello does.
pub(super) fn is_hello(frame: &[u8]) -> bool {
    frame.starts_with(&MAGIC)
}

fn too_long(bytes: usize, operation: &'static str) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        operation,
        format!("the hello has {bytes} bytes; at most {MAX_HELLO_BYTES} are allowed"),
    )
}

fn no_common_version(oldest: u16, newest: u16) -> Error {
    let which = if newest < OLDEST_PROTOCOL_VERSION {
        "client"
    } else {
        "server"
    };
    Error::new(
        ErrorKind::Version,
        OPERATION,
        format!(
            "the client speaks protocol versions {oldest} to {newest}, the server \
             {OLDEST_PROTOCOL_VERSION} to {PROTOCOL_VERSION}: update the {which}"
        ),
    )
}
