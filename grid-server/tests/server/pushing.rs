use bytes::BytesMut;
use grid_core::Key;
use grid_core::codec::CborCodec;
use grid_core::op::Action;
use grid_core::protocol::{Message, Push, RejectReason, Verdict, seal_frame, write_frame};

use super::support::{address, cbor, run};

#[test]
fn a_pushed_op_is_acknowledged_and_can_be_read() {
    run(|world| async move {
        let server = world.start().await;
        let mut client = world.client().await;
        client.push(vec![world.put(9, 1, "m", "k", b"v")]).await;
        let acks = client.acks(1).await;
        assert_eq!((acks[0].run.0, acks[0].accepted[0].first), (9, 1));
        let key = Key::new("k").unwrap();
        let record = server.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(record.unwrap().value, Some(cbor(b"v")));
    });
}

#[test]
fn ops_get_the_same_verdict_again_over_another_connection_and_a_restart() {
    run(|world| async move {
        let server = world.start().await;
        let mut large = world.put(9, 2, "m", "k2", b"");
        large.action = Action::Put {
            value: cbor(&vec![0; 300 * 1024]),
            ttl_ms: None,
        };
        let ops = vec![
            world.put(9, 1, "m", "k1", b"v"),
            large,
            world.put(9, 3, "m", "k3", b"v"),
        ];
        let verdicts = |acks: Vec<grid_core::protocol::Ack>| {
            let mut numbers: Vec<(u64, Option<Verdict>)> = Vec::new();
            for ack in acks {
                for range in ack.accepted {
                    numbers.extend((range.first..range.first + range.count).map(|n| (n, None)));
                }
                for exception in ack.exceptions {
                    numbers.push((exception.number, Some(exception.verdict)));
                }
            }
            numbers.sort_by_key(|(number, _)| *number);
            numbers
        };
        let mut client = world.client().await;
        client.push(ops.clone()).await;
        let first = verdicts(client.acks(3).await);
        assert_eq!((&first[0].1, &first[2].1), (&None, &None));
        let Some(Verdict::Rejected { reason, .. }) = &first[1].1 else {
            panic!("{first:?}");
        };
        assert_eq!(*reason, RejectReason::TooLarge);
        let mut second = world.client().await;
        second.push(ops.clone()).await;
        assert_eq!(verdicts(second.acks(3).await), first);
        world.kill(server);
        let server = world.start().await;
        let mut third = world.client().await;
        third.push(ops.clone()).await;
        assert_eq!(verdicts(third.acks(3).await), first);
        let page = server
            .handle()
            .page(&address("m"), &grid_core::protocol::Selector::All, None, 10)
            .await
            .unwrap();
        let keys: Vec<_> = page.records.iter().map(|r| r.key.to_string()).collect();
        assert_eq!(keys, ["k1", "k3"]);
    });
}

#[test]
fn a_frame_that_was_lost_ends_the_connection_before_harm_is_done() {
    run(|world| async move {
        let server = world.start().await;
        let mut client = world.client().await;
        client.push(vec![world.put(9, 1, "m", "k", b"1")]).await;
        client.acks(1).await;
        let lost = world.put(9, 2, "m", "k", b"2");
        let after = world.put(9, 3, "m", "k", b"3");
        client
            .send(&Message::Push(Push {
                run: after.id.run,
                resume: false,
                previous: lost.id.number,
                ops: vec![after],
            }))
            .await;
        let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
            panic!("no goodbye");
        };
        assert!(goodbye.message.contains("lost or doubled"), "{goodbye:?}");
        let key = Key::new("k").unwrap();
        let record = server.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(record.unwrap().value, Some(cbor(b"1")));
    });
}

#[test]
fn pitfall_7_ops_of_one_connection_take_effect_in_order_though_frames_are_pipelined() {
    run(|world| async move {
        let server = world.start().await;
        let mut client = world.client().await;
        // The same instant for all of them, and no wait in between: only their order decides.
        for number in 1..=300 {
            let mut op = world.put(9, number, "m", "k", number.to_string().as_bytes());
            op.hlc = grid_core::Hlc::new(1_000, 0);
            client.push(vec![op]).await;
        }
        let acks = client.acks(300).await;
        assert!(acks.iter().all(|ack| ack.exceptions.is_empty()), "{acks:?}");
        let key = Key::new("k").unwrap();
        let record = server.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(record.unwrap().value, Some(cbor(b"300")));
    });
}

#[test]
fn pitfall_4_a_malformed_or_forbidden_op_does_not_block_those_behind_it() {
    run(|world| async move {
        let server = world.start().await;
        let mut client = world.client().await;
        let mut malformed = world.put(9, 1, "m", "a", b"");
        malformed.action = Action::Put {
            value: b"\x9f".as_slice().into(),
            ttl_ms: None,
        };
        client
            .push(vec![
                malformed,
                world.put(9, 2, "$maps", "b", b"v"),
                world.put(9, 3, "m", "c", b"v"),
            ])
            .await;
        let mut verdicts: Vec<(u64, RejectReason)> = Vec::new();
        let mut accepted = 0;
        for ack in client.acks(3).await {
            accepted += ack.accepted.len();
            for exception in ack.exceptions {
                let Verdict::Rejected { reason, .. } = exception.verdict else {
                    panic!("{exception:?}");
                };
                verdicts.push((exception.number, reason));
            }
        }
        verdicts.sort_by_key(|(number, _)| *number);
        assert_eq!(
            verdicts,
            [(1, RejectReason::Malformed), (2, RejectReason::Forbidden)]
        );
        assert_eq!(accepted, 1);
        let key = Key::new("c").unwrap();
        assert!(
            server
                .handle()
                .get(&address("m"), &key)
                .await
                .unwrap()
                .is_some()
        );
    });
}

#[test]
fn pitfall_11_a_client_whose_clock_is_fast_is_restamped_by_its_offset() {
    run(|world| async move {
        let server = world.start().await;
        let mut fast = world.connect().await;
        let ahead = 600_000;
        fast.send(&super::support::hello(world.now_ms() + ahead))
            .await;
        fast.next().await;
        let mut op = world.put(9, 1, "m", "k", b"fast");
        op.hlc = grid_core::Hlc::new(world.now_ms() + ahead, 0);
        fast.push(vec![op]).await;
        let ack = fast.acks(1).await.remove(0);
        let Verdict::Restamped(hlc) = ack.exceptions[0].verdict else {
            panic!("{ack:?}");
        };
        assert_eq!(hlc.millis(), world.now_ms());
        world.sleep(std::time::Duration::from_millis(1)).await;
        let mut right = world.client().await;
        right.push(vec![world.put(5, 1, "m", "k", b"right")]).await;
        right.acks(1).await;
        let key = Key::new("k").unwrap();
        let record = server.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(record.unwrap().value, Some(cbor(b"right")));
    });
}

#[test]
fn an_op_in_a_damaged_frame_takes_no_effect_and_may_come_again() {
    run(|world| async move {
        let server = world.start().await;
        let mut client = world.client().await;
        let push = Message::Push(Push {
            run: grid_core::RunId(9),
            resume: false,
            previous: 0,
            ops: vec![world.put(9, 1, "m", "k", b"value")],
        });
        let mut frame = BytesMut::new();
        write_frame(&CborCodec, &push, &mut frame).unwrap();
        let place = frame.windows(5).position(|part| part == b"value").unwrap();
        frame[place] ^= 2;
        client.send_raw(frame.freeze()).await;
        let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
            panic!("no goodbye");
        };
        assert_eq!(goodbye.code, 7, "{goodbye:?}");
        let key = Key::new("k").unwrap();
        let record = server.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(record, None);
        let mut again = world.client().await;
        again.send(&push).await;
        again.acks(1).await;
        let record = server.handle().get(&address("m"), &key).await.unwrap();
        assert_eq!(record.unwrap().value, Some(cbor(b"value")));
    });
}

#[test]
fn a_garbage_client_disturbs_nobody() {
    run(|world| async move {
        let _server = world.start().await;
        let mut good = world.client().await;
        let mut number = 0;
        let frames: [&[u8]; 6] = [
            b"",
            b"\x00",
            b"\x00\xff\xff\xff",
            b"\x07hello",
            b"\x00\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            &[0x81; 5_000],
        ];
        // As they are, no line brought them whole; with a right check, nobody means them.
        let damaged = frames.map(|garbage| (BytesMut::from(garbage), 7));
        let meant = damaged.clone().map(|(mut garbage, _)| {
            seal_frame(&mut garbage, 0).unwrap();
            (garbage, 5)
        });
        for (garbage, code) in damaged.into_iter().chain(meant) {
            let mut bad = world.client().await;
            bad.send_raw(garbage.clone().freeze()).await;
            let Some(Message::Goodbye(goodbye)) = bad.farewell().await else {
                panic!("no goodbye after {garbage:?}");
            };
            assert_eq!(goodbye.code, code, "{goodbye:?}");
            number += 1;
            good.push(vec![world.put(9, number, "m", "k", b"v")]).await;
            good.acks(1).await;
        }
        // Messages that only a server sends, and a second hello.
        for wrong in [
            Message::Unsubscribe(grid_core::protocol::ViewId(1)),
            Message::Deferred(grid_core::protocol::Deferred {
                run: grid_core::RunId(1),
                from: 1,
                message: String::new(),
                retry_after_ms: 1,
            }),
            super::support::hello(1),
        ] {
            let mut bad = world.client().await;
            bad.send(&wrong).await;
            if matches!(wrong, Message::Unsubscribe(_)) {
                // Late, perhaps, but no fault.
                bad.push(vec![world.put(3, 1, "m", "x", b"v")]).await;
                bad.acks(1).await;
                continue;
            }
            assert!(matches!(bad.farewell().await, Some(Message::Goodbye(_))));
        }
    });
}

#[test]
fn a_client_that_ignores_the_window_is_let_go() {
    run(|mut world| async move {
        world.settings.push_window = 10;
        let _server = world.start().await;
        let mut client = world.client().await;
        let ops = (1..=21).map(|n| world.put(9, n, "m", "k", b"v"));
        client.push(ops.collect()).await;
        let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
            panic!("no goodbye");
        };
        assert_eq!(goodbye.code, 3, "{goodbye:?}");
    });
}

#[test]
fn an_op_number_after_which_none_can_follow_harms_only_its_client() {
    run(|world| async move {
        let _server = world.start().await;
        let mut hostile = world.client().await;
        for _ in 0..2 {
            let mut op = world.put(9, 1, "m", "k", b"v");
            op.id.number = u64::MAX;
            hostile.resume(vec![op]).await;
        }
        let Some(Message::Goodbye(goodbye)) = hostile.farewell().await else {
            panic!("no goodbye");
        };
        assert_eq!(goodbye.code, 5, "{goodbye:?}");
        let mut other = world.client().await;
        other.push(vec![world.put(8, 1, "m", "k", b"v")]).await;
        other.acks(1).await;
    });
}
