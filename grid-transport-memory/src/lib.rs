//! In-process Transport.
