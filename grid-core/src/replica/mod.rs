//! The client's side of the protocol as a state machine: confirmed state, overlay, outbox.
//!
//! What the application sees is an *overlay* of its pending ops over the *confirmed* state, which
//! is a copy of what the server has. Local writes become ops: durable first
//! ([`Replica::begin_save`], [`Replica::saved`]), visible then, pushed when there is a connection,
//! settled when the server's verdict and its outcome are here. Nothing in this module does I/O: a
//! driver
//!
//! - makes a [`Replica`] from a store's rows with a [`Loader`];
//! - stores each [`Save`] and says whether that worked;
//! - on a connection sends the hello of [`Replica::connect`] and what [`Replica::next_message`]
//!   gives, hands in what arrives with [`Replica::receive`], and calls [`Replica::tick`] at
//!   [`Replica::deadline`];
//! - passes on what [`Replica::take_notes`] tells.
//!
//! ```
//! use grid_core::op::Action;
//! use grid_core::replica::{Loader, LocalWrite};
//! use grid_core::{Key, MapName, Namespace, RunId};
//!
//! // An empty store.
//! let mut replica = Loader::new(Namespace::default()).finish(RunId(0x5eed))?;
//! let (map, key) = (MapName::new("todos")?, Key::new("t1")?);
//! let write = LocalWrite {
//!     map: map.clone(),
//!     key: key.clone(),
//!     action: Action::Put { value: vec![0xf5].into(), ttl_ms: None },
//!     if_version: None,
//!     schema: 0,
//!     ack: None,
//! };
//! let save = replica.begin_save(vec![write], 1_700_000_000_000)?.expect("there is a write");
//! assert_eq!(replica.get(&map, &key, 0), None, "not durable, not visible");
//! // … store `save.batch` …
//! replica.saved(save);
//! assert!(replica.get(&map, &key, 0).is_some());
//! assert_eq!(replica.pending(), 1);
//! # Ok::<(), grid_core::Error>(())
//! ```

mod confirmed;
mod delta;
mod fate_counts;
mod interval_set;
mod loader;
mod log_position;
mod map_state;
mod note;
mod outbox;
mod overlay;
mod put_off;
mod receive;
mod repair;
#[expect(
    clippy::module_inception,
    reason = "the file is named after its main type"
)]
mod replica;
mod row;
mod run_log;
mod save;
mod session;
mod status;
mod verdict;
mod view;

pub use fate_counts::FateCounts;
pub use loader::Loader;
pub use note::Note;
pub use replica::Replica;
pub use save::{LocalWrite, MAX_OPS_PER_ROW, Save, TARGET_ROW_BYTES};
pub use session::{LOST_AFTER_HEARTBEATS, Now, WELCOME_TIMEOUT};
pub use status::{MapStatus, Status};
