//! The end of a run under a merge rule of the user's own: what all agree on is the merge of all
//! that servers took, in whatever order.

use std::collections::BTreeMap;

use grid_core::Record;
use grid_core::traits::{Resolution, Resolver};

use super::ledger::{FinalState, Ledger, shown};

/// Checks that every key holds what the rule makes of its accepted writes.
pub(super) fn check(
    ledger: &Ledger,
    rule: &dyn Resolver,
    state: &FinalState,
) -> Result<(), String> {
    ledger.check_refused(state)?;
    let mut versions: BTreeMap<(String, String), Vec<Record>> = BTreeMap::new();
    for (map, record) in ledger.decided() {
        let place = (map, record.key.to_string());
        versions.entry(place).or_default().push(record);
    }
    let unpromised = ledger.unpromised();
    versions.retain(|place, _| !unpromised.contains(place));
    let known =
        |place: &(String, String)| versions.contains_key(place) || unpromised.contains(place);
    if let Some((map, key)) = state.keys().find(|place| !known(place)) {
        return Err(format!("{map}/{key} holds what no server took"));
    }
    for (place, records) in &versions {
        let merged = merge(rule, records.iter());
        let backwards = merge(rule, records.iter().rev());
        let (name, (map, key)) = (rule.name(), place);
        if merged != backwards {
            return Err(format!(
                "the merge rule {name} makes {} or {} of {map}/{key}, depending on the order",
                told(merged.as_ref()),
                told(backwards.as_ref())
            ));
        }
        let found = state.get(place).map(|found| &found.value);
        if merged.as_ref() != found {
            return Err(format!(
                "the merge rule {name} makes {} of all writes of {map}/{key}, which holds {}",
                told(merged.as_ref()),
                told(found)
            ));
        }
    }
    Ok(())
}

fn told(value: Option<&bytes::Bytes>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| shown(value))
}

/// The value of the merge of `records`.
fn merge<'a>(
    rule: &dyn Resolver,
    records: impl Iterator<Item = &'a Record>,
) -> Option<bytes::Bytes> {
    let merged =
        records.cloned().reduce(
            |current, incoming| match rule.resolve(&current, &incoming) {
                Resolution::KeepCurrent => current,
                Resolution::TakeIncoming => incoming,
                Resolution::Combine(value) => {
                    let later = if incoming.stamp > current.stamp {
                        incoming
                    } else {
                        current
                    };
                    Record { value, ..later }
                }
            },
        );
    merged.and_then(|record| record.value)
}
