//! A server of MongoDB's protocol that knows nobody: for what the stand-in for MongoDB cannot do,
//! which is to ask for a password.
//!
//! Messages: <https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/>, documents:
//! <https://bsonspec.org/spec.html>.

use std::io;
use std::net::SocketAddr;

use futures::future::{Either, select};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A reply to a message of old, which greetings still are.
const OP_REPLY: i32 = 1;
/// A message of old.
const OP_QUERY: i32 = 2004;
/// A message.
const OP_MSG: i32 = 2013;
/// The largest message that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// A server that refuses every password, and everything else before that. Ends when dropped.
#[derive(Debug)]
pub struct MongoDoor {
    address: SocketAddr,
    _open: watch::Sender<()>,
}

impl MongoDoor {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (open, is_open) = watch::channel(());
        spawn(until_gone(is_open.clone(), async move {
            while let Ok((client, _)) = listener.accept().await {
                let answering = async {
                    // A client that breaks off has heard enough.
                    drop(answer_all(client).await);
                };
                spawn(until_gone(is_open.clone(), answering));
            }
        }));
        Ok(Self {
            address,
            _open: open,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the door is made of real sockets on tokio"
    )]
    tokio::spawn(task);
}

/// Runs a task until it or the [`MongoDoor`] is gone.
async fn until_gone(mut is_open: watch::Receiver<()>, task: impl Future<Output = ()>) {
    let gone = std::pin::pin!(async { while is_open.changed().await.is_ok() {} });
    match select(std::pin::pin!(task), gone).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}

async fn answer_all(mut client: TcpStream) -> io::Result<()> {
    loop {
        let length = usize::try_from(client.read_i32_le().await?);
        let length = length
            .ok()
            .filter(|length| (16..=MAX_BYTES).contains(length));
        let length = length.ok_or(io::ErrorKind::InvalidData)?;
        let mut rest = vec![0; length - 4];
        client.read_exact(&mut rest).await?;
        let answer = answer(&rest).ok_or(io::ErrorKind::InvalidData)?;
        client.write_all(&answer).await?;
    }
}

/// The answer to a message without its length.
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let request = message.get(..4)?;
    let code = i32::from_le_bytes(message.get(8..12)?.try_into().ok()?);
    let body = message.get(12..)?;
    let (code, mut payload, document) = match code {
        OP_MSG => (OP_MSG, vec![0; 5], body.get(5..)?),
        OP_QUERY => {
            let name = body.get(4..)?;
            let end = name.iter().position(|byte| *byte == 0)?;
            // Flags and cursor 0, no skips, one document.
            let mut payload = vec![0; 16];
            payload.extend(1_i32.to_le_bytes());
            (OP_REPLY, payload, name.get(end + 9..)?)
        }
        _ => return None,
    };
    payload.extend(reply(command(document)?));
    let length = i32::try_from(16 + payload.len()).ok()?;
    let mut answer = length.to_le_bytes().to_vec();
    answer.extend([0; 4]);
    answer.extend(request);
    answer.extend(code.to_le_bytes());
    answer.extend(payload);
    Some(answer)
}

/// The name of a command: that of the first element of its document.
fn command(document: &[u8]) -> Option<&str> {
    let name = document.get(5..)?;
    let end = name.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&name[..end]).ok()
}

fn reply(command: &str) -> Vec<u8> {
    let refusal = |code: i32, name: &str, message: &str| {
        document(&[
            float("ok", 0.0),
            text("errmsg", message),
            int("code", code),
            text("codeName", name),
        ])
    };
    match command {
        "hello" | "isMaster" | "ismaster" => document(&[
            boolean("ismaster", true),
            boolean("isWritablePrimary", true),
            boolean("helloOk", true),
            int("maxBsonObjectSize", 16 << 20),
            int("maxMessageSizeBytes", 48_000_000),
            int("maxWriteBatchSize", 100_000),
            int("minWireVersion", 0),
            int("maxWireVersion", 21),
            float("ok", 1.0),
        ]),
        "saslStart" | "saslContinue" => {
            refusal(18, "AuthenticationFailed", "Authentication failed.")
        }
        other => {
            let message = format!("Command {other} requires authentication");
            refusal(13, "Unauthorized", &message)
        }
    }
}

fn document(elements: &[Vec<u8>]) -> Vec<u8> {
    let elements = elements.concat();
    let length = i32::try_from(elements.len() + 5).unwrap_or(i32::MAX);
    [&length.to_le_bytes(), &*elements, &[0]].concat()
}

fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind], name.as_bytes(), &[0], value].concat()
}

fn float(name: &str, value: f64) -> Vec<u8> {
    element(0x01, name, &value.to_le_bytes())
}

fn text(name: &str, value: &str) -> Vec<u8> {
    let length = i32::try_from(value.len() + 1).unwrap_or(i32::MAX);
    let value = [&length.to_le_bytes(), value.as_bytes(), &[0]].concat();
    element(0x02, name, &value)
}

fn boolean(name: &str, value: bool) -> Vec<u8> {
    element(0x08, name, &[value.into()])
}

fn int(name: &str, value: i32) -> Vec<u8> {
    element(0x10, name, &value.to_le_bytes())
}
