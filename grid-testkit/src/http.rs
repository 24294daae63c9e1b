//! One HTTP request to a server of one's own, with any headers: those that a library would refuse
//! to send are what a test of a server is about.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The status line and the headers.
    pub head: String,
    /// What follows.
    pub body: String,
}

/// Asks the server of `url` (`http://HOST:PORT`) for `path`, with these lines of header beside
/// `Host`, which is that of the URL unless one of them is it.
///
/// # Errors
/// When the server cannot be reached, does not speak HTTP, or does not answer within a minute.
pub async fn ask(url: &str, method: &str, path: &str, headers: &[&str]) -> io::Result<Answer> {
    let asked = answer(url, method, path, headers);
    #[expect(
        clippy::disallowed_methods,
        reason = "real servers answer in real time"
    )]
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    asked.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
}

async fn answer(url: &str, method: &str, path: &str, headers: &[&str]) -> io::Result<Answer> {
    let address = url.strip_prefix("http://").unwrap_or(url);
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    let names_host = |line: &str| line.to_ascii_lowercase().starts_with("host:");
    if !headers.iter().any(|line| names_host(line)) {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for line in headers.iter().chain(&[""]) {
        request.push_str(line);
        request.push_str("\r\n");
    }
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| io::Error::other(format!("this is no HTTP: {text}")))?;
    Ok(Answer {
        code,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
