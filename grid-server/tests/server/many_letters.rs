//! Many dead letters, and large ones: what it takes to find them, and how many there may be.

use std::sync::atomic::Ordering;
use std::time::Duration;

use grid_core::limits::RECORD_PAGE_BYTES;
use grid_core::{ErrorKind, Key};
use grid_server::{DeadLetter, Server};

use super::dead_letters::{get, letters, push, settled, start, stored};
use super::support::{World, address, cbor, run};

/// Puts `count` entries of which the database refuses every one, in values of `bytes`.
async fn refuse(world: &World, server: &Server, count: usize, bytes: usize) {
    let (handle, map) = (server.handle(), address("m"));
    for number in 0..count {
        let key = Key::new(&format!("k{number:04}")).unwrap();
        let value = cbor(&vec![7; bytes]);
        handle.put(&map, &key, value).await.unwrap();
    }
    settled(world, server).await;
}

#[test]
fn one_of_many_letters_is_settled_without_loading_the_others() {
    run(|mut world| async move {
        let (persistence, server) = start(&mut world, &[]).await;
        // As many entries that are stored as letters, for a drop looks the entry up.
        refuse(&world, &server, 300, 1).await;
        persistence
            .hooks()
            .refuses_all
            .store(true, Ordering::SeqCst);
        refuse(&world, &server, 300, 2).await;
        persistence
            .hooks()
            .refuses_all
            .store(false, Ordering::SeqCst);
        let all = letters(&server).await;
        assert_eq!(all.len(), 300);
        for (number, letter) in all.iter().enumerate().step_by(23) {
            persistence.hooks().loaded.store(0, Ordering::SeqCst);
            if number % 2 == 0 {
                server.admin().retry_dead_letter(&letter.id).await.unwrap();
            } else {
                server.admin().drop_dead_letter(&letter.id).await.unwrap();
            }
            let loaded = persistence.hooks().loaded.load(Ordering::SeqCst);
            assert!(loaded <= 2, "{loaded} records for letter {number}");
        }
        settled(&world, &server).await;
        assert_eq!(letters(&server).await.len(), 300 - 14);
        for unknown in ["", "00001", "x", "99999-ff", &"9".repeat(600)] {
            let error = server.admin().retry_dead_letter(unknown).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{unknown:?}");
        }
    });
}

#[test]
fn a_page_of_large_letters_ends_early_and_the_pages_are_all_letters() {
    run(|mut world| async move {
        const VALUE_BYTES: usize = 1_000_000;
        world.settings.max_value_bytes = 1_000_100;
        let (persistence, server) = start(&mut world, &[]).await;
        persistence
            .hooks()
            .refuses_all
            .store(true, Ordering::SeqCst);
        refuse(&world, &server, 20, VALUE_BYTES).await;
        let admin = server.admin();
        let mut found: Vec<DeadLetter> = Vec::new();
        loop {
            let after = found.last().map(|last| last.id.clone());
            let page = admin.dead_letters(after.as_deref(), 1_000).await.unwrap();
            let bytes = page.letters.len() * VALUE_BYTES;
            assert!(bytes <= RECORD_PAGE_BYTES + VALUE_BYTES, "{bytes} at once");
            found.extend(page.letters);
            if !page.more {
                break;
            }
        }
        let mut keys: Vec<_> = found.iter().map(|l| l.record.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!((found.len(), keys.len()), (20, 20));
        // A start finds them all, too.
        world.kill(server);
        let server = world.start().await;
        assert_eq!(server.admin().lag().dead_letters, 20);
    });
}

#[test]
fn beyond_the_bound_nothing_more_is_put_aside_and_nothing_is_lost() {
    run(|mut world| async move {
        world.settings.dead_letters = 2;
        let (persistence, server) = start(&mut world, &["a", "b", "c"]).await;
        let mut client = world.client().await;
        let partition = push(&world, &mut client, 1, &["a", "b", "c", "d"]).await;
        assert_eq!(letters(&server).await, []);
        assert_eq!(stored(&persistence, partition).await, [""; 0]);
        assert!(server.admin().lag().changes > 0);
        world.kill(server);
        let server = world.start().await;
        for (key, value) in [("a", b"1"), ("b", b"2"), ("c", b"3"), ("d", b"4")] {
            assert_eq!(get(&server, key).await, Some(cbor(value).to_vec()));
        }
        persistence.hooks().refused.lock().unwrap().remove("a");
        client = world.client().await;
        client.answer_pings(Duration::from_secs(60)).await;
        assert_eq!(letters(&server).await.len(), 2);
        assert_eq!(server.admin().lag().changes, 0);
    });
}

#[test]
fn beyond_the_bound_the_database_is_not_asked_about_the_rest() {
    run(|mut world| async move {
        world.settings.dead_letters = 2;
        let (persistence, server) = start(&mut world, &[]).await;
        let refuses_all = &persistence.hooks().refuses_all;
        refuses_all.store(true, Ordering::SeqCst);
        let mut client = world.client().await;
        let ops = (1..=500).map(|n| world.put(9, n, "m", &format!("k{n}"), b"1"));
        client.push(ops.collect()).await;
        client.acks(500).await;
        client.answer_pings(Duration::from_secs(10)).await;
        let tries = server.admin().metrics().counts.failed_batches;
        let stores = persistence.hooks().stores.load(Ordering::SeqCst);
        assert!(tries > 0);
        // All, some of the way to the first one, and the next two.
        assert!(stores <= tries * (1 + 9 + 2), "{stores} in {tries} tries");
        refuses_all.store(false, Ordering::SeqCst);
        client.answer_pings(Duration::from_secs(60)).await;
        assert_eq!(server.admin().lag().changes, 0);
        assert_eq!(letters(&server).await, []);
    });
}
