//! The driver of the built-in codec.

use std::sync::Arc;

use super::cbor::CborCodec;
use crate::driver::Driver;

/// The codec named `cbor`.
pub static DRIVER: Driver =
    Driver::new(CborCodec::NAME, &[CborCodec::NAME]).with_codec(|| Arc::new(CborCodec));

inventory::submit! { &DRIVER }
