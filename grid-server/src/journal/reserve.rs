//! Room that is kept for the moment when there is none.
//!
//! To let go of segments, the head has to be written anew, which takes room for a moment. On a
//! disk that the journal itself has filled there would be none, for ever.

use bytes::Bytes;
use grid_core::traits::Disk;
use grid_core::{ErrorKind, Result};

use super::segment::write_file;

const RESERVE: &str = "journal.reserve";
const UNFINISHED: &str = "journal.reserve.new";

/// The room, in bytes: some blocks of any file system.
const RESERVE_BYTES: usize = 64 * 1024;

/// Takes the room, if it is not taken.
pub(super) async fn take(disk: &dyn Disk) -> Result<()> {
    match disk.read(RESERVE, 0, 1).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let room = Bytes::from(vec![0; RESERVE_BYTES]);
            write_file(disk, UNFINISHED, RESERVE, room).await
        }
        Err(error) => Err(error),
    }
}

/// Gives the room back.
pub(super) async fn release(disk: &dyn Disk) -> Result<()> {
    disk.remove(RESERVE).await
}
