//! The local-first client: maps, outbox, subscriptions.
