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

    /// The place among `names`, ascending as [`Name::order`] has them, of the one that `text` is.
    #[inline]
    pub(super) fn find<T>(names: &[(Self, T)], text: &[u8]) -> Option<usize> {
        let tail = tail(text);
        names
            .binary_search_by(|(name, _)| name.order(text.len(), tail, text))
            .ok()
    }

    /// As [`Name::find`]. Goes through the chunks once for the numbers, and then only where a name
    /// has the same ones.
    #[cold]
    pub(super) fn find_chunked<T>(names: &[(Self, T)], key: Str<'_>) -> Option<usize> {
        let (mut length, mut last) = (0, [0; TAIL_BYTES]);
        for chunk in key.chunks() {
            length += chunk.len();
            let taken = chunk.len().min(TAIL_BYTES);
            last.rotate_left(taken);
            last[TAIL_BYTES - taken..].copy_from_slice(&chunk[chunk.len() - taken..]);
        }
        let tail = tail(&last[TAIL_BYTES - length.min(TAIL_BYTES)..]);
        let order = |name: &Self| {
            let numbers = (name.length, name.tail).cmp(&(length, tail));
            numbers.then_with(|| Str::whole(&name.text).compare(key))
        };
        names.binary_search_by(|(name, _)| order(name)).ok()
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
                0..=TAIL_BYTES => Ordering::Equal,
                _ => (*self.text).cmp(text),
            })
    }
}

/// What of a name is in its number.
const TAIL_BYTES: usize = 8;

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

    /// The text as CBOR in three chunks, one of them empty.
    fn chunks(text: &[u8], cut: usize) -> Vec<u8> {
        let (front, back) = text.split_at(cut);
        let mut out = vec![0x7f];
        for part in [front, b"", back] {
            out.extend([0x78, u8::try_from(part.len()).unwrap()]);
            out.extend(part);
        }
        out.push(0xff);
        out
    }

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
                let found = Name::find(&names, text.as_bytes());
                let found = found.map(|place| names[place].1);
                let there = names.iter().any(|(_, name)| name == text);
                assert_eq!(found, there.then_some(&**text));
                for cut in 0..=text.len() {
                    let chunked = chunks(text.as_bytes(), cut);
                    let key = Str::read(&mut &chunked[..], 0).unwrap();
                    let found = Name::find_chunked(&names, key);
                    let found = found.map(|place| names[place].1);
                    assert_eq!(found, there.then_some(&**text), "cut at {cut}");
                }
            }
        }
    }
}
