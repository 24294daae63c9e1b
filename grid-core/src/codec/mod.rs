//! The built-in encoding: positional CBOR (RFC 8949), for frames and for stored rows.
//!
//! Every message, record and op is an array whose fields have fixed positions; a reader skips
//! fields after those that it knows, so that later versions can add some. Lengths are always
//! definite and numbers in their shortest form, so one thing has one encoding. Keys and values
//! share the memory that they are read from. Values themselves are bytes that nothing here
//! re-encodes; [`validate`] checks them.

mod cbor;
mod data;
mod driver;
mod fault;
mod fields;
mod frame;
pub(crate) mod head;
mod hello;
mod message;
mod op;
mod reader;
mod record;
mod value;
mod writer;

pub(crate) use data::{half, more};
pub(crate) use fault::Fault;
pub(crate) use value::Walk;

pub use cbor::CborCodec;
pub use data::Data;
pub use driver::DRIVER;
pub use frame::{exception_bound, fitting, op_bound, record_bound};
pub use hello::{agree_version, read_hello, write_hello};
pub use op::{decode_ops, encode_ops};
pub use reader::{Reader, Tuple};
pub use record::{RecordContext, decode_record, encode_record};
pub use value::{item_length, validate};
pub use writer::Writer;
