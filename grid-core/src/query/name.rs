//! Names of fields such that those that differ are told apart by their numbers.

use std::cmp::Ordering;

use super::value::Str;

/// A name with its length and its end, in which names differ more often than at their front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    length: usize,
    tail: u64,
    text: Box<[u8]>,
}

impl Name {
    pub(super) fn new(text: &str) -> Self {
        Self {
            length: text.len(),
            tail: tail(text.as_bytes()),
            text: text.as_bytes().into(),
        }
    }

    /// The place among `names`, ascending as [`Name::order`] has them, of the one that `key` is.
    #[inline]
    pub(super) fn find<T>(names: &[(Self, T)], key: Str<'_>) -> Option<usize> {
        let Some(text) = key.as_whole() else {
            let is = |(name, _): &(Self, T)| Str::whole(&name.text).compare(key).is_eq();
            return names.iter().position(is);
        };
        let tail = tail(text);
        names
            .binary_search_by(|(name, _)| name.order(text.len(), tail, text))
            .ok()
    }

    pub(super) fn order_of(&self, other: &Self) -> Ordering {
        self.order(other.length, other.tail, &other.text)
    }

    #[inline]
    fn order(&self, length: usize, tail: u64, text: &[u8]) -> Ordering {
        (self.length, self.tail)
            .cmp(&(length, tail))
            .then_with(|| match length {
                // All of it is in the number.
                0..=8 => Ordering::Equal,
                _ => (*self.text).cmp(text),
            })
    }
}

/// The last eight bytes, or all of them.
#[inline]
fn tail(text: &[u8]) -> u64 {
    if let Some(last) = text.last_chunk() {
        return u64::from_le_bytes(*last);
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
        return first << 32 | last;
    }
    text.iter().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        let texts: Vec<String> = ["a", "b", "\0", "xa", "ax", "é"]
            .iter()
            .flat_map(|part| (0..12).map(move |count| part.repeat(count)))
            .chain(["abcdefghi".into(), "bbcdefghi".into(), "abcd1fghi".into()])
            .collect();
        for skip in 0..texts.len() {
            let rest = texts.iter().enumerate().filter(|(index, _)| *index != skip);
            let mut names: Vec<(Name, &str)> =
                rest.map(|(_, text)| (Name::new(text), &**text)).collect();
            names.sort_unstable_by(|(a, _), (b, _)| a.order_of(b));
            for text in &texts {
                let found = Name::find(&names, Str::whole(text.as_bytes()));
                let found = found.map(|place| names[place].1);
                let there = names.iter().any(|(_, name)| name == text);
                assert_eq!(found, there.then_some(&**text));
            }
        }
    }
}
