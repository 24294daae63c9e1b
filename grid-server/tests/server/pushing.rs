use grid_core::Key;
use grid_core::op::Action;
use grid_core::protocol::{Message, RejectReason, Verdict};

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
            .send(&Message::Push(grid_core::protocol::Push {
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
