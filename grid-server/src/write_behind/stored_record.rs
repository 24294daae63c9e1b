//! Asking the system of record for one entry.

use grid_core::limits::MAX_KEY_BYTES;
use grid_core::traits::{Persistence, RecordCursor};
use grid_core::{Key, PartitionId, Record, Result};

/// Records of every look after the first, which finds the entry unless keys end with the last
/// character of Unicode.
const LOOK: usize = 16;

/// What the system of record has of one entry.
///
/// # Errors
/// As [`Persistence::load`].
pub(crate) async fn stored_record(
    persistence: &dyn Persistence,
    partition: PartitionId,
    entry: &RecordCursor,
) -> Result<Option<Record>> {
    let mut after = just_before(&entry.key).map(|key| RecordCursor {
        address: entry.address.clone(),
        key,
    });
    let mut limit = 1;
    loop {
        let page = persistence.load(partition, after.as_ref(), limit).await?;
        after = page.records.last().map(RecordCursor::of);
        let is_wanted = |each: &_| RecordCursor::of(each) == *entry;
        if let Some(found) = page.records.into_iter().find(is_wanted) {
            return Ok(Some(found.record));
        }
        if !page.more || after.as_ref().is_none_or(|after| after > entry) {
            return Ok(None);
        }
        limit = LOOK;
    }
}

/// A key before `key` with next to none between the two; none if there is no key before it.
fn just_before(key: &Key) -> Option<Key> {
    let mut text = key.as_str().to_owned();
    let last = text.pop()?;
    if let Some(lower) = ('\u{1}'..last).next_back() {
        text.push(lower);
        if text.len() + char::MAX.len_utf8() <= MAX_KEY_BYTES {
            text.push(char::MAX);
        }
    }
    Key::new(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(key: &str) -> Option<String> {
        let found = just_before(&Key::new(key).unwrap());
        found.map(|key| key.as_str().to_owned())
    }

    #[test]
    fn the_key_before_comes_after_every_other_one_before() {
        let long = |last: &str| format!("{}{last}", "k".repeat(MAX_KEY_BYTES - last.len()));
        for key in ["a", "a/b", "ab", "é", "\u{e000}", "z\u{1}", "😀"] {
            let found = before(key).unwrap();
            assert!(*found < *key, "{key:?}: {found:?}");
            for other in [
                "\u{1}", "a", "a.", "a/", "a/a", "a/azz", "aa", "z", "{", "😀",
            ] {
                let is_before = *other < *key;
                assert_eq!(is_before, *other <= *found, "{other:?} and {key:?}");
            }
        }
        assert_eq!(before("\u{1}"), None);
        assert_eq!(before(&long("b")), Some(long("a")));
        assert_eq!(before("\u{e000}").unwrap(), "\u{d7ff}\u{10ffff}");
    }
}
