use bytes::{Bytes, BytesMut};
use grid_core::codec::CborCodec;
use grid_core::protocol::{Message, Selector};
use grid_core::traits::{Codec, CodecLimits};
use grid_core::{History, Key, PartitionId, Sequence};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::catching_up::Held;
use super::support::{Client, address, cbor, run};

/// What arrived before an answer that was asked for last.
async fn until_read(client: &mut Client) -> Vec<Message> {
    client
        .send(&Message::Read(grid_core::protocol::Read {
            request: 99,
            map: grid_core::MapName::new("m").unwrap(),
            target: grid_core::protocol::ReadTarget::Key(Key::new("none").unwrap()),
        }))
        .await;
    let mut messages = Vec::new();
    loop {
        match client.next().await {
            Message::ReadResult(result) if result.request == 99 => return messages,
            message => messages.push(message),
        }
    }
}

fn keys(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .filter_map(|message| match message {
            Message::Delta(delta) => Some(&delta.records),
            _ => None,
        })
        .flatten()
        .map(|record| record.key.to_string())
        .collect()
}

#[test]
fn pitfall_9_events_go_to_those_who_asked_for_them_and_to_nobody_else() {
    run(|world| async move {
        let _server = world.start().await;
        let mut subscribers = Vec::new();
        for (map, selector) in [
            ("m", Selector::All),
            ("m", Selector::Prefix("a/".to_owned())),
            ("m", Selector::Prefix("b/".to_owned())),
            ("other", Selector::All),
        ] {
            let mut client = world.client().await;
            client
                .subscribe(map, selector, History(0), Vec::new())
                .await;
            Held::default().catch_up(&mut client, 3).await;
            subscribers.push(client);
        }
        let mut writer = world.client().await;
        writer
            .push(vec![
                world.put(9, 1, "m", "a/1", b"v"),
                world.put(9, 2, "m", "c", b"v"),
            ])
            .await;
        writer.acks(2).await;
        let mut told = Vec::new();
        for client in &mut subscribers {
            let messages = until_read(client).await;
            let mut keys = keys(&messages);
            keys.sort();
            told.push((keys.concat(), messages.len()));
        }
        assert_eq!(told[0].0, "a/1c");
        assert_eq!(told[1], ("a/1".to_owned(), 1));
        assert_eq!(told[2], (String::new(), 0), "not a byte");
        assert_eq!(told[3], (String::new(), 0), "not a byte");
    });
}

#[test]
fn another_tenant_sees_nothing_of_a_map_of_the_same_name() {
    run(|world| async move {
        let server = world.start().await;
        let mut tenant = world.connect().await;
        let Message::Hello(mut hello) = super::support::hello(world.now_ms()) else {
            unreachable!();
        };
        hello.namespace = grid_core::Namespace::new("tenant").unwrap();
        tenant.send(&Message::Hello(hello)).await;
        tenant.next().await;
        tenant
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        Held::default().catch_up(&mut tenant, 3).await;
        let mut writer = world.client().await;
        writer.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        writer.acks(1).await;
        assert_eq!(keys(&until_read(&mut tenant).await), Vec::<String>::new());
        tenant.push(vec![world.put(5, 1, "m", "k", b"mine")]).await;
        tenant.acks(1).await;
        let key = Key::new("k").unwrap();
        let record = server.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(record.unwrap().value, Some(cbor(b"v")));
    });
}

#[test]
fn events_follow_on_and_each_names_the_root_at_its_sequence() {
    run(|world| async move {
        let server = world.start().await;
        let welcome = {
            let mut client = world.connect().await;
            client.send(&super::support::hello(world.now_ms())).await;
            super::support::welcome_of(client.next().await)
        };
        let digest_key = grid_core::DigestKey(welcome.digest_key);
        let mut reader = world.client().await;
        reader
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        Held::default().catch_up(&mut reader, 3).await;
        let mut writer = world.client().await;
        for number in 1..=60u64 {
            let map = if number % 3 == 0 { "other" } else { "m" };
            let key = format!("k{}", number % 7);
            writer
                .push(vec![world.put(9, number, map, &key, &[1])])
                .await;
        }
        writer.acks(60).await;
        let mut held: BTreeMap<(PartitionId, Key), u128> = BTreeMap::new();
        let mut cursor: BTreeMap<PartitionId, Sequence> = BTreeMap::new();
        for message in until_read(&mut reader).await {
            let Message::Delta(delta) = message else {
                panic!("{message:?}");
            };
            let at = cursor.entry(delta.partition).or_default();
            assert!(delta.from <= *at && delta.to > *at, "{delta:?} at {at}");
            *at = delta.to;
            for record in delta.records {
                let digest = digest_key.record(&record).unwrap().digest;
                held.insert((delta.partition, record.key), digest);
            }
            let root = held
                .iter()
                .filter(|((partition, _), _)| *partition == delta.partition)
                .fold(0u128, |sum, (_, digest)| sum.wrapping_add(*digest));
            assert_eq!(delta.root, Some(root));
        }
        assert_eq!(held.len(), 7);
        drop(server);
    });
}

#[test]
fn an_unsubscribed_client_hears_no_more() {
    run(|world| async move {
        let _server = world.start().await;
        let mut reader = world.client().await;
        let view = reader
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        Held::default().catch_up(&mut reader, 3).await;
        reader.send(&Message::Unsubscribe(view)).await;
        until_read(&mut reader).await;
        let mut writer = world.client().await;
        writer.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        writer.acks(1).await;
        assert_eq!(until_read(&mut reader).await, []);
    });
}

#[test]
fn a_cursor_reaches_the_sequence_of_every_ack_of_its_client() {
    run(|world| async move {
        let _server = world.start().await;
        let mut other = world.client().await;
        let mut client = world.client().await;
        client
            .subscribe(
                "m",
                Selector::Prefix("in/".to_owned()),
                History(0),
                Vec::new(),
            )
            .await;
        Held::default().catch_up(&mut client, 3).await;
        // Somebody else's newer write of a key outside of the view, which then wins.
        other.push(vec![world.put(5, 1, "m", "out", b"new")]).await;
        let partition = other.acks(1).await[0].partition;
        let mut loses = world.put(9, 1, "m", "out", b"old");
        loses.hlc = grid_core::Hlc::new(1, 0);
        client.push(vec![loses]).await;
        let mut cursor = Sequence::ZERO;
        let ack = loop {
            match client.next().await {
                Message::Delta(delta) => {
                    assert_eq!((delta.partition, delta.records.len()), (partition, 0));
                    assert_eq!(delta.from, Sequence::ZERO);
                    cursor = delta.to;
                }
                Message::Ack(ack) => break ack,
                other => panic!("{other:?}"),
            }
        };
        assert!(ack.sequence > Sequence::ZERO);
        assert!(cursor >= ack.sequence, "the view of the client gets there");
    });
}

/// CBOR, with a count of the deltas with records that were encoded.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Codec for Counting {
    fn name(&self) -> &'static str {
        CborCodec::NAME
    }

    fn encode(&self, message: &Message, buffer: &mut BytesMut) -> grid_core::Result<()> {
        if let Message::Delta(delta) = message
            && !delta.records.is_empty()
        {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        CborCodec.encode(message, buffer)
    }

    fn decode(&self, frame: Bytes, limits: &CodecLimits) -> grid_core::Result<Message> {
        CborCodec.decode(frame, limits)
    }
}

#[test]
fn an_event_is_encoded_once_for_all_subscribers_of_a_view() {
    run(|world| async move {
        let codec = Arc::new(Counting::default());
        let builder = world.builder().codec(codec.clone());
        let _server = world.start_with(builder).await;
        let mut subscribers = Vec::new();
        for _ in 0..1_000 {
            let mut client = world.client().await;
            client
                .subscribe("m", Selector::All, History(0), Vec::new())
                .await;
            Held::default().catch_up(&mut client, 3).await;
            subscribers.push(client);
        }
        let mut writer = world.client().await;
        writer.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        writer.acks(1).await;
        for client in &mut subscribers {
            assert_eq!(keys(&until_read(client).await), ["k"]);
        }
        assert_eq!(codec.0.load(Ordering::SeqCst), 1);
    });
}
