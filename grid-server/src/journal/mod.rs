//! The local journal: one log of batches for all partitions of this process, over a `Disk`.
//!
//! # Files
//!
//! Batches stand in *segments*, numbered without gaps: `00000000000000000001.journal` and on.
//! `journal.head` names the first one that still counts. Both kinds of file come into being under
//! another name and are synced before they are renamed, so a file with its right name is whole.
//!
//! A segment begins with a header. It names the extents of all partitions at that point, so that
//! they are known when the segments before it are gone, and the length of the segment before it:
//! what stands there behind that length is void. Then come records, each one batch with its own
//! checksum. All records of one commit share a group number; a group is written and synced before
//! the next one begins.
//!
//! # Crashes
//!
//! So at most the last group can be torn. At opening, every damaged byte that something synced
//! stands behind is an error; other damage ends the log. Of the last group nobody knows whether
//! its sync succeeded, and a system that failed one may show bytes that will never reach the
//! medium: so the last group, and what shares its first block, is copied to a new segment, and the
//! old one never grows again. The same step heals the journal after a sync that failed under it.
//!
//! The disk takes room ahead of the commits, so zeros may stand behind the last one when the
//! program was killed. They are no commit. A disk that is let go of late may cut them off at any
//! time, for no later program writes there.

mod committer;
mod error;
mod fetch;
mod head;
mod index;
mod local;
mod open;
mod options;
mod reader;
mod record;
mod reserve;
mod segment;
mod shared;
mod tail_block;
mod writer;

pub use local::LocalJournal;
pub use options::JournalOptions;
