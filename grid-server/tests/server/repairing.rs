use grid_core::merkle::{Descent, Progress};
use grid_core::protocol::{Delta, DeltaMode, Message, Repair, RepairStep, Selector, ViewId};
use grid_core::{DigestKey, EntryDigest, History, PartitionId};
use std::collections::BTreeMap;

use super::catching_up::Held;
use super::support::{Client, hello, run, welcome_of};

/// Repairs one partition as a client does: descends, fetches, and returns what differed.
async fn repair(
    client: &mut Client,
    view: ViewId,
    partition: PartitionId,
    held: &mut BTreeMap<grid_core::Key, EntryDigest>,
    digest_key: DigestKey,
) -> Option<u128> {
    let (mut descent, first) = Descent::start();
    let ask = |step| {
        Message::Repair(Repair {
            view,
            partition,
            step,
        })
    };
    client.send(&ask(first)).await;
    let difference = loop {
        let own: Vec<EntryDigest> = held.values().copied().collect();
        let progress = match client.next().await {
            Message::RepairNodes(nodes) => descent.on_nodes(&nodes, own),
            Message::RepairLeaves(leaves) => descent.on_leaves(&leaves, own),
            other => panic!("{other:?}"),
        };
        match progress.unwrap() {
            Progress::Ask(steps) => {
                for step in steps {
                    client.send(&ask(step)).await;
                }
            }
            Progress::Await => {}
            Progress::Snapshot => {
                client.send(&ask(RepairStep::Snapshot)).await;
                held.clear();
                return take(client, DeltaMode::Snapshot, held, digest_key).await;
            }
            Progress::Finished(difference) => break difference,
        }
    };
    let mut root = None;
    for step in difference.fetch_steps() {
        client.send(&ask(step)).await;
        root = take(client, DeltaMode::Repair, held, digest_key).await;
    }
    let gone: Vec<u64> = difference.remove.iter().map(|(hash, _)| *hash).collect();
    held.retain(|_, entry| !gone.contains(&entry.key_hash));
    root
}

/// Takes deltas up to the one that ends them, and returns its root.
async fn take(
    client: &mut Client,
    mode: DeltaMode,
    held: &mut BTreeMap<grid_core::Key, EntryDigest>,
    digest_key: DigestKey,
) -> Option<u128> {
    let mut continued = false;
    loop {
        let Message::Delta(Delta {
            mode: came,
            continued: goes_on,
            records,
            root,
            ..
        }) = client.next().await
        else {
            panic!("no delta");
        };
        assert_eq!((came, goes_on), (mode, continued));
        continued = true;
        for record in records {
            let entry = digest_key.record(&record).unwrap();
            held.insert(record.key, entry);
        }
        if root.is_some() {
            return root;
        }
    }
}

fn sum(held: &BTreeMap<grid_core::Key, EntryDigest>) -> u128 {
    held.values()
        .fold(0, |sum, entry| sum.wrapping_add(entry.digest))
}

#[test]
fn a_damaged_client_is_repaired_branch_by_branch() {
    run(|mut world| async move {
        // One partition, so that its tree has nodes; and frames for fetched records.
        world.settings.map_spread = 1;
        let _server = world.start().await;
        let mut probe = world.connect().await;
        probe.send(&hello(world.now_ms())).await;
        let welcome = welcome_of(probe.next().await);
        let digest_key = DigestKey(welcome.digest_key);
        let mut writer = world.client().await;
        let value = [5; 1_000];
        for first in (1..=2_000u64).step_by(500) {
            let ops = (first..first + 500).map(|n| world.put(9, n, "m", &format!("k{n}"), &value));
            writer.push(ops.collect()).await;
            writer.acks(500).await;
        }
        let mut client = world.client().await;
        let view = client
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        let mut held = Held::default();
        held.catch_up(&mut client, 1).await;
        let partition = *held.cursor.keys().next().unwrap();
        let right: BTreeMap<_, _> = held
            .records
            .iter()
            .map(|(key, record)| (key.clone(), digest_key.record(record).unwrap()))
            .collect();
        assert_eq!(right.len(), 2_000);
        for damage in [0, 3, 100, 2_000] {
            let mut damaged = right.clone();
            for (at, (_, entry)) in damaged.iter_mut().enumerate().take(damage) {
                entry.digest ^= 1 + at as u128;
            }
            if damage == 3 {
                // One more, that the server never had, and one less.
                let stranger = grid_core::Key::new("stranger").unwrap();
                let entry = digest_key.entry(b"stranger", &grid_core::Stamp::ZERO, b"");
                damaged.insert(stranger, entry);
                damaged.remove(&grid_core::Key::new("k1999").unwrap());
            }
            let before = client.received.bytes();
            let root = repair(&mut client, view, partition, &mut damaged, digest_key).await;
            assert_eq!(sum(&damaged), sum(&right), "{damage} damaged");
            assert!(root.is_none_or(|root| root == sum(&right)));
            let bytes = client.received.bytes() - before;
            if damage == 3 {
                assert!(bytes < 8_000, "{bytes} bytes");
            }
        }
    });
}

#[test]
fn a_repair_of_what_is_not_followed_or_cannot_be_ends_the_connection() {
    run(|world| async move {
        let _server = world.start().await;
        for wrong in [0, 1, 2, 3] {
            let mut client = world.client().await;
            let view = client
                .subscribe("m", Selector::All, History(0), Vec::new())
                .await;
            let partitions = {
                let mut held = Held::default();
                held.catch_up(&mut client, 3).await;
                held.cursor()
            };
            let partition = partitions[0].0;
            let nodes = |bits, parents| RepairStep::Nodes {
                bits,
                level: 0,
                parents,
            };
            let repair = match wrong {
                0 => (ViewId(view.0 + 7), partition, nodes(0, vec![0])),
                1 => (view, PartitionId(4_000), nodes(0, vec![0])),
                2 => (view, partition, nodes(200, vec![0])),
                _ => (view, partition, nodes(0, Vec::new())),
            };
            client
                .send(&Message::Repair(Repair {
                    view: repair.0,
                    partition: repair.1,
                    step: repair.2,
                }))
                .await;
            let Some(Message::Goodbye(goodbye)) = client.farewell().await else {
                panic!("no goodbye for {wrong}");
            };
            assert_eq!(goodbye.code, 5, "{goodbye:?}");
        }
    });
}
