//! What is wrong at present.

use std::collections::BTreeMap;
use std::time::Duration;

use grid_core::PartitionId;

/// How long ops count as put off after the last one was: clients try again within a second, and
/// without clients nobody sees that it is mended.
const DEFERRAL_COUNTS: Duration = Duration::from_secs(10);
/// Most reasons that are told one by one.
const MAX_REASONS: usize = 16;

/// Who sees that something is wrong; only it can tell that it is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The start: the database was away, and is not looked through yet.
    Start,
    /// A takeover: a partition cannot be loaded.
    Load(PartitionId),
    /// The write-behind of a worker: the database takes nothing.
    Database(usize),
    /// Write-behind: the database takes nothing of one partition.
    Partition(PartitionId),
    /// A worker: ops are put off.
    Ops(usize),
}

#[derive(Debug)]
struct Trouble {
    what: String,
    since: Duration,
    last: Duration,
}

/// What is wrong at present, by who sees it.
#[derive(Debug, Default)]
pub(super) struct Troubles(BTreeMap<Source, Trouble>);

impl Troubles {
    pub(super) fn begin(&mut self, source: Source, what: String, now: Duration) {
        let since = self.0.get(&source).map_or(now, |before| before.since);
        let last = now;
        self.0.insert(source, Trouble { what, since, last });
    }

    pub(super) fn end(&mut self, source: Source) {
        self.0.remove(&source);
    }

    /// A worker's write-behind sees no trouble with the database any more. Returns whether it did,
    /// as the last one.
    pub(super) fn end_database(&mut self, worker: usize) -> bool {
        let is_database = |source: &Source| matches!(source, Source::Database(_));
        self.0.remove(&Source::Database(worker)).is_some() && !self.0.keys().any(is_database)
    }

    pub(super) fn has(&self, source: Source) -> bool {
        self.0.contains_key(&source)
    }

    /// What is wrong with single partitions.
    pub(super) fn of_partitions(&self) -> impl Iterator<Item = (PartitionId, String)> {
        self.0.iter().filter_map(|(source, trouble)| match source {
            Source::Load(id) => Some((*id, format!("cannot be loaded: {}", trouble.what))),
            Source::Partition(id) => Some((*id, format!("cannot be stored: {}", trouble.what))),
            _ => None,
        })
    }

    pub(super) fn keep_loads(&mut self, is_wanted: impl Fn(PartitionId) -> bool) {
        self.0.retain(|source, _| match source {
            Source::Load(id) => is_wanted(*id),
            _ => true,
        });
    }

    /// One sentence for each thing that is wrong, however many see it, since the first did.
    pub(super) fn reasons(&self, now: Duration) -> Vec<String> {
        let mut since: BTreeMap<String, Duration> = BTreeMap::new();
        for (source, trouble) in &self.0 {
            let is_old = now.saturating_sub(trouble.last) > DEFERRAL_COUNTS;
            if matches!(source, Source::Ops(_)) && is_old {
                continue;
            }
            let what = match source {
                Source::Start => format!(
                    "the database was away when the server started, and is not back: {}",
                    trouble.what
                ),
                Source::Load(_) => format!("partitions cannot be loaded: {}", trouble.what),
                Source::Database(_) => format!("the database takes no changes: {}", trouble.what),
                Source::Partition(id) => {
                    format!("partition {id} cannot be stored: {}", trouble.what)
                }
                Source::Ops(_) => format!("writes are put off: {}", trouble.what),
            };
            let first = since.entry(what).or_insert(trouble.since);
            *first = trouble.since.min(*first);
        }
        let more = since.len().saturating_sub(MAX_REASONS);
        let told = since.into_iter().take(MAX_REASONS);
        let mut reasons: Vec<String> = told
            .map(|(what, since)| {
                let seconds = now.saturating_sub(since).as_secs();
                format!("{what} (for {seconds} s)")
            })
            .collect();
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_many_see_is_told_once_and_since_the_first_saw_it() {
        let mut troubles = Troubles::default();
        troubles.begin(Source::Database(1), "gone".to_owned(), at(5));
        troubles.begin(Source::Database(0), "gone".to_owned(), at(7));
        troubles.begin(Source::Database(1), "gone".to_owned(), at(8));
        let reasons = troubles.reasons(at(10));
        assert_eq!(reasons, ["the database takes no changes: gone (for 5 s)"]);
        assert!(!troubles.end_database(1));
        assert_eq!(
            troubles.reasons(at(10)).len(),
            1,
            "the other still sees it so"
        );
        assert!(troubles.end_database(0), "the last one");
        assert!(troubles.reasons(at(10)).is_empty());
        assert!(!troubles.end_database(0), "it is no news");
    }

    #[test]
    fn ops_that_nobody_pushes_again_do_not_count_for_ever() {
        let mut troubles = Troubles::default();
        troubles.begin(Source::Ops(0), "full".to_owned(), at(1));
        troubles.begin(Source::Database(0), "gone".to_owned(), at(1));
        assert_eq!(troubles.reasons(at(11)).len(), 2);
        assert_eq!(
            troubles.reasons(at(12)),
            ["the database takes no changes: gone (for 11 s)"],
            "its task tries for as long as it lasts"
        );
    }

    #[test]
    fn a_list_of_reasons_has_a_bound() {
        let mut troubles = Troubles::default();
        for id in 0..40 {
            let source = Source::Partition(PartitionId(id));
            troubles.begin(source, "refused".to_owned(), at(0));
        }
        let reasons = troubles.reasons(at(0));
        assert_eq!(reasons.len(), MAX_REASONS + 1);
        assert_eq!(reasons.last().unwrap(), "and 24 more");
    }
}
