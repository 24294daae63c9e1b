//! Runtime over tokio, and Disk over the files of one directory.
