//! What decides between two writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::protocol::RejectReason;
use grid_testkit::proxy::LinkState;
use hybrid_grid::{Fate, Grid, NotAcked};

use crate::world::{
    Horizons, Site, WrongClock, address, agree, contents, flushed, offline, through, verdict,
};

const MAP: &str = "notes";
const HOUR_MS: i64 = 3_600_000;

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// Makes `store` hold writes of a device that was offline at that time, and closed since.
async fn wrote_offline(store: &str, clock_ms: i64, writes: &[(&str, &str)]) {
    let clock = WrongClock::new(clock_ms);
    let grid = Grid::builder().runtime(Arc::new(clock)).storage(store);
    let grid = grid.open().await.unwrap();
    let map = grid.map::<String>(MAP).unwrap();
    for (key, value) in writes {
        drop(map.put(key, &(*value).to_owned()).await.unwrap());
    }
    grid.close().await.unwrap();
}

/// A write has the time at which it was made, however late it arrives: an edit of an hour ago
/// loses to a newer one, wins over an older one, and its device learns which of the two it was.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_01_arrival_order_does_not_win_over_the_clock() {
    let site = Site::new().await;
    let _server = site.start().await;
    let hour_ago = "memory:pitfall-01-an-hour-ago";
    let two_ago = "memory:pitfall-01-two-hours-ago";
    let edits = [
        ("both", "an hour ago"),
        ("two", "an hour ago"),
        ("own", "an hour ago"),
    ];
    wrote_offline(hour_ago, -HOUR_MS, &edits).await;
    wrote_offline(
        two_ago,
        -2 * HOUR_MS,
        &[("both", "two ago"), ("two", "two ago")],
    )
    .await;

    let now = site.device().open().await.unwrap();
    let notes = now.map::<String>(MAP).unwrap();
    let put = notes.put("both", &"now".to_owned()).await.unwrap();
    assert_eq!(verdict(put).await.unwrap(), Fate::Acked);
    // They come back one after the other, the oldest edits last.
    let later = site.device().storage(hour_ago).open().await.unwrap();
    agree::<String>(&[&later, &now], MAP).await;
    let last = site.device().storage(two_ago).open().await.unwrap();
    let stranger = site.device().open().await.unwrap();
    let level = agree::<String>(&[&now, &later, &last, &stranger], MAP).await;
    let expected = [
        ("both", "now"),
        ("two", "an hour ago"),
        ("own", "an hour ago"),
    ];
    assert_eq!(level, texts(&expected));
}

/// The device whose offline edit lost is told so, and by which version.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_01_an_edit_that_lost_is_told_what_it_lost_to() {
    let site = Site::new().await;
    let server = site.start().await;
    let line = Site::line(&server).await;
    line.set(LinkState::Cut);
    let clock = WrongClock::new(-HOUR_MS);
    let away = through(&line).runtime(Arc::new(clock.clone()));
    let away = away.open().await.unwrap();
    let old = away.map::<String>(MAP).unwrap();
    let lost = old.put("k", &"an hour ago".to_owned()).await.unwrap();
    clock.set_ms(0);

    let here = site.device().open().await.unwrap();
    let notes = here.map::<String>(MAP).unwrap();
    let put = notes.put("k", &"now".to_owned()).await.unwrap();
    let winner = put.op();
    verdict(put).await.unwrap();
    line.set(LinkState::Up);
    away.connect_now();
    let fate = verdict(lost).await.unwrap();
    assert!(
        matches!(fate, Fate::Superseded { by } if by.op == winner),
        "{fate:?}"
    );
    agree::<String>(&[&away, &here], MAP).await;
    assert_eq!(contents(&old), texts(&[("k", "now")]));
}

/// A delete is remembered: an older put that arrives later does not bring the entry back, not
/// even after a restart of the server from its database, and a device that was away during the
/// delete loses the entry when it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_02_a_deleted_entry_stays_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("grid.db").display());
    let mut site = Site::new().await;
    site.database(&database).await;
    let server = site.start().await;
    let line = Site::line(&server).await;
    let late = "memory:pitfall-02-late-put";
    wrote_offline(late, -HOUR_MS, &[("gone", "an hour ago")]).await;
    let here = site.device().open().await.unwrap();
    let away = through(&line).open().await.unwrap();
    let notes = here.map::<String>(MAP).unwrap();
    drop(notes.put("gone", &"for now".to_owned()).await.unwrap());
    drop(notes.put("kept", &"for good".to_owned()).await.unwrap());
    assert_eq!(agree::<String>(&[&here, &away], MAP).await.len(), 2);

    line.set(LinkState::Cut);
    offline(&away).await;
    let fate = verdict(notes.remove("gone").await.unwrap()).await;
    assert_eq!(fate.unwrap(), Fate::Acked);
    // Everything the server knows afterwards comes from its database.
    server.shutdown().await.unwrap();
    site.database(&database).await;
    let server = site.start().await;
    line.set_upstream(address(&server));
    line.set(LinkState::Up);
    let late = site.device().storage(late).open().await.unwrap();
    let stranger = site.device().open().await.unwrap();
    let level = agree::<String>(&[&here, &away, &late, &stranger], MAP).await;
    assert_eq!(level, texts(&[("kept", "for good")]));
}

/// When even the tombstone is forgotten, an edit of the entry as it was before is refused by name,
/// and the entry stays deleted.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_02_an_edit_of_what_was_deleted_long_ago_is_refused() {
    let mut site = Site::new().await;
    let horizons = Horizons::of(site.persistence.clone());
    site.persistence = horizons.clone();
    site.settings.retention_ms = 1_000;
    let server = site.start().await;
    let line = Site::line(&server).await;
    let here = site.device().open().await.unwrap();
    let away = through(&line).open().await.unwrap();
    let notes = here.map::<String>(MAP).unwrap();
    let old = away.map::<String>(MAP).unwrap();
    drop(notes.put("gone", &"for now".to_owned()).await.unwrap());
    agree::<String>(&[&here, &away], MAP).await;

    line.set(LinkState::Cut);
    offline(&away).await;
    let edit = old.put("gone", &"edited".to_owned()).await.unwrap();
    site.clock.set_ms(HOUR_MS);
    let before = here.status().maps[0].cursor.clone();
    drop(notes.remove("gone").await.unwrap());
    flushed(&here).await;
    let after = here.status().maps[0].cursor.clone();
    let moved: Vec<_> = before
        .into_iter()
        .filter(|at| !after.contains(at))
        .collect();
    site.clock.set_ms(2 * HOUR_MS);
    horizons.hooks().passed(&moved).await;
    line.set(LinkState::Up);
    away.connect_now();
    let refused = match verdict(edit).await {
        Err(NotAcked::Rejected(refused)) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused.reason, RejectReason::Gone);
    assert_eq!(agree::<String>(&[&here, &away], MAP).await, texts(&[]));
}
