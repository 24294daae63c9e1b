//! Each op has its own verdict.

use std::collections::BTreeSet;
use std::sync::Arc;

use ciborium::Value;
use grid_core::MapName;
use grid_core::Stamp;
use grid_core::op::Op;
use grid_core::protocol::RejectReason;
use grid_core::traits::{Decision, Policy, Principal};
use grid_testkit::proxy::LinkState;
use hybrid_grid::{Fate, Grid, NotAcked};

use crate::world::{Site, agree, contents, flushed, soon, verdict};

const MAP: &str = "notes";
/// Fits into a client's outbox, and not into this server's values.
const LARGE: usize = 10_000;

/// Nobody may write keys that start with `no/`.
#[derive(Debug)]
struct Strict;

impl Policy for Strict {
    fn may_write(&self, _: &Principal, op: &Op) -> Decision {
        match op.key.as_str().starts_with("no/") {
            true => Decision::Deny("not yours".to_owned()),
            false => Decision::Allow,
        }
    }

    fn may_read(&self, _: &Principal, _: &MapName) -> Decision {
        Decision::Allow
    }
}

/// Ops that the server refuses, for whatever reason, leave the outbox with a reason of their own;
/// those between and behind them are acked, and what was refused is not seen any more.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_04_refused_ops_do_not_block_those_behind_them() {
    let mut site = Site::new().await;
    site.policy = Some(Arc::new(Strict));
    site.settings.max_value_bytes = 1_000;
    // Many pushes: a refusal in one of them must not stop the next ones either.
    site.settings.push_window = 7;
    let _server = site.start().await;
    site.proxy.set(LinkState::Cut);
    let device = site.device().open().await.unwrap();
    let other = site.device().open().await.unwrap();
    let notes = device.map::<String>(MAP).unwrap();
    let mut rejections = device.rejections();
    let text = |number: usize| format!("text {number}");
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for number in 0..60 {
        let key = format!("k{number}");
        let (write, reason) = match number % 6 {
            0 => {
                let key = format!("no/{number}");
                (
                    notes.put(&key, &text(number)).await,
                    RejectReason::Forbidden,
                )
            }
            2 => {
                let large = "x".repeat(LARGE);
                (notes.put(&key, &large).await, RejectReason::TooLarge)
            }
            4 => {
                // Only if it is at a version that it never had.
                let version = Stamp {
                    hlc: grid_core::Hlc::new(1, 0),
                    ..Stamp::ZERO
                };
                let write = notes.put_if(&key, &text(number), version).await;
                (write, RejectReason::VersionMismatch)
            }
            _ => {
                good.push((key.clone(), notes.put(&key, &text(number)).await.unwrap()));
                continue;
            }
        };
        bad.push((write.unwrap(), reason));
    }
    assert_eq!(notes.len(), 60);
    site.proxy.set(LinkState::Up);
    device.connect_now();
    let mut keys = Vec::new();
    for (key, write) in good {
        assert_eq!(verdict(write).await.unwrap(), Fate::Acked, "{key}");
        keys.push(key);
    }
    let mut refused = BTreeSet::new();
    for (write, reason) in bad {
        let op = write.op();
        match verdict(write).await {
            Err(NotAcked::Rejected(rejected)) => {
                assert_eq!((rejected.op, rejected.reason), (op, reason), "{rejected}");
                refused.insert(op);
            }
            other => panic!("{other:?} instead of {reason}"),
        }
    }
    // Whoever shows rejections to the user misses none.
    for _ in 0..30 {
        let next = soon("a rejection", rejections.next()).await;
        assert!(refused.remove(&next.unwrap().op));
    }
    let level = agree::<String>(&[&device, &other], MAP).await;
    assert_eq!(device.status().pending, 0);
    keys.sort();
    assert_eq!(level.into_keys().collect::<Vec<_>>(), keys);
    assert_eq!(contents(&notes).len(), 30);
}

/// Values that are trouble for some: deep, long, large, and of every kind that CBOR has.
fn odd_values() -> Vec<(&'static str, Value)> {
    let nested = |depth| (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let long = |items: u32| Value::Array((0..items).map(Value::from).collect());
    vec![
        ("null", Value::Null),
        ("not a number", Value::Float(f64::NAN)),
        ("large integer", Value::from(i128::MAX)),
        ("bytes", Value::Bytes(vec![0, 255, 0])),
        ("empty text", Value::Text(String::new())),
        ("text with NUL", Value::Text("a\u{0}b".to_owned())),
        ("tagged", Value::Tag(1, Box::new(Value::from(0)))),
        (
            "odd keys",
            Value::Map(vec![
                (Value::Null, Value::Bool(true)),
                (Value::Array(vec![]), Value::Bool(false)),
                (Value::Null, Value::Bool(false)),
            ]),
        ),
        ("deep", nested(64)),
        ("too deep", nested(65)),
        ("far too deep", nested(500)),
        ("long", long(20_000)),
        ("very long", Value::Array(vec![Value::Null; 200_000])),
        ("large", Value::Bytes(vec![7; 200_000])),
        ("too large", Value::Bytes(vec![7; 300_000])),
    ]
}

/// Whatever an application puts is refused at once or gets its verdict, and what it puts next goes
/// on: no value makes an outbox that its own device cannot open, or a frame that ends a connection.
#[tokio::test(flavor = "multi_thread")]
async fn pitfall_04_no_value_blocks_the_queue_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}", folder.path().join("device.db").display());
    let site = Site::new().await;
    let _server = site.start().await;
    let grid = Grid::builder().storage(&store).open().await.unwrap();
    let map = grid.map::<Value>(MAP).unwrap();
    let mut taken = Vec::new();
    for (name, value) in odd_values() {
        match map.put(name, &value).await {
            Ok(_durable) => taken.push((name, value)),
            Err(error) => assert!(name.contains("too"), "{name}: {error}"),
        }
        let next = format!("after {name}");
        drop(map.put(&next, &Value::from(1)).await.unwrap());
    }
    grid.close().await.unwrap();

    let grid = site.device().storage(&store).open().await.unwrap();
    let mut rejections = grid.rejections();
    flushed(&grid).await;
    // Who comes afterwards sees everything.
    let other = site.device().open().await.unwrap();
    let theirs = other.map::<Value>(MAP).unwrap();
    flushed(&other).await;
    let rejected = rejections.next();
    futures::pin_mut!(rejected);
    assert!(
        futures::poll!(rejected).is_pending(),
        "what was taken is no rejection later"
    );
    for (name, value) in taken {
        let found = theirs.get(name).unwrap();
        assert_eq!(format!("{found:?}"), format!("{:?}", Some(value)), "{name}");
    }
    for (name, _) in odd_values() {
        let found = theirs.get(&format!("after {name}")).unwrap();
        assert_eq!(found, Some(Value::from(1)), "{name}");
    }
    grid.close().await.unwrap();
}
