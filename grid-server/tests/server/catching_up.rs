use grid_core::protocol::{DeltaMode, Message, Selector};
use grid_core::{History, MapName};

use super::support::run;

#[test]
fn a_subscriber_gets_a_snapshot_and_then_events() {
    run(|world| async move {
        let _server = world.start().await;
        let mut writer = world.client().await;
        writer.push(vec![world.put(9, 1, "m", "k", b"1")]).await;
        writer.acks(1).await;
        let mut reader = world.client().await;
        let view = reader
            .subscribe("m", Selector::All, History(0), Vec::new())
            .await;
        let mut snapshots = 0;
        let mut level = 0;
        while level + snapshots < 3 {
            match reader.next().await {
                Message::Delta(delta) => {
                    assert_eq!((delta.view, delta.mode), (view, DeltaMode::Snapshot));
                    assert_eq!(delta.records.len(), 1);
                    assert!(delta.root.is_some());
                    snapshots += 1;
                }
                Message::CaughtUp(caught_up) => {
                    assert_eq!(caught_up.root, 0);
                    level += caught_up.cursor.len();
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(snapshots, 1);
        writer.push(vec![world.put(9, 2, "m", "k", b"2")]).await;
        let Message::Delta(event) = reader.next().await else {
            panic!("no event");
        };
        assert_eq!(event.mode, DeltaMode::Changes);
        assert_eq!(event.records[0].key.as_str(), "k");
        assert_eq!(event.records[0].sequence, event.to);
        let _ = MapName::new("m");
    });
}
