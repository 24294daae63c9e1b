//! A question to a map, answered from what this device holds.

use std::fmt;

use bytes::Bytes;
use grid_core::Result;
use grid_core::query::{PageCursor, Query};
use serde::de::DeserializeOwned;

use crate::answer::Answer;
use crate::map::Map;
use crate::selection::Selection;

/// A query of a [`Map`], made by [`Map::query`]. The answer comes from this device at once, with
/// everything that was written here, and says whether it is complete.
///
/// Filters look at the stored bytes; only the entries of the answer are decoded. Each answer goes
/// through the whole map once, but for pages by key, which end where they are full. It holds as
/// many entries as the answer has.
///
/// ```
/// # use std::sync::Arc;
/// # use grid_client::GridBuilder;
/// use grid_client::query::{Query, field};
///
/// # let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # tokio.block_on(async {
/// # let grid = GridBuilder::new()
/// #     .runtime(Arc::new(grid_runtime_tokio::TokioRuntime::current()?))
/// #     .storage_backend(Arc::new(grid_storage_memory::MemoryStorage::open("memory:")?))
/// #     .open()
/// #     .await?;
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Todo {
///     done: bool,
///     due: u32,
/// }
///
/// let todos = grid.map::<Todo>("todos")?;
/// for (key, done, due) in [("a", false, 3), ("b", true, 9), ("c", false, 7), ("d", false, 5)] {
///     todos.put(key, &Todo { done, due }).await?;
/// }
/// let open = Query::from(field("done").eq(false)).descending("due");
/// let pages = todos.query(open).page(2);
/// let first = pages.get()?;
/// let dues: Vec<u32> = first.entries.iter().map(|(_, todo)| todo.due).collect();
/// assert_eq!(dues, [7, 5]);
/// let rest = pages.after(first.next.expect("there is more")).get()?;
/// assert_eq!(rest.entries[0].0.as_str(), "a");
/// assert_eq!(rest.next, None);
/// assert!(!rest.complete, "no server ever told that this is all");
/// # Ok::<(), grid_core::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a query does nothing until it is asked for its answer"]
pub struct LocalQuery<T> {
    map: Map<T>,
    query: Query,
    after: Option<PageCursor>,
    page: Option<usize>,
}

impl<T> Clone for LocalQuery<T> {
    fn clone(&self) -> Self {
        Self {
            map: self.map.clone(),
            query: self.query.clone(),
            after: self.after.clone(),
            page: self.page,
        }
    }
}

impl<T> fmt::Debug for LocalQuery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalQuery")
            .field("map", self.map.name())
            .field("query", &self.query)
            .field("after", &self.after)
            .field("page", &self.page)
            .finish()
    }
}

impl<T> LocalQuery<T> {
    pub(crate) fn new(map: Map<T>, query: Query) -> Self {
        Self {
            map,
            query,
            after: None,
            page: None,
        }
    }

    /// At most so many entries at a time, one at least; what comes after them is asked for with
    /// [`LocalQuery::after`]. The limit of the query counts over all pages.
    pub fn page(mut self, entries: usize) -> Self {
        self.page = Some(entries);
        self
    }

    /// The entries after this place in the order, which an [`Answer`] told.
    pub fn after(mut self, cursor: PageCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// The answer with values as CBOR, as things are at this moment.
    ///
    /// # Errors
    /// `Invalid` when the limit or the page has no entries, when the cursor is of another order, or
    /// when the query cannot be; `TooLarge` when it exceeds a bound.
    pub fn get_bytes(&self) -> Result<Answer<Bytes>> {
        let selection = Selection::new(&self.query, self.after.as_ref(), self.page)?;
        Ok(self.map.answer(&selection))
    }
}

impl<T: DeserializeOwned> LocalQuery<T> {
    /// The answer, as things are at this moment.
    ///
    /// # Errors
    /// As [`LocalQuery::get_bytes`], and `Invalid` with the key when a value of the answer is not a
    /// `T`: [`Answer::decoded`] goes on with the others.
    pub fn get(&self) -> Result<Answer<T>> {
        let answer = self.get_bytes()?;
        Ok(Answer {
            entries: answer.decoded().collect::<Result<_>>()?,
            complete: answer.complete,
            synced: answer.synced,
            next: answer.next,
        })
    }
}
