//! A link does what its faults say.

use super::*;

const URL: &str = "sim://server";

/// Sends 100 numbered frames one way and returns what arrived before the connection ended.
fn transfer(seed: u64, faults: LinkFaults) -> Vec<u8> {
    let executor = Executor::new(seed);
    let network = Network::new(&executor);
    network.set_faults(faults);
    let (server, client) = (network.transport(PartyId(0)), network.transport(PartyId(1)));
    executor.block_on(PartyId(0), 100_000, async move {
        let listener = server.listen(URL).await.expect("listens");
        let sender = client.connect(URL).await.expect("connects");
        let receiver = listener.accept().await.expect("accepts");
        for number in 0..100_u8 {
            if sender.send(&[Bytes::from(vec![number])]).await.is_err() {
                break;
            }
        }
        sender.close().await;
        let mut frames = Vec::new();
        while receiver.receive(&mut frames, 8).await.is_ok() {}
        frames.iter().map(|frame| frame[0]).collect()
    })
}

#[test]
fn a_healthy_link_delivers_everything_in_order() {
    assert_eq!(
        transfer(1, LinkFaults::healthy()),
        (0..100).collect::<Vec<_>>()
    );
}

#[test]
fn each_fault_shows() {
    let healthy = LinkFaults::healthy();
    let dropped = transfer(
        2,
        LinkFaults {
            drop_percent: 20,
            ..healthy
        },
    );
    assert!(dropped.len() < 100 && dropped.is_sorted());
    let doubled = transfer(
        3,
        LinkFaults {
            duplicate_percent: 20,
            ..healthy
        },
    );
    assert!(doubled.len() > 100 && doubled.is_sorted());
    let reordered = transfer(
        4,
        LinkFaults {
            reorder_percent: 20,
            ..healthy
        },
    );
    assert!(reordered.len() == 100 && !reordered.is_sorted());
    let corrupted = transfer(
        6,
        LinkFaults {
            corrupt_percent: 20,
            ..healthy
        },
    );
    let damaged = (0..100)
        .zip(&corrupted)
        .filter(|(sent, came)| sent != *came);
    assert_eq!(corrupted.len(), 100);
    assert!((5..50).contains(&damaged.count()), "{corrupted:?}");
    let reset = transfer(
        5,
        LinkFaults {
            reset_percent: 5,
            ..healthy
        },
    );
    assert!(reset.len() < 100);
}

#[test]
fn a_cut_is_silent_and_a_crash_may_be() {
    let executor = Executor::new(6);
    let network = Network::new(&executor);
    let (server, client) = (network.transport(PartyId(0)), network.transport(PartyId(1)));
    let world = network.clone();
    executor.block_on(PartyId(2), 10_000, async move {
        let listener = server.listen(URL).await.expect("listens");
        let connection = client.connect(URL).await.expect("connects");
        let accepted = listener.accept().await.expect("accepts");
        world.cut(PartyId(1), PartyId(0));
        connection
            .send(&[Bytes::from_static(b"lost")])
            .await
            .expect("a cut is silent");
        assert!(client.connect(URL).await.is_err());
        world.heal();
        connection
            .send(&[Bytes::from_static(b"kept")])
            .await
            .expect("sends");
        let mut frames = Vec::new();
        accepted.receive(&mut frames, 8).await.expect("receives");
        assert_eq!(frames, [Bytes::from_static(b"kept")]);
        world.crash(PartyId(0), true);
        connection
            .send(&[Bytes::from_static(b"to nobody")])
            .await
            .expect("a crash is silent");
        assert!(client.connect(URL).await.is_err());
    });
}
