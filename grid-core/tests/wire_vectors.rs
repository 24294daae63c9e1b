//! The format on the wire and in rows is what the files in `vectors/wire` say, so a change of
//! format is seen. `GRID_UPDATE_VECTORS=1` rewrites the files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod wire;

use std::fs;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use grid_core::codec::{CborCodec, decode_ops, decode_record, encode_ops, encode_record};
use grid_core::protocol::{read_frame, write_frame};
use grid_core::traits::CodecLimits;

/// Bytes in one line of a vector.
const LINE_BYTES: usize = 32;

fn to_hex(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| {
        let digits: String = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        digits + "\n"
    };
    bytes.chunks(LINE_BYTES).map(line).collect()
}

fn check(name: &str, bytes: &[u8]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/wire");
    let path = folder.join(format!("{name}.hex"));
    let hex = to_hex(bytes);
    if std::env::var_os("GRID_UPDATE_VECTORS").is_some_and(|value| value == "1") {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&path, hex).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; GRID_UPDATE_VECTORS=1 writes it",
            path.display()
        )
    });
    assert_eq!(hex, wanted, "the encoding of `{name}` changed");
}

#[test]
fn every_message_is_encoded_as_its_vector_and_decoded_again() {
    for (name, message) in wire::messages() {
        let mut frame = BytesMut::new();
        write_frame(&CborCodec, &message, &mut frame).unwrap();
        check(name, &frame);
        let decoded = read_frame(&CborCodec, frame.freeze(), &CodecLimits::default());
        assert_eq!(decoded.unwrap(), message, "{name}");
    }
}

#[test]
fn rows_are_encoded_as_their_vectors_and_decoded_again() {
    for (index, record) in wire::records().iter().enumerate() {
        let mut row = BytesMut::new();
        encode_record(record, &mut row);
        check(&format!("row-record-{index}"), &row);
        assert_eq!(decode_record(&row.freeze()).unwrap(), *record);
    }
    let mut row = BytesMut::new();
    encode_ops(&wire::ops(), &mut row).unwrap();
    check("row-ops", &row);
    assert_eq!(decode_ops(&row.freeze()).unwrap(), wire::ops());
}

#[test]
fn no_vector_is_left_without_a_message() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/wire");
    let mut found: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("row-"))
        .collect();
    found.sort();
    let mut known: Vec<String> = wire::messages()
        .iter()
        .map(|(name, _)| format!("{name}.hex"))
        .collect();
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn values_share_the_memory_of_the_row() {
    let mut row = BytesMut::new();
    encode_record(&wire::records()[0], &mut row);
    let row: Bytes = row.freeze();
    let record = decode_record(&row).unwrap();
    let inside = |part: &[u8]| row.as_ptr_range().contains(&part.as_ptr());
    assert!(inside(record.key.as_bytes()));
    assert!(inside(record.value.as_ref().unwrap()));
}
