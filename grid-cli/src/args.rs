//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use hybrid_grid::Key;
use hybrid_grid::core::MapName;

use crate::exit::{Result, Stop};

/// A client of the hybrid grid: a local-first device in your terminal.
#[derive(Debug, Parser)]
#[command(name = "grid", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The server.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "GRID_SERVER",
        default_value = "ws://127.0.0.1:7171"
    )]
    pub(crate) server: String,

    /// This device's store, as in sqlite://notes.db; made if it is missing [default: grid.db in
    /// the user's data directory].
    #[arg(long, global = true, value_name = "URL", env = "GRID_STORE")]
    pub(crate) store: Option<String>,

    /// What authenticates this device.
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "GRID_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,

    /// The tenant.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "GRID_NAMESPACE",
        default_value = "default"
    )]
    pub(crate) namespace: String,

    /// Work on this device's store alone.
    #[arg(long, global = true)]
    pub(crate) offline: bool,

    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// How long to wait for the server, in seconds [default: 30; sync: 120; watch: for ever].
    #[arg(long, global = true, value_name = "S", value_parser = seconds,
        allow_negative_numbers = true)]
    pub(crate) timeout: Option<f64>,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0  done (put, rm, import: the server has it; sync: nothing pending and caught up;
     with --offline: durable on this device)
  1  an error, or the server rejected the write
  2  bad usage
  3  kept on this device, and still pending when the time was up
  4  get: there is no such entry; admin dead-letters: there is no such letter
  5  admin health: the server is degraded
130  interrupted; what was written is kept on this device";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set an entry.
    Put {
        /// The map.
        map: String,
        /// The key.
        key: String,
        /// The value, as JSON; `-` reads it from standard input.
        #[arg(value_name = "JSON", allow_hyphen_values = true)]
        value: String,
    },
    /// Print the value of an entry.
    Get {
        /// The map.
        map: String,
        /// The key.
        key: String,
    },
    /// Remove an entry.
    #[command(visible_alias = "remove")]
    Rm {
        /// The map.
        map: String,
        /// The key.
        key: String,
    },
    /// Print the entries of a map, sorted by key unless asked otherwise.
    #[command(visible_alias = "list")]
    Ls {
        /// The map.
        map: String,
        /// Which of them.
        #[command(flatten)]
        asked: AskedArgs,
    },
    /// Print the entries of a map, and then every change.
    Watch {
        /// The map.
        map: String,
    },
    /// Put every record of a file: .json (an array), .jsonl or .ndjson, .csv.
    Import {
        /// The map.
        map: String,
        /// The file.
        file: PathBuf,
        /// The field that holds the key; it stays in the value [default: lines as `export` writes
        /// them, else the field `id`].
        #[arg(long)]
        key: Option<String>,
    },
    /// Write all entries of a map as JSON Lines, sorted by key.
    Export {
        /// The map.
        map: String,
        /// The file [default: standard output].
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Push what is pending and catch up.
    Sync {
        /// The maps to catch up with.
        #[arg(required = true)]
        maps: Vec<String>,
    },
    /// Tell what this device holds and what is pending.
    Status,
    /// Ask a server as its operator.
    Admin(AdminArgs),
}

/// Which entries, in which order, and how many.
#[derive(Debug, clap::Args)]
pub(crate) struct AskedArgs {
    /// Only entries of which this holds, as in 'done == false && priority >= 2'.
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) filter: Option<String>,
    /// Sort by these fields, as in 'owner.name, -due'; `-` and `desc` sort downwards.
    #[arg(long, value_name = "FIELDS", allow_hyphen_values = true)]
    pub(crate) order: Option<String>,
    /// How many entries, at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
}

/// To ask a server as its operator.
#[derive(Debug, clap::Args)]
pub(crate) struct AdminArgs {
    /// Where the server answers operators: its setting `admin`.
    #[arg(
        long = "admin",
        global = true,
        value_name = "URL",
        env = "GRID_ADMIN_URL",
        default_value = "http://127.0.0.1:7172"
    )]
    pub(crate) url: String,

    /// What to ask.
    #[command(subcommand)]
    pub(crate) command: AdminCommand,
}

/// What operators ask.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Tell whether the server does all that it should, and what is wrong if not.
    Health,
    /// Print the server in numbers.
    Metrics,
    /// Print the partitions with which the database is furthest behind, or something is wrong.
    Lag {
        /// How many, at most.
        #[arg(long, default_value_t = 20)]
        limit: u16,
    },
    /// Settle what the database refuses for good.
    #[command(subcommand)]
    DeadLetters(LetterCommand),
}

/// What can be done about dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum LetterCommand {
    /// Print all of them.
    List,
    /// Store one where it belongs, now that the reason of its refusal is mended.
    Retry {
        /// The letter.
        id: String,
    },
    /// Give one up: the entry becomes what the database has of it, for every client.
    Drop {
        /// The letter.
        id: String,
    },
}

impl Command {
    /// Checks the names of maps and keys.
    ///
    /// # Errors
    /// [`Stop::Usage`] when one cannot be.
    pub(crate) fn check_names(&self) -> Result<()> {
        let (maps, key) = match self {
            Self::Put { map, key, .. } | Self::Get { map, key } | Self::Rm { map, key } => {
                (std::slice::from_ref(map), Some(key))
            }
            Self::Ls { map, .. }
            | Self::Watch { map }
            | Self::Import { map, .. }
            | Self::Export { map, .. } => (std::slice::from_ref(map), None),
            Self::Sync { maps } => (maps.as_slice(), None),
            Self::Status | Self::Admin(_) => (&[] as &[String], None),
        };
        for map in maps {
            MapName::new(map.as_str()).map_err(Stop::Usage)?;
        }
        if let Some(key) = key {
            Key::new(key).map_err(Stop::Usage)?;
        }
        Ok(())
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && (0.0..=1e9).contains(&value) => Ok(value),
        _ => Err("expected a number of seconds, as in 30 or 0.5".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }

    #[test]
    fn every_form_is_understood() {
        use clap::Parser;
        for line in [
            "grid put m k 1",
            "grid put m k -1 --json",
            "grid --json --offline --timeout 0.5 get m k",
            "grid ls m --where -1==a --order -due --limit 20",
            "grid ls --order due m --json",
            "grid list m --limit 1",
            "grid remove m k",
            "grid import m f.csv --key id",
            "grid export m --out f",
            "grid sync a b",
            "grid admin health --admin http://h:1 --json",
            "grid --json admin metrics",
            "grid admin lag --limit 3",
            "grid admin --admin h:1 dead-letters list",
            "grid admin dead-letters retry 00001-ab",
            "grid admin dead-letters drop 00001-ab --timeout 3",
            "grid --store sqlite://f --server ws://h:1 --token t status",
        ] {
            super::Args::try_parse_from(line.split(' ')).unwrap();
        }
        assert!(super::Args::try_parse_from(["grid", "sync"]).is_err());
        assert!(super::Args::try_parse_from(["grid", "ls", "m", "--limit", "0"]).is_err());
        for wrong in ["x", "-1", "nan"] {
            let line = ["grid", "--timeout", wrong, "status"];
            let error = super::Args::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains("number of seconds"), "{error}");
        }
    }
}
