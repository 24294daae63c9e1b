//! Op ids and stamps as text, the way people and the grid's own messages write them.

use grid_core::{Hlc, OpId, RunId, Stamp};

/// What has one text form.
pub(super) trait Text: Sized + ToString {
    /// What the text should look like.
    const FORM: &'static str;

    fn parse(text: &str) -> Option<Self>;
}

impl Text for OpId {
    const FORM: &'static str = "an op id, RUN-NUMBER with the run in hexadecimal";

    fn parse(text: &str) -> Option<Self> {
        let (run, number) = text.split_once('-')?;
        let run = RunId(u64::from_str_radix(run, 16).ok()?);
        let number = number.parse().ok()?;
        Some(Self { run, number })
    }
}

impl Text for Stamp {
    const FORM: &'static str = "a version, MILLISECONDS.COUNTER@RUN-NUMBER";

    fn parse(text: &str) -> Option<Self> {
        let (hlc, op) = text.split_once('@')?;
        let hlc: Hlc = hlc.parse().ok()?;
        Some(Self {
            hlc,
            op: OpId::parse(op)?,
        })
    }
}

fn from_text<'de, T: Text, D: serde::Deserializer<'de>>(text: &str) -> Result<T, D::Error> {
    T::parse(text)
        .ok_or_else(|| serde::de::Error::custom(format!("`{text}` should be {}", T::FORM)))
}

/// `#[serde(with = "text::required")]`
pub(super) mod required {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Text, from_text};

    pub(in crate::history) fn serialize<T: Text, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&value.to_string())
    }

    pub(in crate::history) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        from_text::<T, D>(&String::deserialize(deserializer)?)
    }
}

/// `#[serde(default, with = "text::optional", skip_serializing_if = "Option::is_none")]`
pub(super) mod optional {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Text, from_text};

    pub(in crate::history) fn serialize<T: Text, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(&value.to_string()),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::history) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| from_text::<T, D>(&text))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_the_one_that_the_grid_prints() {
        let op = OpId {
            run: RunId(0xfeed_0000_0000_0001),
            number: 42,
        };
        let stamp = Stamp {
            hlc: Hlc::new(1_700_000_000_000, 65_535),
            op,
        };
        assert_eq!(OpId::parse(&op.to_string()), Some(op));
        assert_eq!(Stamp::parse(&stamp.to_string()), Some(stamp));
        for wrong in ["", "1", "x-1", "1-x", "1-", "-1"] {
            assert_eq!(OpId::parse(wrong), None, "{wrong}");
            assert_eq!(Stamp::parse(wrong), None, "{wrong}");
        }
    }
}
