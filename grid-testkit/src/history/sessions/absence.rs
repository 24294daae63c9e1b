//! Whether somebody can have removed an entry that is not there any more.

use super::sighting::Item;
use crate::history::operation::{Operations, Place};

/// Whether a removal explains that `read` sees nothing after `before` left or saw an entry.
pub(super) fn is_explained(
    operations: &Operations<'_>,
    place: Place<'_>,
    before: &Item,
    read: &Item,
) -> bool {
    let mut removals = operations.removals(place);
    removals.any(|removal| might_follow(operations, removal, before, read))
}

fn might_follow(operations: &Operations<'_>, removal: usize, before: &Item, read: &Item) -> bool {
    let all = &operations.all;
    let (Some(op), Some(reader)) = (all.get(removal), all.get(read.op)) else {
        return false;
    };
    let own = op.session == reader.session;
    // A client shows its own removal until it learns that it was refused; one that lost, until
    // its copy has come to what it lost against.
    if op.is_rejected() || op.is_superseded() {
        let learned = op.end().map_or(usize::MAX, |(moment, _)| moment);
        let shows = op.is_superseded() || learned > read.called;
        return own && op.called < read.returned && shows;
    }
    let versions = (operations.version(removal), before.version);
    let older = matches!(versions, (Some(removed), Some(seen)) if removed < seen);
    let overwritten = own && before.is_write() && op.returned_before(before.called);
    op.called < read.returned && !older && !overwritten
}
