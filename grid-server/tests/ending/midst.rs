use std::path::PathBuf;

use bytes::BytesMut;
use grid_core::MapName;
use grid_core::op::Action;
use grid_core::protocol::{Ack, Message, Read, ReadTarget};
use grid_testkit::process::ServerProcess;

use super::client::{Client, OPS_PER_PUSH, key, push};

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_grid-server"))
}

fn numbers(ack: &Ack) -> Vec<u64> {
    assert!(ack.exceptions.is_empty(), "{ack:?}");
    let ranges = ack.accepted.iter();
    ranges
        .flat_map(|range| range.first..range.first + range.count)
        .collect()
}

/// Writes until the connection ends; returns the ops that were acknowledged, and whether the
/// server said goodbye. `begun` is told of the first ack.
async fn write(url: String, run: u64, begun: tokio::sync::mpsc::Sender<()>) -> (Vec<u64>, bool) {
    let mut client = Client::connect(&url).await;
    let (mut acknowledged, mut goodbye, mut sent) = (Vec::new(), false, 0);
    loop {
        // Two pushes are always on their way.
        while sent < acknowledged.len() as u64 + 2 * OPS_PER_PUSH {
            if !client.send(&push(run, sent + 1)).await {
                break;
            }
            sent += OPS_PER_PUSH;
        }
        match client.next().await {
            Some(Message::Ack(ack)) => {
                acknowledged.extend(numbers(&ack));
                // Only the first one is waited for.
                let _ = begun.try_send(());
            }
            Some(Message::Goodbye(_)) => goodbye = true,
            Some(_) => {}
            None => return (acknowledged, goodbye),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_an_end_in_the_midst_of_writes() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(&program(), folder.path(), "127.0.0.1:0", &[])
        .await
        .unwrap();
    let mut writers = Vec::new();
    for run in 1..=4 {
        let (begun, mut acks) = tokio::sync::mpsc::channel(1);
        let writer = write(server.url(), run, begun);
        #[expect(clippy::disallowed_methods, reason = "the writers run beside the test")]
        writers.push(tokio::spawn(writer));
        acks.recv().await.unwrap();
    }
    let status = server.terminate().await.unwrap();
    assert_eq!(status.code(), Some(0));
    let server = ServerProcess::start(&program(), folder.path(), "127.0.0.1:0", &[])
        .await
        .unwrap();
    let mut reader = Client::connect(&server.url()).await;
    for (run, writer) in (1..).zip(writers) {
        let (acknowledged, goodbye) = writer.await.unwrap();
        assert!(goodbye, "writer {run} was told why");
        for number in acknowledged {
            let read = Message::Read(Read {
                request: 1,
                map: MapName::new("m").unwrap(),
                target: ReadTarget::Key(key(run, number)),
            });
            assert!(reader.send(&read).await);
            let result = loop {
                match reader.next().await.unwrap() {
                    Message::ReadResult(result) => break result,
                    _ => continue,
                }
            };
            assert_eq!(result.records.len(), 1, "op {number} of run {run}");
        }
    }
    server.terminate().await.unwrap();
}

/// Reads lines until one contains `wanted`.
#[cfg(unix)]
fn await_line(lines: &mut impl std::io::BufRead, wanted: &str) -> String {
    let mut line = String::new();
    while !line.contains(wanted) {
        line.clear();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "no line has {wanted}"
        );
    }
    line
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_request_to_end_is_heeded_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // A client that takes none of its answers holds up the end for as long as it is waited for.
    let mut server = std::process::Command::new(program())
        .args(["--listen", "127.0.0.1:0", "--drain-ms", "600000"])
        .args(["--admin", "127.0.0.1:0"])
        .args(["--heartbeat-ms", "600000", "--data-dir"])
        .arg(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(server.stdout.take().unwrap());
    let mut logged = std::io::BufReader::new(server.stderr.take().unwrap());
    let line = await_line(&mut said, "listening on");
    let url = line.trim().strip_prefix("listening on ").unwrap();
    let mut client = Client::connect(url).await;
    let Message::Push(mut large) = push(1, 1) else {
        unreachable!("a push");
    };
    large.ops.truncate(1);
    let mut value = BytesMut::new();
    grid_core::codec::Writer::new(&mut value).bytes(&[7; 250_000]);
    large.ops[0].action = Action::Put {
        value: value.freeze(),
        ttl_ms: None,
    };
    assert!(client.send(&Message::Push(large)).await);
    while !matches!(client.next().await, Some(Message::Ack(_))) {}
    for request in 0..200 {
        let read = Message::Read(Read {
            request,
            map: MapName::new("m").unwrap(),
            target: ReadTarget::Key(key(1, 1)),
        });
        assert!(client.send(&read).await);
    }
    let pid = server.id().to_string();
    let terminate = || {
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(sent.unwrap().success());
    };
    terminate();
    await_line(&mut logged, "shutting down");
    assert!(
        server.try_wait().unwrap().is_none(),
        "it waits for the client"
    );
    terminate();
    let status = server.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    // The next start has everything.
    let server = ServerProcess::start(&program(), folder.path(), "127.0.0.1:0", &[])
        .await
        .unwrap();
    let mut reader = Client::connect(&server.url()).await;
    let read = Message::Read(Read {
        request: 1,
        map: MapName::new("m").unwrap(),
        target: ReadTarget::Key(key(1, 1)),
    });
    assert!(reader.send(&read).await);
    let Some(Message::ReadResult(result)) = reader.next().await else {
        panic!("no answer");
    };
    assert_eq!(result.records.len(), 1);
    server.terminate().await.unwrap();
}
