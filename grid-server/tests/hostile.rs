//! The program among callers that are no grid clients: it tells them what is wrong where it can,
//! stays up, serves everybody else, keeps its memory, and does not fill its log.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test of a real process panics when something fails, and waits in real time"
)]

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::future::join_all;
use grid_core::codec::{CborCodec, write_hello};
use grid_core::protocol::{Hello, Message, read_frame, seal_frame};
use grid_core::traits::{CodecLimits, Transport};
use grid_core::{Namespace, RunId};
use grid_runtime_tokio::TokioRuntime;
use grid_transport_websocket::WebSocketTransport;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

/// How long anything may take; on a busy machine everything is slow.
const LIMIT: Duration = Duration::from_secs(60);
/// How many callers there are of each kind.
const CALLERS: usize = 10;
/// How many callers do nothing at all.
const IDLE: usize = 500;
/// What all of them together may cost, in bytes.
const MAX_GROWTH_BYTES: u64 = 64 * 1024 * 1024;
/// Lines that one caller may cause where debugging is logged: its arrival, its offence, its end,
/// and that it did not take part in that.
const MAX_LINES: usize = 4;

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: grid\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

struct Server {
    process: Child,
    folder: TempDir,
    address: String,
    /// Kept, so that what the server prints later does not break its pipe.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_grid-server"))
            .args(["--listen", "127.0.0.1:0", "--log", "debug"])
            .args(["--admin", "off"])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = within(output.next_line()).await.unwrap().unwrap();
        let address = line.strip_prefix("listening on ws://").unwrap().to_owned();
        Self {
            process,
            folder,
            address,
            _output: output,
        }
    }

    async fn tcp(&self) -> TcpStream {
        within(TcpStream::connect(&self.address)).await.unwrap()
    }

    /// A WebSocket, by hand.
    async fn socket(&self) -> TcpStream {
        let mut stream = self.tcp().await;
        stream.write_all(UPGRADE).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(within(stream.read_u8()).await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"));
        stream
    }

    /// A client as it should be is welcome.
    async fn serves(&self) {
        let runtime = Arc::new(TokioRuntime::current().unwrap());
        let transport = WebSocketTransport::new(runtime);
        let url = format!("ws://{}", self.address);
        let connection = within(transport.connect(&url)).await.unwrap();
        connection.send(&[hello(1).freeze()]).await.unwrap();
        let mut frames = Vec::new();
        within(connection.receive(&mut frames, 1)).await.unwrap();
        let message = read_frame(&CborCodec, frames.remove(0), &CodecLimits::default());
        assert!(matches!(message, Ok(Message::Welcome(_))), "{message:?}");
        connection.close().await;
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// What the process has in memory, in bytes, where the system tells.
    fn memory(&self) -> Option<u64> {
        let status = format!("/proc/{}/status", self.process.id().unwrap());
        let status = std::fs::read_to_string(Path::new(&status)).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024)
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap()
}

fn hello(version: u16) -> BytesMut {
    let hello = Hello {
        min_version: version,
        max_version: version,
        codecs: vec!["cbor".to_owned()],
        namespace: Namespace::default(),
        token: None,
        run: RunId(1),
        now_ms: 1,
    };
    let mut frame = BytesMut::new();
    write_hello(&hello, &mut frame).unwrap();
    frame
}

/// A binary message of a client, masked by zeros.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82, 0x80 | 126];
    frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Sends `bytes` and reads until the server ends the connection.
async fn answer(mut stream: TcpStream, bytes: &[u8]) -> String {
    // The server may have enough before all is sent.
    let _sent = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = within(stream.read(&mut part)).await {
        answer.extend(&part[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// [`CALLERS`] at once each send `bytes`; every answer holds `words`.
async fn offend(server: &Server, socket: bool, bytes: &[u8], words: &str) {
    let before = server.log().lines().count();
    let callers = (0..CALLERS).map(|_| async {
        let stream = if socket {
            server.socket().await
        } else {
            server.tcp().await
        };
        answer(stream, bytes).await
    });
    for told in join_all(callers).await {
        assert!(told.contains(words), "{words}: {told:?}");
    }
    server.serves().await;
    let lines = server.log().lines().count() - before;
    let most = (CALLERS + 1) * MAX_LINES;
    assert!((CALLERS..=most).contains(&lines), "{words}: {lines} lines");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_client_is_told_and_takes_nothing_from_others() {
    let mut server = Server::start().await;
    server.serves().await;
    let before = server.memory();

    let mut idle = Vec::new();
    for number in 0..IDLE {
        idle.push(match number % 3 {
            0 => server.tcp().await,
            1 => server.socket().await,
            _ => {
                let mut half = server.tcp().await;
                half.write_all(&UPGRADE[..40]).await.unwrap();
                half
            }
        });
    }
    server.serves().await;

    let noise: Vec<u8> = (0..=250).cycle().step_by(37).take(20_000).collect();
    offend(&server, false, &noise, "").await;
    offend(&server, false, b"GET / HTTP/1.1\r\nHost: grid\r\n\r\n", "").await;
    let endless = [b"GET / HTTP/1.1\r\nX: ", vec![b'x'; 4 << 20].as_slice()].concat();
    offend(&server, false, &endless, "").await;
    offend(&server, true, &noise, "").await;
    offend(&server, true, &masked(b"hello"), "no grid client").await;
    offend(&server, true, &masked(&hello(999)), "999").await;
    offend(
        &server,
        true,
        &masked(&vec![b'G'; 60_000]),
        "no grid client",
    )
    .await;
    let announced = [&[0x82, 0xff][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat();
    offend(&server, true, &announced, "beyond the bound").await;
    let then_noise = [masked(&hello(1)), masked(&noise)].concat();
    offend(&server, true, &then_noise, "damaged").await;
    let mut meant = BytesMut::from(&noise[..]);
    seal_frame(&mut meant, 0).unwrap();
    let then_meant = [masked(&hello(1)), masked(&meant)].concat();
    offend(&server, true, &then_meant, "decode").await;
    let twice = [masked(&hello(1)), masked(&hello(1))].concat();
    offend(&server, true, &twice, "").await;

    server.serves().await;
    if let (Some(before), Some(after)) = (before, server.memory()) {
        let growth = after.saturating_sub(before);
        assert!(growth < MAX_GROWTH_BYTES, "{growth} bytes");
    }
    drop(idle);
    assert!(server.process.try_wait().unwrap().is_none(), "it is up");
}
