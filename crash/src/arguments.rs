//! The command line.

use clap::{Parser, ValueEnum};

/// Kills a server and its database under the load of eight clients, and proves that nothing that
/// was acknowledged is lost, that nothing took effect twice, and that all hold the same in the end.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo xtask crash")]
pub(crate) struct Arguments {
    /// How many kills count before the run ends. A kill of the server and one of the database
    /// are two. A kill counts if at least 100 ops were unacknowledged at that moment.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) kills: u32,
    /// The system of record.
    #[arg(long, value_enum, default_value_t = StoreKind::Postgres)]
    pub(crate) store: StoreKind,
    /// What is written and when is killed; chosen at random unless given. Processes keep their
    /// own time, so that a seed repeats the plan, and not every interleaving.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Runs a server with this bug instead. The command then succeeds if the bug was found.
    #[arg(long, value_enum)]
    pub(crate) plant: Option<Plant>,
}

/// A system of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// PostgreSQL, a server of its own that syncs what it commits.
    Postgres,
    /// What speaks MongoDB's protocol here.
    Mongodb,
    /// A file that belongs to the server: killing the server is killing the database.
    Sqlite,
}

/// A bug to plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// A server that acknowledges a while before it journals.
    AckEarly,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound_and_a_run_of_no_kills_is_refused() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
        let line = "crash --kills 5 --store mongodb --seed 7 --plant ack-early";
        let parsed = Arguments::parse_from(line.split(' '));
        assert_eq!((parsed.kills, parsed.store), (5, StoreKind::Mongodb));
        assert_eq!(
            (parsed.seed, parsed.plant),
            (Some(7), Some(Plant::AckEarly))
        );
        Arguments::try_parse_from(["crash", "--kills", "0"]).expect_err("no kills");
    }
}
