//! When clients are told, map by map.

use std::collections::BTreeMap;

use grid_core::{AckLevel, Error, ErrorKind, MapName, Result};

/// When clients are told what became of an op that asks for nothing else.
///
/// ```
/// use grid_core::{AckLevel, MapName};
/// use grid_server::config::AckLevels;
///
/// let levels = AckLevels::parse("journaled, orders=stored, presence=memory")?;
/// assert_eq!(levels.of(&MapName::new("orders")?), AckLevel::Stored);
/// assert_eq!(levels.of(&MapName::new("todos")?), AckLevel::Journaled);
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AckLevels {
    others: AckLevel,
    maps: BTreeMap<MapName, AckLevel>,
}

impl AckLevels {
    /// One level for all maps.
    #[must_use]
    pub fn all(level: AckLevel) -> Self {
        Self {
            others: level,
            maps: BTreeMap::new(),
        }
    }

    /// Reads a list of `map=level`, parted by commas; a level alone is for all other maps, which
    /// else is `journaled`.
    ///
    /// # Errors
    /// `Invalid`, naming the part that is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let mut levels = Self::default();
        let parts = text.split(',').map(str::trim);
        for part in parts.filter(|part| !part.is_empty()) {
            match part.rsplit_once('=') {
                None => levels.others = level(part)?,
                Some((map, name)) => {
                    let map = MapName::new(map.trim())?;
                    levels.maps.insert(map, level(name.trim())?);
                }
            }
        }
        Ok(levels)
    }

    /// The level of a map.
    #[must_use]
    pub fn of(&self, map: &MapName) -> AckLevel {
        if self.maps.is_empty() {
            return self.others;
        }
        self.maps.get(map).copied().unwrap_or(self.others)
    }
}

fn level(name: &str) -> Result<AckLevel> {
    AckLevel::from_name(name).ok_or_else(|| {
        Error::new(
            ErrorKind::Invalid,
            "configure",
            format!("`{name}` is no ack level: they are memory, journaled and stored"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_level_and_what_is_no_map_is_named() {
        for (text, named) in [
            ("durable", "durable"),
            ("orders=fast", "fast"),
            ("=stored", "map name"),
            ("a=stored=memory, b", "`b`"),
        ] {
            let error = AckLevels::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_map_of_any_name_may_have_a_level() {
        let levels = AckLevels::parse("memory,a=b=stored").unwrap();
        let of = |map| levels.of(&MapName::new(map).unwrap());
        assert_eq!(of("a=b"), AckLevel::Stored);
        assert_eq!(of("a"), AckLevel::Memory);
        assert_eq!(AckLevels::parse(" , ").unwrap(), AckLevels::default());
    }
}
