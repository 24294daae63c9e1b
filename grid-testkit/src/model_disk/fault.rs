//! Faults as data.

/// A call of the `Disk` trait, to say which one shall fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskCall {
    /// `append`
    Append,
    /// `sync`
    Sync,
    /// `read`
    Read,
    /// `truncate`
    Truncate,
    /// `rename`
    Rename,
    /// `remove`
    Remove,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no room: an append may have been written in part.
    Full,
    /// The device refuses: an append may have been written in part. After a sync, what was not
    /// yet durable can be read but will never reach the medium.
    Io,
    /// As [`Fault::Io`], and the write that failed may have spoiled what was durable in the block
    /// in which it began; a reader learns of it after a crash.
    Spoil,
}
