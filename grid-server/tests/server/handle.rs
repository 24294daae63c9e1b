use grid_core::op::Action;
use grid_core::protocol::{Message, Selector};
use grid_core::{ErrorKind, History, Key, Stamp};

use super::support::{address, cbor, run};

#[test]
fn the_program_reads_and_writes_without_a_socket() {
    run(|world| async move {
        let server = world.start().await;
        let handle = server.handle();
        let map = address("m");
        for name in ["b", "a/2", "c", "a/1"] {
            let key = Key::new(name).unwrap();
            handle.put(&map, &key, cbor(name.as_bytes())).await.unwrap();
        }
        handle.remove(&map, &Key::new("c").unwrap()).await.unwrap();
        let names = |page: grid_core::partition::KeyPage| {
            let keys: Vec<String> = page.records.iter().map(|r| r.key.to_string()).collect();
            (keys.join(" "), page.more)
        };
        let page = handle.page(&map, &Selector::All, None, 2).await.unwrap();
        let after = page.records[1].key.clone();
        assert_eq!(names(page), ("a/1 a/2".to_owned(), true));
        let page = handle.page(&map, &Selector::All, Some(&after), 9).await;
        assert_eq!(names(page.unwrap()), ("b".to_owned(), false));
        let prefix = Selector::Prefix("a/".to_owned());
        let page = handle.page(&map, &prefix, None, 9).await.unwrap();
        assert_eq!(names(page), ("a/1 a/2".to_owned(), false));
    });
}

#[test]
fn its_writes_are_told_to_subscribers_and_win_over_what_is_there() {
    run(|world| async move {
        let server = world.start().await;
        let mut client = world.client().await;
        // Half a minute ahead, which is within the drift that is allowed.
        let mut op = world.put(9, 1, "m", "k", b"theirs");
        op.hlc = grid_core::Hlc::new(world.now_ms() + 30_000, 0);
        client.push(vec![op]).await;
        client.acks(1).await;
        client
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        let key = Key::new("k").unwrap();
        server
            .handle()
            .put(&address("m"), &key, cbor(b"ours"))
            .await
            .unwrap();
        let event = client
            .wait_for(|message| match message {
                Message::Delta(delta) if delta.records.iter().any(|r| r.sequence.0 == 2) => {
                    Some(delta.clone())
                }
                _ => None,
            })
            .await;
        assert_eq!(event.records[0].value, Some(cbor(b"ours")));
    });
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    run(|world| async move {
        let server = world.start().await;
        let handle = server.handle();
        let map = address("m");
        let key = Key::new("k").unwrap();
        let broken = handle.put(&map, &key, b"\x82\x01".as_slice().into()).await;
        assert_eq!(broken.unwrap_err().kind(), ErrorKind::Invalid);
        let large = handle.put(&map, &key, cbor(&vec![0; 300 * 1024])).await;
        assert_eq!(large.unwrap_err().kind(), ErrorKind::TooLarge);
        let twice = b"\xa2\x61a\x01\x61a\x02".as_slice();
        let doubled = handle.put(&map, &key, twice.into()).await.unwrap_err();
        assert_eq!(doubled.kind(), ErrorKind::Invalid);
        assert!(doubled.message().contains("one name"), "{doubled}");
        let put = Action::Put {
            value: twice.into(),
            ttl_ms: None,
        };
        let doubled = handle.write(&map, &key, put, None).await.unwrap_err();
        assert_eq!(doubled.kind(), ErrorKind::Invalid);
        let put = |byte| Action::Put {
            value: cbor(&[byte]),
            ttl_ms: None,
        };
        let create = Some(Stamp::ZERO);
        handle.write(&map, &key, put(1), create).await.unwrap();
        let again = handle.write(&map, &key, put(2), create).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
        server.shutdown().await.unwrap();
        let closed = handle.put(&map, &key, cbor(b"v")).await;
        assert_eq!(closed.unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn many_writes_at_once_share_appends() {
    run(|mut world| async move {
        let journal = super::faulty::faulty_journal();
        world.journal = journal.clone();
        world.settings.workers = 1;
        let server = world.start().await;
        let before = journal
            .hooks()
            .appends
            .load(std::sync::atomic::Ordering::SeqCst);
        let handle = server.handle();
        let map = address("m");
        let writes = (0..500).map(|number| {
            let (handle, map) = (handle.clone(), map.clone());
            async move {
                let key = Key::new(&format!("k{number}")).unwrap();
                handle.put(&map, &key, cbor(b"v")).await.unwrap();
            }
        });
        futures::future::join_all(writes).await;
        let appends = journal
            .hooks()
            .appends
            .load(std::sync::atomic::Ordering::SeqCst)
            - before;
        assert!(appends < 100, "{appends} appends for 500 writes");
    });
}
