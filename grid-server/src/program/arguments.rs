//! The command line, made from the table of settings.

use std::path::PathBuf;

use crate::config::{Layers, SETTINGS, Setting, Settings};
use clap::{Arg, ArgAction, ArgMatches, Command};
use grid_core::{Error, ErrorKind, Result};

const CONFIG: &str = "config";
const PRINT_SETTINGS: &str = "print-settings";
const NEW_HISTORY: &str = "new-history";

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To print the table of settings.
    PrintSettings,
    /// To serve.
    Serve {
        /// With these.
        settings: Box<Settings>,
        /// Whether the database is the truth should it not fit the journal.
        new_history: bool,
    },
}

/// The command line's grammar.
fn command() -> Command {
    let flags = SETTINGS.iter().map(|setting| {
        Arg::new(setting.name)
            .long(setting.flag())
            .value_name(setting.unit)
            .help(help(setting))
            .allow_negative_numbers(true)
    });
    Command::new("grid-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The authoritative server of the hybrid grid")
        .after_help(
            "Every setting may also stand in the configuration file, or in the environment as \
             GRID_ and its name in capitals. A flag wins over the environment, the environment \
             over the file.",
        )
        .arg(
            Arg::new(CONFIG)
                .long(CONFIG)
                .value_name("file")
                .env("GRID_CONFIG")
                .value_parser(clap::value_parser!(PathBuf))
                .help("A TOML file of settings"),
        )
        .arg(
            Arg::new(PRINT_SETTINGS)
                .long(PRINT_SETTINGS)
                .action(ArgAction::SetTrue)
                .help("Print the table of settings as Markdown, and end"),
        )
        .arg(
            Arg::new(NEW_HISTORY)
                .long(NEW_HISTORY)
                .action(ArgAction::SetTrue)
                .help(
                    "Once, after a restore from a backup that the start refused: the database is \
                     the truth. The journal is set aside, what only it had is lost, and clients \
                     compare what they hold. Where database and journal fit it does nothing",
                ),
        )
        .args(flags)
}

fn help(setting: &Setting) -> String {
    let mut text = setting.meaning.to_owned();
    if !setting.default.is_empty() {
        text.push_str(&format!(" [default: {}]", setting.default));
    }
    text
}

/// Reads the command line, and through it the file and the environment.
///
/// # Errors
/// `Invalid` for settings that are unknown or out of bounds, `NotFound` for a missing file. Wrong
/// usage of the command line ends the program.
pub(super) fn read() -> Result<Asked> {
    let matches = command().get_matches();
    if matches.get_flag(PRINT_SETTINGS) {
        return Ok(Asked::PrintSettings);
    }
    Ok(Asked::Serve {
        settings: Box::new(settings(&matches)?),
        new_history: matches.get_flag(NEW_HISTORY),
    })
}

fn settings(matches: &ArgMatches) -> Result<Settings> {
    let mut layers = Layers::defaults();
    if let Some(path) = matches.get_one::<PathBuf>(CONFIG) {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                std::io::ErrorKind::InvalidData => ErrorKind::Invalid,
                _ => ErrorKind::Io,
            };
            Error::new(kind, "configure", "the configuration file cannot be read")
                .with("path", path.display())
                .with_source(error)
        })?;
        layers = layers
            .file(&text)
            .map_err(|error| error.with("file", path.display()))?;
    }
    layers = layers.environment(|name| std::env::var(name).ok())?;
    for setting in SETTINGS {
        if let Some(text) = matches.get_one::<String>(setting.name) {
            layers = layers.value(setting.name, text)?;
        }
    }
    Ok(layers.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound_and_has_a_flag_for_every_setting() {
        command().debug_assert();
        let matches = command()
            .try_get_matches_from(["grid-server", "--heartbeat-ms", "700", "--data-dir", "x"])
            .unwrap();
        let settings = settings(&matches).unwrap();
        assert_eq!(settings.heartbeat_ms, 700);
        assert_eq!(settings.data_dir, "x");
    }

    #[test]
    fn a_value_out_of_bounds_names_its_setting() {
        let matches = command()
            .try_get_matches_from(["grid-server", "--heartbeat-ms", "-7"])
            .unwrap();
        let error = settings(&matches).unwrap_err();
        assert!(error.message().contains("`heartbeat_ms`"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let matches = command()
            .try_get_matches_from(["grid-server", "--config", "/nowhere/grid.toml"])
            .unwrap();
        let error = settings(&matches).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("/nowhere/grid.toml"), "{error}");
    }
}
