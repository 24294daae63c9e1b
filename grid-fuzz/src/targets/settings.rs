//! The server's configuration: a file, and single values.

use grid_core::{Error, ErrorKind};
use grid_server::Settings;
use grid_server::config::{Layers, SETTINGS, Setting};
use toml::Value;

use crate::target::{Seed, Target};

pub(super) const TARGET: Target = Target {
    name: "settings",
    promise: "a configuration is taken within its bounds, or refused by the name of what is wrong; \
              token and password are never shown",
    run,
    seeds,
};

/// What nobody may be shown.
const TOKEN: &str = "hunter2-hunter2";
/// The settings that may hold it.
const SECRET: [&str; 2] = ["token", "persistence"];

fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    take_file(text);
    for setting in SETTINGS {
        take_value(setting, text);
    }
    // The same with a token in it, where there is a place for one or not.
    if !text.contains(TOKEN) {
        let (before, after) = text.split_once('|').unwrap_or(("", text));
        take_file(&format!("{before}\ntoken = \"{TOKEN}{after}"));
        take_file(&format!("{before}\ntoken = [\"{TOKEN}\"]\n{after}"));
        take_file(&format!(
            "{before}\npersistence = \"db://me:{TOKEN}@host\"\n{after}"
        ));
    }
}

fn take_file(text: &str) {
    let table = text.parse::<toml::Table>();
    match (Layers::defaults().file(text), table) {
        (Ok(layers), Ok(table)) => check_taken(&layers.finish(), &table),
        (Ok(_), Err(error)) => panic!("it is not TOML: {error}"),
        (Err(error), Ok(table)) => {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let named = table.keys().any(|key| names(&error, key));
            assert!(named, "names nothing that is there: {error}");
            // Somebody may put the token where another setting belongs; then it is that.
            assert!(is_elsewhere(&table) || !shows(&error), "{error}");
        }
        (Err(error), Err(_)) => {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().contains("not TOML"), "{error}");
            assert!(!shows(&error), "{error}");
        }
    }
}

fn names(error: &Error, key: &str) -> bool {
    error.message().contains(&format!("`{key}`"))
}

fn shows(error: &Error) -> bool {
    format!("{error} {error:?} {error:#?}").contains(TOKEN)
}

/// What was taken is known, within its bounds, and the secret is hidden.
fn check_taken(settings: &Settings, table: &toml::Table) {
    for (key, value) in table {
        let setting = SETTINGS.iter().find(|setting| setting.name == key);
        let setting = setting.expect("an unknown name is refused");
        if let (Some((least, most)), Value::Integer(number)) = (setting.bounds, value) {
            let within = u64::try_from(*number).is_ok_and(|n| (least..=most).contains(&n));
            assert!(within, "`{key}` is {number}");
        }
    }
    assert!(is_elsewhere(table) || !format!("{settings:?}").contains(TOKEN));
}

/// Whether the token stands in a setting that is no secret.
fn is_elsewhere(table: &toml::Table) -> bool {
    table
        .iter()
        .filter(|(key, _)| !SECRET.contains(&key.as_str()))
        .any(|(key, value)| format!("{key} {value}").contains(TOKEN))
}

/// A value of one setting is taken, or refused by the setting's name.
fn take_value(setting: &Setting, text: &str) {
    let mut settings = Settings::default();
    let before = settings.clone();
    if let Err(error) = setting.apply(&mut settings, text) {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(names(&error, setting.name), "{error}");
        assert_eq!(settings, before, "a refused value changes nothing");
    }
    let variable = Layers::defaults()
        .environment(|name| (name == setting.variable()).then(|| text.to_owned()));
    if let Err(error) = variable {
        assert!(error.to_string().contains(&setting.variable()), "{error}");
    }
}

fn seeds() -> Vec<Seed> {
    let defaults: String = SETTINGS
        .iter()
        .map(|setting| match setting.bounds {
            Some(_) => format!("{} = {}\n", setting.name, setting.default),
            None => format!("{} = \"{}\"\n", setting.name, setting.default),
        })
        .collect();
    let texts = [
        ("defaults", defaults.as_str()),
        ("typo", "hearbeat_ms = 5"),
        ("bounds", "heartbeat_ms = 5"),
        ("text", "workers = \"1_0\"\nlisten = \"ws://127.0.0.1:0\""),
        ("table", "[server]\nworkers = 2"),
        ("kind", "workers = 1.5"),
        ("cut", "workers = 2|\nlisten = "),
    ];
    texts.map(|(name, text)| Seed::new(name, text)).to_vec()
}
