//! Writing, acking, following, rejecting: with a server that is there.

use futures::FutureExt;
use grid_client::{Event, Fate, NotAcked};
use grid_core::protocol::RejectReason;
use grid_core::{ErrorKind, Stamp};

use crate::world::{contents, run};

#[test]
fn a_write_is_acked_and_reaches_the_other_device() {
    run(1, |world| async move {
        let _server = world.start().await;
        let one = world.open(&world.device(0)).await;
        let two = world.open(&world.device(1)).await;
        let theirs = two.map::<u64>("m").unwrap();
        world.flushed(&two).await;
        let mut live = theirs.subscribe();
        let first = live.next().await.unwrap().unwrap();
        let Event::Snapshot {
            entries,
            loaded: true,
            synced: true,
        } = first
        else {
            panic!("{first:?}");
        };
        assert!(entries.is_empty());
        let ours = one.map::<u64>("m").unwrap();
        let write = ours.put("k", &7).await.unwrap();
        assert_eq!(ours.get("k").unwrap(), Some(7), "visible before any answer");
        assert_eq!(world.soon("ack", write.acked()).await, Ok(Fate::Acked));
        let event = world.soon("event", live.next()).await.unwrap().unwrap();
        let Event::Changed { key, value } = event else {
            panic!("{event:?}");
        };
        assert_eq!((key.as_str(), value), ("k", Some(7)));
        let removed = ours.remove("k").await.unwrap();
        assert_eq!(world.soon("ack", removed.acked()).await, Ok(Fate::Acked));
        let event = world.soon("event", live.next()).await.unwrap().unwrap();
        assert!(matches!(event, Event::Changed { value: None, .. }));
    });
}

#[test]
fn a_subscriber_that_comes_before_the_data_sees_it_load() {
    run(2, |world| async move {
        let server = world.start().await;
        let one = world.open(&world.device(0)).await;
        let ours = one.map::<u64>("m").unwrap();
        let entries = (0..300u64).map(|number| (format!("k{number}"), number));
        drop(ours.put_all(entries).await.unwrap());
        world.flushed(&one).await;

        let two = world.open(&world.device(1)).await;
        let theirs = two.map::<u64>("m").unwrap();
        let mut live = theirs.subscribe();
        let first = live.next().await.unwrap().unwrap();
        assert!(matches!(
            first,
            Event::Snapshot {
                loaded: false,
                synced: false,
                ..
            }
        ));
        let mut changes = 0;
        loop {
            match world.soon("event", live.next()).await.unwrap().unwrap() {
                Event::Changed { .. } => changes += 1,
                Event::Synced => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            changes, 300,
            "every entry was told before the word that these are all"
        );
        assert!(theirs.is_loaded() && theirs.is_synced());
        world.kill(server, false);
        let event = world.soon("loss", live.next()).await.unwrap().unwrap();
        assert_eq!(event, Event::Unsynced);
        assert!(theirs.is_loaded() && !theirs.is_synced());
    });
}

/// Pitfall 4, seen from the application.
#[test]
fn a_rejected_write_is_undone_told_twice_and_blocks_nothing() {
    run(3, |world| async move {
        let _server = world.start().await;
        let grid = world.open(&world.device(0)).await;
        let map = grid.map::<u64>("m").unwrap();
        let first = map.put("mine", &1).await.unwrap();
        world.soon("ack", first.acked()).await.unwrap();
        world.denied.key("theirs");
        let refused = map.put("theirs", &2).await.unwrap();
        let after = map.put("mine", &3).await.unwrap();
        assert_eq!(map.get("theirs").unwrap(), Some(2), "shown until refused");
        let refused = world.soon("verdict", refused.acked()).await.unwrap_err();
        let NotAcked::Rejected(rejected) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(rejected.reason, RejectReason::Forbidden);
        assert_eq!(rejected.message, "this key is not yours");
        assert_eq!(
            (rejected.map.as_str(), rejected.key.as_str()),
            ("m", "theirs")
        );
        assert_eq!(world.soon("ack", after.acked()).await, Ok(Fate::Acked));
        assert_eq!(map.get("theirs").unwrap(), None);
        // One who asks only now learns of it too.
        let mut rejections = grid.rejections();
        assert_eq!(rejections.next().await.as_ref(), refused.rejected());
        world.flushed(&grid).await;
        let more = map.put_all([("mine", 4), ("theirs", 5)]).await.unwrap();
        let fate = world.soon("verdicts", more.acked()).await.unwrap();
        assert_eq!(
            (fate.acked, fate.superseded, fate.rejected.len()),
            (1, 0, 1)
        );
        assert_eq!(
            world
                .soon("rejection", rejections.next())
                .await
                .unwrap()
                .key
                .as_str(),
            "theirs"
        );
        grid.close().await.unwrap();
        assert!(rejections.next().await.is_none());
        assert_eq!(rejections.missed(), 0);
    });
}

#[test]
fn a_write_on_a_condition_is_rejected_when_it_does_not_hold() {
    run(4, |world| async move {
        let _server = world.start().await;
        let grid = world.open(&world.device(0)).await;
        let map = grid.map::<u64>("m").unwrap();
        let created = map.put_if("k", &1, Stamp::ZERO).await.unwrap();
        assert_eq!(world.soon("ack", created.acked()).await, Ok(Fate::Acked));
        world.flushed(&grid).await;
        let version = map.version("k").unwrap();
        assert_ne!(version, Stamp::ZERO);
        let again = map.put_if("k", &2, Stamp::ZERO).await.unwrap();
        let refused = world.soon("verdict", again.acked()).await.unwrap_err();
        assert_eq!(
            refused.rejected().unwrap().reason,
            RejectReason::VersionMismatch
        );
        let right = map.put_if("k", &3, version).await.unwrap();
        assert_eq!(world.soon("ack", right.acked()).await, Ok(Fate::Acked));
        world.flushed(&grid).await;
        assert_eq!(map.get("k").unwrap(), Some(3));
    });
}

#[test]
fn an_older_write_is_superseded_and_says_by_what() {
    run(5, |world| async move {
        let _server = world.start().await;
        let slow = world.device(0);
        // Its clock is an hour behind, and it has seen nothing yet.
        world.executor.set_clock(slow.party, -3_600_000, 0);
        let old = world.open(&slow).await;
        let new = world.open(&world.device(1)).await;
        let ours = old.map::<u64>("m").unwrap();
        let write = ours.put("k", &1).await.unwrap();
        let theirs = new.map::<u64>("m").unwrap();
        let newer = theirs.put("k", &2).await.unwrap();
        let newer_op = newer.op();
        world.soon("ack", newer.acked()).await.unwrap();
        let fate = world.soon("verdict", write.acked()).await.unwrap();
        if let Fate::Superseded { by } = fate {
            assert_eq!(by.op, newer_op);
        }
        let level = world.level(&[&old, &new], "m").await;
        assert_eq!(level["k"], 2, "whoever arrived first");
    });
}

#[test]
fn a_flush_waits_for_writes_that_are_under_way() {
    run(8, |world| async move {
        let _server = world.start().await;
        let grid = world.open(&world.device(0)).await;
        let map = grid.map::<u64>("m").unwrap();
        world.flushed(&grid).await;
        let mut put = Box::pin(map.put("k", &1));
        assert!(put.as_mut().now_or_never().is_none(), "it has begun");
        world.flushed(&grid).await;
        let write = put.now_or_never().expect("it is over").unwrap();
        let fate = write.acked().now_or_never().expect("the server has it");
        assert_eq!(fate, Ok(Fate::Acked));
    });
}

#[test]
fn several_maps_and_a_prefix_share_one_connection() {
    run(6, |world| async move {
        let _server = world.start().await;
        let one = world.open(&world.device(0)).await;
        let names = ["todos", "a-b", "ü/ß", "x y"];
        for (name, number) in names.iter().zip(0..) {
            let map = one.map::<u64>(name).unwrap();
            for list in ["list1", "list2"] {
                drop(map.put(&format!("{list}/a"), &number).await.unwrap());
            }
        }
        world.flushed(&one).await;
        let two = world.open(&world.device(1)).await;
        let part = two.map_with_prefix::<u64>("todos", "list1/").unwrap();
        let whole = two.map::<u64>("ü/ß").unwrap();
        world.flushed(&two).await;
        assert_eq!(contents(&part).into_keys().collect::<Vec<_>>(), ["list1/a"]);
        assert_eq!(whole.len(), 2);
        assert_eq!(two.status().maps.len(), 2, "nothing else is held");
        let error = two.map::<u64>("todos").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let elsewhere = one.map::<u64>("todos").unwrap();
        drop(elsewhere.put("list2/b", &9).await.unwrap());
        drop(elsewhere.put("list1/b", &9).await.unwrap());
        let mut live = part.subscribe();
        world
            .soon("event", async {
                while part.get("list1/b").unwrap().is_none() {
                    live.next().await.unwrap().unwrap();
                }
            })
            .await;
        assert_eq!(part.get("list2/b").unwrap(), None);
    });
}

#[test]
fn entries_with_a_lifetime_cease_to_exist_on_both_sides() {
    run(7, |world| async move {
        let _server = world.start().await;
        let one = world.open(&world.device(0)).await;
        let two = world.open(&world.device(1)).await;
        let ours = one.map::<u64>("m").unwrap();
        let theirs = two.map::<u64>("m").unwrap();
        let short = ours.put_with_ttl("short", &1, 5_000).await.unwrap();
        drop(ours.put("long", &2).await.unwrap());
        world.soon("ack", short.acked()).await.unwrap();
        let level = world.level(&[&one, &two], "m").await;
        assert_eq!(level.len(), 2);
        world.sleep(std::time::Duration::from_secs(6)).await;
        for map in [&ours, &theirs] {
            assert_eq!(map.get("short").unwrap(), None);
            assert_eq!(map.len(), 1);
            assert_eq!(contents(map).len(), 1);
        }
    });
}
