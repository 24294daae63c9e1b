//! A text that is looked for in others, in time that is linear whatever either is made of.

/// A text with the lengths of its borders (Knuth, Morris and Pratt 1977).
#[derive(Debug, Clone)]
pub(super) struct Needle {
    text: Box<[u8]>,
    /// For each prefix, the length of the longest shorter one that it ends with.
    borders: Box<[u32]>,
}

impl Needle {
    /// The needle of `text`, which the bound on a query's bytes keeps far below 4 GiB.
    pub(super) fn new(text: &[u8]) -> Self {
        let mut borders = vec![0; text.len()];
        let mut length: u32 = 0;
        for end in 1..text.len() {
            while length > 0 && text[end] != text[length as usize] {
                length = borders[length as usize - 1];
            }
            length += u32::from(text[end] == text[length as usize]);
            borders[end] = length;
        }
        Self {
            text: text.into(),
            borders: borders.into(),
        }
    }

    /// Whether the text is in what these parts make together.
    pub(super) fn is_in<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let mut length: usize = 0;
        for part in parts {
            for byte in part {
                while length > 0 && *byte != self.text[length] {
                    length = self.borders[length - 1] as usize;
                }
                length += usize::from(*byte == self.text[length]);
                if length == self.text.len() {
                    return true;
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_is_what_is_there_however_it_repeats_and_is_cut() {
        let texts = [
            "", "a", "b", "ab", "aab", "aabaa", "aabaaab", "abab", "baab", "aaaa",
        ];
        for haystack in ["", "a", "aabaabaaab", "abaabab", "aaaab", "babaab"] {
            for text in texts {
                let needle = Needle::new(text.as_bytes());
                for cut in 0..=haystack.len() {
                    let (front, back) = haystack.as_bytes().split_at(cut);
                    let found = needle.is_in([front, back].into_iter());
                    assert_eq!(found, haystack.contains(text), "{text} in {haystack}");
                }
            }
        }
    }
}
