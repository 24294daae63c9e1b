//! Puts the settings together: defaults, then the file, then the environment, then the flags.

use grid_core::{Error, ErrorKind, Result};

use super::settings::Settings;
use super::table::{SETTINGS, Setting};

/// How alike an unknown name and a known one must be for a hint (1 is equal).
const HINT_LIKENESS: f64 = 0.6;

/// Where settings come from; a later layer wins.
#[derive(Debug)]
pub struct Layers(Settings);

impl Layers {
    /// The defaults.
    #[must_use]
    pub fn defaults() -> Self {
        Self(Settings::default())
    }

    /// Adds a configuration file: TOML, one key per setting.
    ///
    /// # Errors
    /// `Invalid` when it is not TOML, or names an unknown key or a value out of bounds; the
    /// message names the key and the nearest known one.
    pub fn file(mut self, text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(|error| not_toml(text, &error))?;
        for (name, value) in &table {
            let setting = find(name)?;
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(number) => number.to_string(),
                other => {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "configure",
                        format!("`{name}` must be a text or a whole number"),
                    )
                    .with("found", other.type_str()));
                }
            };
            setting.apply(&mut self.0, &text)?;
        }
        Ok(self)
    }

    /// Adds one value by the setting's name.
    ///
    /// # Errors
    /// As [`Layers::file`].
    pub fn value(mut self, name: &str, text: &str) -> Result<Self> {
        find(name)?.apply(&mut self.0, text)?;
        Ok(self)
    }

    /// Adds the environment variables that bear a setting's name. Others that start with `GRID_`
    /// belong to other programs and are left alone.
    ///
    /// # Errors
    /// As [`Layers::file`].
    pub fn environment(mut self, lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        for setting in SETTINGS {
            let variable = setting.variable();
            if let Some(text) = lookup(&variable) {
                setting
                    .apply(&mut self.0, &text)
                    .map_err(|error| error.with("variable", variable))?;
            }
        }
        Ok(self)
    }

    /// The settings.
    #[must_use]
    pub fn finish(self) -> Settings {
        self.0
    }
}

/// Says where the text is broken. The line itself is not shown, as the library would: it may hold
/// the token.
fn not_toml(text: &str, error: &toml::de::Error) -> Error {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| 1 + before.matches('\n').count());
    Error::new(
        ErrorKind::Invalid,
        "configure",
        format!("the configuration file is not TOML: {}", error.message()),
    )
    .with("line", line)
}

fn find(name: &str) -> Result<&'static Setting> {
    SETTINGS
        .iter()
        .find(|setting| setting.name == name)
        .ok_or_else(|| {
            let likeness = |setting: &Setting| strsim::jaro_winkler(setting.name, name);
            let nearest = SETTINGS
                .iter()
                .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
                .filter(|setting| likeness(setting) > HINT_LIKENESS)
                .map(|setting| format!("; did you mean `{}`?", setting.name))
                .unwrap_or_default();
            Error::new(
                ErrorKind::Invalid,
                "configure",
                format!("there is no setting `{name}`{nearest}"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_layer_wins() {
        let settings = Layers::defaults()
            .file("listen = \"127.0.0.1:1\"\nworkers = 3\nheartbeat_ms = 500")
            .unwrap()
            .environment(|name| (name == "GRID_WORKERS").then(|| "4".to_owned()))
            .unwrap()
            .value("heartbeat_ms", "700")
            .unwrap()
            .finish();
        assert_eq!(settings.listen, "127.0.0.1:1");
        assert_eq!((settings.workers, settings.heartbeat_ms), (4, 700));
        assert_eq!((settings.partition_count, settings.map_spread), (271, 8));
        assert_eq!(settings.data_dir, "grid-data");
    }

    #[test]
    fn a_token_is_not_shown_however_it_is_written() {
        for text in [
            "token = \"secret",
            "token = \"a\"\ntoken = \"secret\"",
            "token = [\"secret\"]",
            "token = { is = \"secret\" }",
        ] {
            let error = Layers::defaults().file(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!format!("{error:?}").contains("secret"), "{error}");
        }
    }

    #[test]
    fn errors_name_the_key_the_nearest_one_and_the_bounds() {
        let error = |text: &str| Layers::defaults().file(text).unwrap_err().to_string();
        let typo = error("hearbeat = 5");
        assert!(
            typo.contains("`hearbeat`") && typo.contains("`heartbeat_ms`"),
            "{typo}"
        );
        assert!(!error("zzzz = 5").contains("did you mean"));
        let low = error("heartbeat_ms = 5");
        assert!(
            low.contains("`heartbeat_ms`") && low.contains("from 100 to 600000"),
            "{low}"
        );
        assert!(error("partition_count = -1").contains("from 1 to 4096"));
        assert!(error("workers = 1.5").contains("whole number"));
        assert!(error("listen = \"\"").contains("`listen`"));
        assert!(error("= 5").contains("not TOML"));
        let table = error("[server]\nworkers = 2");
        assert!(table.contains("no setting `server`"), "{table}");
        assert!(error("[workers]\nmost = 2").contains("`workers` must be a text or a whole"));
        assert!(error("workers = 2\n\nlisten = ").contains("line: 3"));
        let variable = Layers::defaults()
            .environment(|name| (name == "GRID_WORKERS").then(|| "many".to_owned()))
            .unwrap_err()
            .to_string();
        assert!(variable.contains("GRID_WORKERS"), "{variable}");
    }
}
