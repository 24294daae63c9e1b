//! What is killed next, and when.

use std::time::Duration;

use fastrand::Rng;

/// Of a hundred starts, how many are cut short.
const CUT_SHORT_PER_CENT: u32 = 25;

/// One blow: what is killed, after how long, and for how long it stays down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blow {
    pub(crate) target: Target,
    /// How long the load runs on before it, once it flows.
    pub(crate) after: Duration,
    /// How long after the kill of the one the other is killed, if both are.
    pub(crate) apart: Duration,
    /// How long the server stays down.
    pub(crate) server_down: Duration,
    /// How long the database stays down.
    pub(crate) database_down: Duration,
    /// How long after it was started again the server is killed once more, before it has answered
    /// anybody: while it loads, or replays its journal. Such a kill never counts.
    pub(crate) start_cut_short: Option<Duration>,
}

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Server,
    Database,
    ServerThenDatabase,
    DatabaseThenServer,
}

impl Blow {
    /// Draws one; the database is spared unless it is a process of its own.
    pub(crate) fn draw(rng: &mut Rng, has_database: bool) -> Self {
        let target = match rng.u32(..100) {
            _ if !has_database => Target::Server,
            0..40 => Target::Server,
            40..75 => Target::Database,
            75..88 => Target::ServerThenDatabase,
            _ => Target::DatabaseThenServer,
        };
        let cut_short = rng.u32(..100) < CUT_SHORT_PER_CENT;
        let mut up_to = |ms: u64| Duration::from_millis(rng.u64(..=ms));
        Self {
            start_cut_short: cut_short.then(|| up_to(150)),
            target,
            after: up_to(600),
            apart: up_to(300),
            server_down: up_to(300),
            database_down: up_to(1500),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_target_comes_up_and_an_embedded_database_is_spared() {
        let rng = &mut Rng::with_seed(1);
        let targets: BTreeSet<Target> = (0..100).map(|_| Blow::draw(rng, true).target).collect();
        assert_eq!(targets.len(), 4);
        assert!((0..100).all(|_| Blow::draw(rng, false).target == Target::Server));
    }
}
