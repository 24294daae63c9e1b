//! Finding several fields of a value in one pass over its bytes.

use std::collections::BTreeMap;

use super::bits::Bits;
use super::name::Name;
use super::path::Path;
use super::value::{Str, Value, open, skip, skip_tags};
use crate::codec::head::{MAP, TEXT};
use crate::codec::{Fault, more};
use crate::limits::MAX_CBOR_DEPTH;

/// The node of the value itself.
const ROOT: usize = 0;

/// Paths as a tree of names; each path has a slot, its place in what the tree was made of.
#[derive(Debug, Clone)]
pub(super) struct PathTree {
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
    /// fit into [`Bits`].
    pub(super) fn new<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Self {
        let mut nodes = vec![Node::default()];
        let mut known: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for (slot, path) in paths.into_iter().enumerate() {
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
        Self { nodes }
    }

    /// Calls `found` with the slot of every path that leads to a field of `value`, and the field.
    #[inline]
    pub(super) fn visit<'a>(&self, value: &'a [u8], found: impl FnMut(usize, Value<'a>)) {
        let mut visit = Visit {
            tree: self,
            seen: Bits::default(),
            found,
        };
        let mut rest = value;
        let visited = visit.node(&mut rest, ROOT, 0, true);
        // Damage is where fields end: those before it were found.
        visited.unwrap_or_default();
    }
}

struct Visit<'t, F> {
    tree: &'t PathTree,
    /// The nodes whose name came: the first of a map's entries of one name counts.
    seen: Bits,
    found: F,
}

impl<'a, F: FnMut(usize, Value<'a>)> Visit<'_, F> {
    /// Takes the item at the front of `rest`, to which the names of `node` lead. Nothing that is
    /// wanted comes after it when it is the `last`, and then `rest` may stay within it.
    fn node(
        &mut self,
        rest: &mut &'a [u8],
        node: usize,
        depth: usize,
        last: bool,
    ) -> Result<(), Fault> {
        let Node { slot, children } = &self.tree.nodes[node];
        let Some(slot) = slot else {
            return self.children(rest, node, depth, last);
        };
        let mut item = *rest;
        let value = Value::read(&mut item, depth);
        let inner_too = !children.is_empty();
        match value {
            Ok(value) => (self.found)(*slot, value),
            // A field within may lie before the damage.
            Err(_) if inner_too => {}
            Err(fault) => return Err(fault),
        }
        if inner_too {
            return self.children(rest, node, depth, last);
        }
        *rest = item;
        Ok(())
    }

    /// Looks in the map at the front of `rest` for the names after `node`.
    fn children(
        &mut self,
        rest: &mut &'a [u8],
        node: usize,
        depth: usize,
        last: bool,
    ) -> Result<(), Fault> {
        let depth = skip_tags(rest, depth)?;
        if rest.first().is_none_or(|first| first >> 5 != MAP) {
            return skip(rest, depth);
        }
        if depth == MAX_CBOR_DEPTH {
            return Err(Fault::TooDeep);
        }
        let mut entries = open(rest)?;
        let mut wanted = self.tree.nodes[node].children.len();
        while more(rest, &mut entries)? {
            if last && wanted == 0 {
                return Ok(());
            }
            match self.child(rest, node, depth + 1)? {
                Some(child) => {
                    wanted -= 1;
                    self.node(rest, child, depth + 1, last && wanted == 0)?;
                }
                None => skip(rest, depth + 1)?,
            }
        }
        Ok(())
    }

    /// Takes a map's key: the node that it leads to, the first time that it does.
    #[inline]
    fn child(
        &mut self,
        rest: &mut &'a [u8],
        node: usize,
        depth: usize,
    ) -> Result<Option<usize>, Fault> {
        if rest.first().is_none_or(|first| first >> 5 != TEXT) {
            skip(rest, depth)?;
            return Ok(None);
        }
        let key = Str::read(rest, depth)?;
        let children = &self.tree.nodes[node].children;
        let Some(place) = Name::find(children, key) else {
            return Ok(None);
        };
        let (_, child) = children[place];
        let again = self.seen.get(child - 1);
        self.seen.set(child - 1);
        Ok((!again).then_some(child))
    }
}
