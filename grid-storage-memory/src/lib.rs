//! In-memory Storage and Persistence.
