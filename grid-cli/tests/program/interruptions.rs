//! Readers that leave, and users that press Ctrl-C.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Child;

use crate::device::{Device, NOWHERE, ended, mute, signal};

#[tokio::test]
async fn a_reader_that_has_enough_is_no_failure() {
    let device = Device::new(NOWHERE);
    // More than a pipe holds.
    let lines: String = (0..5000)
        .map(|id| format!("{{\"id\":\"{id:050}\"}}\n"))
        .collect();
    let file = device.file("in.jsonl", lines);
    device
        .run(&["--offline", "import", "m", &file])
        .await
        .code(0);
    for command in ["ls", "export", "watch"] {
        let mut child = device.start(&["--offline", command, "m"]);
        let mut first = BufReader::new(child.stdout.take().unwrap()).lines();
        first.next_line().await.unwrap().unwrap();
        drop(first);
        let ended = ended(child).await.code(0);
        assert!(
            !ended.stderr.contains("error"),
            "{command}: {}",
            ended.stderr
        );
    }
    // What was asked for is done, whoever reads of it.
    let mut child = device.start(&["--offline", "--json", "get", "m", "nope"]);
    drop(child.stdout.take());
    ended(child).await.code(4);
}

async fn interrupt(child: Child) -> crate::device::Ended {
    signal(child.id().unwrap(), "INT").await;
    ended(child).await
}

/// Waits until the program talks to the server: then it has opened its store.
async fn called(listener: &TcpListener) -> tokio::net::TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut greeting = [0];
    stream.read_exact(&mut greeting).await.unwrap();
    stream
}

#[tokio::test]
async fn an_interrupted_command_is_130_and_loses_nothing_that_was_accepted() {
    let (listener, url) = mute().await;
    let device = Device::new(&url);
    let put = device.start(&["put", "m", "k", "1"]);
    let silent = called(&listener).await;
    let put = interrupt(put).await.code(130);
    put.says(&["interrupted"]);
    drop(silent);
    // Whether it was fast enough or not: either it is kept, or nobody was told so.
    let before = device.status().await["pending"].as_u64().unwrap();
    let file = device.file("in.jsonl", "{\"id\":1}\n{\"id\":2}\n");
    device
        .run(&["--offline", "import", "m", &file])
        .await
        .code(0);
    let sync = device.start(&["sync", "m"]);
    let silent = called(&listener).await;
    let pending = format!("{} pending", before + 2);
    interrupt(sync)
        .await
        .code(130)
        .says(&["interrupted", &pending, "grid sync"]);
    drop(silent);
    assert_eq!(device.status().await["pending"], before + 2);
}

#[tokio::test]
async fn an_import_that_is_interrupted_half_way_keeps_whole_batches() {
    let (listener, url) = mute().await;
    let device = Device::new(&url);
    let lines: String = (0..100_000)
        .map(|id| format!("{{\"id\":{id}}}\n"))
        .collect();
    let file = device.file("in.jsonl", lines);
    let import = device.start(&["import", "m", &file]);
    let silent = called(&listener).await;
    interrupt(import).await.code(130).says(&["interrupted"]);
    drop(silent);
    let status = device.status().await;
    let kept = status["pending"].as_u64().unwrap();
    assert_eq!(kept % 1000, 0);
    if kept > 0 {
        assert_eq!(status["maps"][0]["entries"], kept);
    }
}

#[tokio::test]
async fn to_be_interrupted_is_the_end_of_watching() {
    let device = Device::new(NOWHERE);
    device
        .run(&["--offline", "put", "m", "k", "1"])
        .await
        .code(0);
    let mut watch = device.start(&["--offline", "watch", "m"]);
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "k\t1");
    let watch = interrupt(watch).await.code(0);
    assert!(!watch.stderr.contains("interrupted"), "{}", watch.stderr);
}
