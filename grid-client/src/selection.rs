//! Which entries answer a query: the best ones, found in one pass over all.

use std::collections::BTreeMap;

use bytes::Bytes;
use grid_core::query::{CompiledFilter, CompiledOrder, Order, OrderKey, PageCursor, Query};
use grid_core::{Error, ErrorKind, Key, Result};

/// A query that was made ready, and the page of its result that is asked for.
#[derive(Debug)]
pub(crate) struct Selection {
    filter: CompiledFilter,
    order: CompiledOrder,
    /// Whether entries that come in the order of their keys come in this order.
    by_key: bool,
    /// Most entries of all pages.
    limit: usize,
    /// Most entries of this page.
    page: usize,
    /// The position in the order after which the page starts.
    after: Option<Vec<u8>>,
}

/// The entries of one page, in the order of the query.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) entries: Vec<(Key, Bytes)>,
    /// After which the next page starts, if there is one.
    pub(crate) next: Option<PageCursor>,
}

impl Selection {
    pub(crate) fn new(
        query: &Query,
        after: Option<&PageCursor>,
        page: Option<usize>,
    ) -> Result<Self> {
        query.check()?;
        if page == Some(0) {
            let message = "a page has one entry at least";
            return Err(Error::new(ErrorKind::Invalid, "query", message));
        }
        let order = query.order.compile()?;
        let after = after.map(|after| order.position(after)).transpose()?;
        let limit = match query.limit {
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        Ok(Self {
            filter: query.filter.compile()?,
            after: after.map(<[u8]>::to_vec),
            order,
            by_key: query.order == Order::by_key(),
            limit,
            page: page.map_or(limit, |page| page.min(limit)),
        })
    }

    /// The page, from `entries` in the order of their keys. Holds no more entries than the page has
    /// while it looks, and no value is decoded or copied but for those that it returns.
    pub(crate) fn select<'a>(
        &self,
        entries: impl Iterator<Item = (&'a Key, &'a Bytes)>,
    ) -> Selected {
        let mut kept: BTreeMap<OrderKey, (&Key, &Bytes)> = BTreeMap::new();
        // How many entries of the result come before the page.
        let mut before = 0;
        let mut has_more = false;
        for (key, value) in entries.filter(|(key, value)| self.filter.matches(key, value)) {
            let place = self.order.key(key, value);
            if self.is_before_page(&place) {
                before += 1;
                continue;
            }
            kept.insert(place, (key, value));
            if kept.len() > self.page {
                kept.pop_last();
                has_more = true;
                if self.by_key {
                    break;
                }
            }
        }
        // Pages end together where the limit is reached.
        let room = self.limit.saturating_sub(before);
        has_more &= kept.len() < room;
        while kept.len() > room {
            kept.pop_last();
        }
        let last = kept.last_key_value().filter(|_| has_more);
        Selected {
            next: last.map(|(place, _)| self.order.cursor(place)),
            entries: kept
                .into_values()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }

    fn is_before_page(&self, place: &OrderKey) -> bool {
        let after = self.after.as_deref();
        after.is_some_and(|after| place.as_bytes() <= after)
    }
}
