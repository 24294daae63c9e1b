//! SQLite Storage and Persistence, on sqlx.
