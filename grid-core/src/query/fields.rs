//! The fields of an entry that an index over filters goes by.

use std::collections::BTreeSet;

use super::index_key::IndexKey;
use super::path::Path;
use super::path_tree::PathTree;
use super::value::Value;
use crate::address::Key;
use crate::error::Result;
use crate::limits::{MAX_FILTER_PARTS, MAX_PATH_NAMES};

/// Reads some fields of entries as [`IndexKey`]s, to look filters up by their
/// [`Cover`](super::Cover)s.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use grid_core::Key;
/// use grid_core::query::{Fields, field};
///
/// // Who asks for what: by path, and then by what the field is in all that they ask for.
/// let mut index: BTreeMap<_, BTreeMap<_, Vec<&str>>> = BTreeMap::new();
/// for owner in ["ann", "bob"] {
///     let filter = field("owner").eq(owner).and(field("due").lt(20));
///     for (path, key) in filter.cover().expect("an equality").iter() {
///         let of_path = index.entry(path.clone()).or_default();
///         of_path.entry(key.clone()).or_default().push(owner);
///     }
/// }
/// let fields = Fields::new(index.keys())?;
/// let by_slot: Vec<_> = index.into_values().collect();
///
/// let mut concerned: Vec<&str> = Vec::new();
/// fields.visit(&Key::new("t1")?, b"\xa1\x65owner\x63ann", |slot, key| {
///     concerned.extend(by_slot[slot].get(key).into_iter().flatten().copied());
/// });
/// assert_eq!(concerned, ["ann"]);
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Fields {
    /// Ascending.
    paths: Box<[Path]>,
    /// As many as it takes for each to be within the bounds of one.
    trees: Box<[Tree]>,
}

#[derive(Debug, Clone)]
struct Tree {
    tree: PathTree,
    /// The place of its first path.
    first: usize,
    count: usize,
}

/// How many paths one tree has: so many that all their names fit, however long they are.
const PATHS_PER_TREE: usize = MAX_FILTER_PARTS / MAX_PATH_NAMES;
const _: () = assert!(PATHS_PER_TREE <= 64, "a bit for each path");

impl Fields {
    /// Reads the fields at `paths`, however many; a path that comes twice is read once.
    ///
    /// # Errors
    /// `TooLarge` when a path has more than [`MAX_PATH_NAMES`] names, `Invalid` for one within the
    /// key.
    pub fn new<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Result<Self> {
        let paths: BTreeSet<&Path> = paths.into_iter().collect();
        let paths: Box<[Path]> = paths.into_iter().cloned().collect();
        paths.iter().try_for_each(Path::check)?;
        let tree = |(number, paths): (usize, &[Path])| Tree {
            tree: PathTree::new(paths.iter().enumerate()),
            first: number * PATHS_PER_TREE,
            count: paths.len(),
        };
        let trees = paths.chunks(PATHS_PER_TREE).enumerate().map(tree).collect();
        Ok(Self { paths, trees })
    }

    /// The paths of the fields, ascending.
    #[must_use]
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Calls `found` once for each path, with its place in [`Fields::paths`] and the key of the
    /// field there, or that of a missing one.
    ///
    /// The paths come in no order that is promised. The value is read once for every 64 of them.
    pub fn visit(&self, key: &Key, value: &[u8], mut found: impl FnMut(usize, &IndexKey)) {
        let mut of_field = IndexKey::missing();
        for Tree { tree, first, count } in &self.trees {
            let mut there = 0_u64;
            let mut tell = |slot: usize, field: Option<&Value<'_>>| {
                of_field.set(field);
                found(first + slot, &of_field);
            };
            tree.visit(key.as_bytes(), value, |slot, field| {
                there |= 1 << slot;
                tell(slot, Some(&field));
            });
            for slot in (0..*count).filter(|slot| there & (1 << slot) == 0) {
                tell(slot, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Literal;
    use super::*;

    #[test]
    fn every_path_is_told_once_however_many_there_are() {
        let names: Vec<String> = (0..200).map(|number| format!("f{number}")).collect();
        let mut paths: Vec<Path> = names.iter().map(Path::from).collect();
        paths.push(Path::key());
        let fields = Fields::new(paths.iter().chain(&paths)).unwrap();
        let key = Key::new("k").unwrap();
        let mut told = Vec::new();
        let value = b"\xa3\x62f7\x01\x64f150\x61x\x64f150\x61y";
        fields.visit(&key, value, |slot, key| told.push((slot, key.clone())));
        told.sort();
        let path = |(slot, key): (usize, IndexKey)| (fields.paths()[slot].clone(), key);
        let mut told: Vec<(Path, IndexKey)> = told.into_iter().map(path).collect();
        assert!(told.iter().map(|(path, _)| path).eq(fields.paths()));
        told.retain(|(_, key)| *key != IndexKey::missing());
        let of = |path: Path, literal: Literal| (path, IndexKey::of(&literal));
        let mut wanted = [
            of(Path::key(), "k".into()),
            of("f7".into(), 1.into()),
            of("f150".into(), "x".into()),
        ];
        wanted.sort();
        assert_eq!(told, wanted);
    }
}
