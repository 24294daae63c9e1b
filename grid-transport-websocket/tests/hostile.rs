//! Peers that are no grid, or no WebSocket, or silent: each gets what it deserves, alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use grid_core::limits::MAX_FRAME_BYTES;
use grid_core::traits::{Connection, Listener, Runtime, Transport};
use grid_core::{BoxFuture, ErrorKind};
use grid_runtime_tokio::TokioRuntime;
use grid_transport_websocket::WebSocketTransport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

fn transport() -> WebSocketTransport {
    WebSocketTransport::new(Arc::new(TokioRuntime::current().unwrap()))
}

async fn listen(transport: &WebSocketTransport) -> (Arc<dyn Listener>, String) {
    let listener = transport.listen("ws://127.0.0.1:0").await.unwrap();
    let address = listener.url().strip_prefix("ws://").unwrap().to_owned();
    (listener, address)
}

type RawSocket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

/// A peer that speaks WebSocket as it likes, and our end of it.
async fn raw_pair(listener: &Arc<dyn Listener>) -> (RawSocket, Arc<dyn Connection>) {
    let url = listener.url();
    let (raw, ours) = tokio::join!(tokio_tungstenite::connect_async(&url), listener.accept());
    (raw.unwrap().0, ours.unwrap())
}

async fn receive(connection: &Arc<dyn Connection>) -> Result<Vec<Bytes>, ErrorKind> {
    let mut frames = Vec::new();
    match connection.receive(&mut frames, 100).await {
        Ok(()) => Ok(frames),
        Err(error) => Err(error.kind()),
    }
}

/// Time runs faster, so that bounds of seconds can be met in a test.
#[derive(Debug)]
struct Hasty(TokioRuntime);

impl Runtime for Hasty {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.0.spawn(name, task);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration / 100)
    }
    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }
    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
    fn random(&self) -> u64 {
        self.0.random()
    }
}

#[tokio::test]
async fn a_text_message_is_a_protocol_error() {
    let (listener, _) = listen(&transport()).await;
    let (mut raw, ours) = raw_pair(&listener).await;
    raw.send(Message::text("hello")).await.unwrap();
    assert_eq!(receive(&ours).await, Err(ErrorKind::Protocol));
    assert_eq!(receive(&ours).await, Err(ErrorKind::Protocol));
}

#[tokio::test]
async fn frames_before_a_text_message_are_delivered_first() {
    let (listener, _) = listen(&transport()).await;
    let (mut raw, ours) = raw_pair(&listener).await;
    raw.feed(Message::binary("one")).await.unwrap();
    raw.feed(Message::text("two")).await.unwrap();
    raw.flush().await.unwrap();
    assert_eq!(receive(&ours).await, Ok(vec![Bytes::from("one")]));
    assert_eq!(receive(&ours).await, Err(ErrorKind::Protocol));
}

#[tokio::test]
async fn a_ping_is_answered_while_we_only_receive() {
    let (listener, _) = listen(&transport()).await;
    let (mut raw, ours) = raw_pair(&listener).await;
    let pinging = async {
        raw.send(Message::Ping("are you there".into()))
            .await
            .unwrap();
        let answer = raw.next().await.unwrap().unwrap();
        assert_eq!(answer, Message::Pong("are you there".into()));
        raw.send(Message::binary("thanks")).await.unwrap();
    };
    let ((), received) = tokio::join!(pinging, receive(&ours));
    assert_eq!(received, Ok(vec![Bytes::from("thanks")]));
}

#[tokio::test]
async fn a_frame_that_announces_too_much_is_refused_before_it_comes() {
    let (listener, _) = listen(&transport()).await;
    let (mut raw, ours) = raw_pair(&listener).await;
    let announced = u64::try_from(MAX_FRAME_BYTES).unwrap() + 1;
    let mut header = vec![0x82, 0x80 | 127];
    header.extend(announced.to_be_bytes());
    header.extend([0; 4]);
    raw.get_mut().write_all(&header).await.unwrap();
    assert_eq!(receive(&ours).await, Err(ErrorKind::TooLarge));
}

#[tokio::test]
async fn a_message_in_pieces_with_a_ping_between_is_one_frame() {
    let (listener, _) = listen(&transport()).await;
    let (mut raw, ours) = raw_pair(&listener).await;
    let pieces: [&[u8]; 3] = [
        &[0x02, 0x82, 0, 0, 0, 0, b'a', b'b'],
        &[0x89, 0x80, 0, 0, 0, 0],
        &[0x80, 0x81, 0, 0, 0, 0, b'c'],
    ];
    raw.get_mut().write_all(&pieces.concat()).await.unwrap();
    assert_eq!(receive(&ours).await, Ok(vec![Bytes::from("abc")]));
}

#[tokio::test]
async fn why_the_peer_closed_is_told() {
    let (listener, _) = listen(&transport()).await;
    for (code, reason, told) in [
        (1012, "restarting", "code 1012: restarting"),
        (1008, "", "code 1008"),
        (1000, "", "the connection is closed"),
    ] {
        let (mut raw, ours) = raw_pair(&listener).await;
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        let (closed, received) = tokio::join!(raw.close(Some(frame)), async {
            let mut frames = Vec::new();
            ours.receive(&mut frames, 1).await
        });
        closed.unwrap();
        let error = received.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test]
async fn a_message_in_too_many_pieces_is_refused() {
    let (listener, _) = listen(&transport()).await;
    let (mut raw, ours) = raw_pair(&listener).await;
    let sending = async {
        // First frame, without its final bit, then continuations: each is within the bound.
        let piece = vec![0; MAX_FRAME_BYTES / 2 + 1];
        for opcode in [0x02, 0x00] {
            let mut frame = vec![opcode, 0x80 | 127];
            frame.extend(u64::try_from(piece.len()).unwrap().to_be_bytes());
            frame.extend([0; 4]);
            frame.extend(&piece);
            if raw.get_mut().write_all(&frame).await.is_err() {
                break;
            }
        }
    };
    let ((), received) = tokio::join!(sending, receive(&ours));
    assert_eq!(received, Err(ErrorKind::TooLarge));
}

#[tokio::test]
async fn a_stream_that_ends_within_a_frame_is_broken() {
    let (listener, _) = listen(&transport()).await;
    let (mut raw, ours) = raw_pair(&listener).await;
    raw.get_mut()
        .write_all(&[0x82, 0x85, 0, 0, 0, 0, 1])
        .await
        .unwrap();
    drop(raw);
    assert_eq!(receive(&ours).await, Err(ErrorKind::Unavailable));
}

#[tokio::test]
async fn garbage_after_the_handshake_is_a_protocol_error() {
    let (listener, _) = listen(&transport()).await;
    let (mut raw, ours) = raw_pair(&listener).await;
    raw.get_mut().write_all(&[0xFF; 64]).await.unwrap();
    assert_eq!(receive(&ours).await, Err(ErrorKind::Protocol));
}

#[tokio::test]
async fn callers_that_stall_or_babble_hold_up_nobody() {
    let transport = transport();
    let (listener, address) = listen(&transport).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(&address).await.unwrap());
        let mut babbling = TcpStream::connect(&address).await.unwrap();
        babbling
            .write_all(b"\x16\x03\x01 what is this\r\n\r\n")
            .await
            .unwrap();
        silent.push(babbling);
    }
    let url = listener.url();
    let (near, far) = tokio::join!(transport.connect(&url), listener.accept());
    near.unwrap().send(&["hello".into()]).await.unwrap();
    assert_eq!(receive(&far.unwrap()).await, Ok(vec![Bytes::from("hello")]));
}

#[tokio::test]
async fn a_caller_that_never_finishes_its_handshake_is_dropped() {
    let runtime = Hasty(TokioRuntime::current().unwrap());
    let transport = WebSocketTransport::new(Arc::new(runtime));
    let (listener, address) = listen(&transport).await;
    let silent = async {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut rest = Vec::new();
        // The listener ends the connection: this returns.
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(rest, b"");
        listener.close().await;
    };
    let ((), accepted) = tokio::join!(silent, listener.accept());
    assert_eq!(accepted.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let runtime = Hasty(TokioRuntime::current().unwrap());
    let error = WebSocketTransport::new(Arc::new(runtime))
        .connect(&format!("ws://{address}"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&address), "{error}");
}

/// Answers one HTTP request with `answer`, then ends the connection.
async fn answer_with(answer: &'static str) -> ErrorKind {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let answering = async {
        let (mut stream, _) = server.accept().await.unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    let transport = transport();
    let (connected, ()) = tokio::join!(transport.connect(&url), answering);
    connected.unwrap_err().kind()
}

#[tokio::test]
async fn a_web_server_is_no_grid_and_a_busy_proxy_is_worth_a_retry() {
    assert_eq!(
        answer_with("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await,
        ErrorKind::Protocol
    );
    assert_eq!(
        answer_with("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await,
        ErrorKind::Unavailable
    );
    assert_eq!(
        answer_with("SSH-2.0-OpenSSH\r\n\r\n").await,
        ErrorKind::Protocol
    );
    assert_eq!(answer_with("").await, ErrorKind::Unavailable);
}

#[tokio::test]
async fn closing_does_not_wait_for_ever_for_a_peer_that_is_stuck() {
    let runtime = Hasty(TokioRuntime::current().unwrap());
    let transport = WebSocketTransport::new(Arc::new(runtime));
    let (listener, _) = listen(&transport).await;
    let (stuck, ours) = raw_pair(&listener).await;
    ours.close().await;
    drop(stuck);
    assert_eq!(receive(&ours).await, Err(ErrorKind::Closed));
}
