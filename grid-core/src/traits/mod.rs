//! The traits that backends and plug-ins implement: small, object safe, held as `Arc<dyn …>`.

mod authenticator;
mod bus;
mod codec;
mod disk;
mod journal;
mod ownership;
mod persistence;
mod policy;
mod resolver;
mod runtime;
mod storage;
mod transport;

pub use authenticator::{Authenticated, Authenticator, Principal};
pub use bus::{Bus, Subscriber};
pub use codec::{Codec, CodecLimits};
pub use disk::{AppendFailure, Disk, check_file_name};
pub use journal::{Append, Epoch, Journal, JournalEntry, JournalExtent, Position};
pub use ownership::{Owner, Ownership, OwnershipWatch};
pub use persistence::{
    AddressedRecord, Persistence, PersistenceCapabilities, RecordCursor, RecordPage, StateRecord,
};
pub use policy::{Decision, Policy};
pub use resolver::{LastWriterWins, Resolution, Resolver};
pub use runtime::Runtime;
pub use storage::{Batch, Entry, Page, Precondition, Storage, StorageCapabilities, Table, Write};
pub use transport::{Connection, Listener, Transport, TransportCapabilities};
