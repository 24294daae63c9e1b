//! The numbers of views: server-wide, so that one encoded event serves all who follow a view.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use grid_core::MapAddress;
use grid_core::protocol::{Selector, ViewId};

/// Views that somebody follows, and how many do.
#[derive(Debug, Default)]
pub(crate) struct Views(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    by_content: BTreeMap<(MapAddress, Selector), (ViewId, usize)>,
    by_id: BTreeMap<ViewId, (MapAddress, Selector)>,
}

impl Views {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a view, for one more follower.
    pub(crate) fn follow(&self, address: &MapAddress, selector: &Selector) -> ViewId {
        let mut table = self.lock();
        let content = (address.clone(), selector.clone());
        if let Some((id, followers)) = table.by_content.get_mut(&content) {
            *followers += 1;
            return *id;
        }
        table.next += 1;
        let id = ViewId(table.next);
        table.by_id.insert(id, content.clone());
        table.by_content.insert(content, (id, 1));
        id
    }

    /// One follower less.
    pub(crate) fn unfollow(&self, id: ViewId) {
        let mut table = self.lock();
        let Some(content) = table.by_id.get(&id).cloned() else {
            return;
        };
        let Some((_, followers)) = table.by_content.get_mut(&content) else {
            return;
        };
        *followers -= 1;
        if *followers == 0 {
            table.by_content.remove(&content);
            table.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use grid_core::{MapName, Namespace};

    use super::*;

    fn address(map: &str) -> MapAddress {
        MapAddress {
            namespace: Namespace::default(),
            map: MapName::new(map).unwrap(),
        }
    }

    #[test]
    fn one_view_has_one_number_as_long_as_somebody_follows_it() {
        let views = Views::default();
        let first = views.follow(&address("a"), &Selector::All);
        assert_eq!(views.follow(&address("a"), &Selector::All), first);
        let other = views.follow(&address("b"), &Selector::All);
        let prefix = views.follow(&address("a"), &Selector::Prefix("x".to_owned()));
        assert!(first != other && first != prefix && other != prefix);
        views.unfollow(first);
        assert_eq!(views.follow(&address("a"), &Selector::All), first);
        views.unfollow(first);
        views.unfollow(first);
        // A number is never used again: late messages must not meet another view.
        assert!(views.follow(&address("a"), &Selector::All) > prefix);
    }
}
