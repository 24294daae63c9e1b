//! What a session may rely on while it reads a copy that is behind.
//!
//! The guarantees are those of Terry et al. (1994, "Session Guarantees for Weakly Consistent
//! Replicated Data"), for each entry by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, Source};
use super::history::History;
use super::operation::{Operations, Place};
use super::outcome::Outcome;
use super::seen::Seen;
use super::violation::{Checked, Violation};

mod absence;
mod entry;
mod sighting;

use entry::Entry;
use sighting::Item;

/// Checks what each session sees of each entry in its own copy ([`Source::Local`]), and how its
/// writes there are ordered.
///
/// One call comes before another if it returned before the other was called; for writes, to
/// return is to be durable. *Older* means one of two things: both versions are known and one is
/// smaller; or the session knew the one before it met the other.
///
/// - **Read your writes**: after its own write, a session does not see what is older than that
///   write, nor that there is nothing, unless somebody removed the entry. A write that was
///   rejected, superseded or never durable binds nobody.
/// - **Monotonic reads**: after a read, a session does not see what is older than what it saw,
///   nor that there is nothing, unless somebody removed the entry. What it saw of its own writes
///   binds only if they were acked: a client shows its pending writes, and takes them back when
///   they are refused.
/// - **Monotonic writes**: of two acked writes of a session and run, the later one has the later
///   version and is not superseded by the earlier one; and nobody who has seen the later one sees
///   the earlier one next.
/// - **Writes follow reads**: an acked write has a later version than what its session had read
///   there, and is superseded only by something at least as late.
///
/// Which write a read saw is known from its version, or else from its value if one write alone
/// put that value there; otherwise the read is undecided. Versions of writes are known from acks,
/// and from every read, state and stream in the history that shows them. Nothing is checked
/// across entries: the grid promises order for each key, and for each run within a partition.
///
/// A session survives restarts under one name as long as its device keeps its store. A server
/// that comes back from an old backup takes these guarantees away, and so does expiry, unless
/// each is recorded as a remove that never returns.
///
/// `decided` of the result counts local reads and fated writes whose versions are known,
/// `undecided` the others.
///
/// ```
/// use grid_testkit::history::{Action, Guarantee, Outcome, Recorder, Seen, Source};
/// use grid_testkit::history::check_sessions;
///
/// let recorder = Recorder::new();
/// for (call_ns, value) in [(10, 1), (20, 2)] {
///     let put = recorder.call(call_ns, "phone", Action::put("lists", "milk", value));
///     recorder.returned(call_ns + 5, &put, Outcome::Durable);
/// }
/// for (call_ns, value) in [(30, 1), (40, 2)] {
///     let get = recorder.call(call_ns, "laptop", Action::get(Source::Local, "lists", "milk"));
///     recorder.returned(call_ns + 5, &get, Outcome::Read(Seen::value(value)));
/// }
/// assert_eq!(check_sessions(&recorder.history())?.decided, 2);
///
/// let get = recorder.call(50, "laptop", Action::get(Source::Local, "lists", "milk"));
/// recorder.returned(55, &get, Outcome::Read(Seen::value(1)));
/// let violation = check_sessions(&recorder.history()).expect_err("back from 2 to 1");
/// assert_eq!(violation.guarantee, Guarantee::MonotonicReads);
/// # Ok::<(), grid_testkit::history::Violation>(())
/// ```
///
/// # Errors
/// The first violation, in the order of sessions, maps and keys, with the calls that show it.
pub fn check_sessions(history: &History) -> Result<Checked, Violation> {
    let operations = Operations::of(history)?;
    let mut checked = Checked::default();
    for ((_, place), items) in items(&operations) {
        let mut entry = Entry::new(&operations, place);
        entry.check(&items, &mut checked)?;
    }
    Ok(checked)
}

/// What every session did with every entry of its own copy, in the order of calls.
fn items<'h>(operations: &Operations<'h>) -> BTreeMap<(&'h str, Place<'h>), Vec<Item>> {
    let mut places: BTreeSet<Place<'h>> = operations.writes.keys().copied().collect();
    for op in &operations.all {
        if let Some(Outcome::Scanned(entries)) = op.outcome() {
            let map = op.action.map();
            places.extend(entries.keys().map(|key| (map, key.as_str())));
        }
    }
    let mut items: BTreeMap<(&'h str, Place<'h>), Vec<Item>> = BTreeMap::new();
    for (index, op) in operations.all.iter().enumerate() {
        let mut add = |place: Place<'h>, item: Option<Item>| {
            items.entry((op.session, place)).or_default().extend(item);
        };
        match op.action {
            Action::Put { .. } | Action::Remove { .. } => {
                if let Some(place) = op.place() {
                    add(place, Item::write(operations, index));
                }
            }
            Action::Get { from, .. } if *from == Source::Local => {
                if let Some(place) = op.place() {
                    let seen = op.reads(place);
                    add(place, read(operations, index, place, seen));
                }
            }
            Action::Scan { map, from, .. } if *from == Source::Local => {
                let all = (map.as_str(), "")..;
                for place in places.range(all).take_while(|place| place.0 == map) {
                    let seen = op.reads(*place);
                    add(*place, read(operations, index, *place, seen));
                }
            }
            Action::Get { .. } | Action::Scan { .. } => {}
        }
    }
    items
}

fn read<'h>(
    operations: &Operations<'h>,
    index: usize,
    place: Place<'h>,
    seen: Option<Seen>,
) -> Option<Item> {
    Item::read(operations, index, place, seen?)
}
