//! Finding several fields of a value in one pass over its bytes.

use std::collections::BTreeMap;

use super::bits::Bits;
use super::name::Name;
use super::path::Path;
use super::value::{Str, Value, open, skip, skip_tags};
use crate::codec::head::{INDEFINITE, MAP, TEXT, head, take_slice};
use crate::codec::{Fault, more};
use crate::limits::MAX_CBOR_DEPTH;

/// The node of the value itself.
const ROOT: usize = 0;

/// Paths as a tree of names; each path has a slot, its place in what the tree was made of.
#[derive(Debug, Clone)]
pub(super) struct PathTree {
    /// The slot of the path that names the entry's key.
    key: Option<usize>,
    /// Each node but the root has one name in one parent.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    slot: Option<usize>,
    /// Names, ascending, and their nodes.
    children: Vec<(Name, usize)>,
}

impl PathTree {
    /// The tree of `paths`, which are different, and of which there are so few that their names
    /// fit into [`Bits`]. Each has the slot that stands beside it.
    pub(super) fn new<'p>(paths: impl IntoIterator<Item = (usize, &'p Path)>) -> Self {
        let mut key = None;
        let mut nodes = vec![Node::default()];
        let mut known: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for (slot, path) in paths {
            if path.is_key() {
                key = Some(slot);
                continue;
            }
            let mut node = ROOT;
            for name in path.names() {
                node = *known.entry((node, name)).or_insert_with(|| {
                    let child = nodes.len();
                    nodes.push(Node::default());
                    nodes[node].children.push((Name::new(name), child));
                    child
                });
            }
            nodes[node].slot = Some(slot);
        }
        for node in &mut nodes {
            node.children
                .sort_unstable_by(|(a, _), (b, _)| a.order_of(b));
        }
        Self { key, nodes }
    }

    /// Calls `found` with the slot of every path that leads to a field of an entry, and the field.
    #[inline]
    pub(super) fn visit<'a>(
        &self,
        key: &'a [u8],
        value: &'a [u8],
        found: impl FnMut(usize, Value<'a>),
    ) {
        let mut visit = Visit::new(self, found);
        // Damage is where fields end: those before it were found.
        visit.entry(key, value, true).unwrap_or_default();
    }

    /// As [`PathTree::visit`], and whether every reader finds the same fields: those that take the
    /// last of several entries of one name as well, and those that refuse damage.
    pub(super) fn visit_unambiguous<'a>(
        &self,
        key: &'a [u8],
        value: &'a [u8],
        found: impl FnMut(usize, Value<'a>),
    ) -> bool {
        let mut visit = Visit::new(self, found);
        visit.entry(key, value, false).is_ok() && !visit.again
    }
}

struct Visit<'t, F> {
    tree: &'t PathTree,
    /// The nodes whose name came: the first of a map's entries of one name counts.
    seen: Bits,
    /// Whether a name came again.
    again: bool,
    found: F,
}

/// Where a visit is.
#[derive(Debug, Clone, Copy)]
struct Place {
    node: usize,
    /// Containers and tags that are open around the item.
    depth: usize,
    /// Whether nothing that is wanted comes after the item: then the visit may end within it.
    last: bool,
}

impl<'t, 'a, F: FnMut(usize, Value<'a>)> Visit<'t, F> {
    #[inline]
    fn new(tree: &'t PathTree, found: F) -> Self {
        Self {
            tree,
            seen: Bits::default(),
            again: false,
            found,
        }
    }

    #[inline]
    fn entry(&mut self, key: &'a [u8], value: &'a [u8], last: bool) -> Result<(), Fault> {
        if let Some(slot) = self.tree.key {
            (self.found)(slot, Value::Text(Str::whole(key)));
        }
        let (mut rest, node, depth) = (value, ROOT, 0);
        self.node(&mut rest, Place { node, depth, last })
    }

    /// Takes the item at the front of `rest`, to which the names of the node lead.
    fn node(&mut self, rest: &mut &'a [u8], place: Place) -> Result<(), Fault> {
        let Node { slot, children } = &self.tree.nodes[place.node];
        let Some(slot) = slot else {
            return self.children(rest, place);
        };
        let mut item = *rest;
        let value = Value::read(&mut item, place.depth);
        let inner_too = !children.is_empty();
        match value {
            Ok(value) => (self.found)(*slot, value),
            // A field within may lie before the damage.
            Err(_) if inner_too => {}
            Err(fault) => return Err(fault),
        }
        if inner_too {
            return self.children(rest, place);
        }
        *rest = item;
        Ok(())
    }

    /// Looks in the map at the front of `rest` for the names after the node.
    fn children(&mut self, rest: &mut &'a [u8], place: Place) -> Result<(), Fault> {
        let Place { node, depth, last } = place;
        let depth = skip_tags(rest, depth)?;
        if rest.first().is_none_or(|first| first >> 5 != MAP) {
            return skip(rest, depth);
        }
        if depth == MAX_CBOR_DEPTH {
            return Err(Fault::TooDeep);
        }
        let mut entries = open(rest)?;
        let mut wanted = self.tree.nodes[node].children.len();
        let depth = depth + 1;
        while more(rest, &mut entries)? {
            if last && wanted == 0 {
                return Ok(());
            }
            match self.child(rest, Place { node, depth, last })? {
                Some(node) => {
                    wanted -= 1;
                    let last = last && wanted == 0;
                    self.node(rest, Place { node, depth, last })?;
                }
                None => skip(rest, depth)?,
            }
        }
        Ok(())
    }

    /// Takes a map's key: the node that it leads to, the first time that it does.
    #[inline]
    fn child(&mut self, rest: &mut &'a [u8], place: Place) -> Result<Option<usize>, Fault> {
        let first = *rest.first().ok_or(Fault::Truncated)?;
        if first >> 5 != TEXT {
            skip(rest, place.depth)?;
            return Ok(None);
        }
        let children = &self.tree.nodes[place.node].children;
        let found = if first & 0x1f == INDEFINITE {
            Name::find_chunked(children, Str::read(rest, place.depth)?)
        } else {
            let (_, length, _) = head(rest)?;
            Name::find(children, take_slice(rest, length)?)
        };
        let Some(found) = found else {
            return Ok(None);
        };
        let (_, child) = children[found];
        let again = self.seen.get(child - 1);
        self.seen.set(child - 1);
        self.again |= again;
        Ok((!again).then_some(child))
    }
}
