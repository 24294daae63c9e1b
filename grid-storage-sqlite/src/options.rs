//! What can be set for a file.

/// SQLite's page size for new files, in bytes.
const PAGE_BYTES: u64 = 4096;

/// What can be set for a SQLite file.
///
/// ```
/// use grid_storage_sqlite::SqliteOptions;
///
/// let options = SqliteOptions::default().max_file_bytes(64 * 1024 * 1024);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
pub struct SqliteOptions {
    max_file_bytes: Option<u64>,
}

impl SqliteOptions {
    /// The size beyond which the file does not grow, in bytes, rounded down to pages of 4 KiB;
    /// writes that need more fail with `Full`. The write-ahead log comes on top.
    #[must_use]
    pub fn max_file_bytes(mut self, bytes: u64) -> Self {
        self.max_file_bytes = Some(bytes);
        self
    }

    /// The bound in pages, if there is one.
    pub(crate) fn max_pages(&self) -> Option<u64> {
        self.max_file_bytes.map(|bytes| (bytes / PAGE_BYTES).max(1))
    }
}
