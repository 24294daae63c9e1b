//! A server's admin listener, asked over HTTP.

use std::time::Duration;

use hybrid_grid::{Error, ErrorKind};
use serde_json::Value;

use crate::exit::{Result, Stop, usage};

/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// How long an answer may take unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A server's admin listener.
#[derive(Debug)]
pub(crate) struct AdminClient {
    agent: ureq::Agent,
    url: String,
}

/// An answer, of whatever code.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: String,
    url: String,
}

impl AdminClient {
    /// Of the listener at `url`, of which `http://` may be left out.
    ///
    /// # Errors
    /// [`Stop::Usage`] when it is a URL of another kind.
    pub(crate) fn new(url: &str, timeout: Option<f64>) -> Result<Self> {
        let url = match url.split_once("://") {
            None => format!("http://{url}"),
            Some(("http", _)) => url.to_owned(),
            Some((scheme, _)) => {
                let message = format!(
                    "--admin must be http://HOST:PORT, and this is a URL of `{scheme}`: the \
                     server says `admin on http://…` when it starts"
                );
                return Err(usage("ask admin listener", message));
            }
        };
        let timeout = timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs_f64);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            // The listener is on this machine, or at an address that was named on purpose.
            .proxy(None)
            .max_redirects(0)
            .build();
        Ok(Self {
            agent: config.into(),
            url: url.trim_end_matches('/').to_owned(),
        })
    }

    /// # Errors
    /// `Unavailable` when nobody answers, `Protocol` when it is not HTTP.
    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        self.answer(self.agent.get(self.at(path)).call())
    }

    /// # Errors
    /// As [`AdminClient::get`].
    pub(crate) fn post(&self, path: &str) -> Result<Answer> {
        self.answer(self.agent.post(self.at(path)).send_empty())
    }

    /// # Errors
    /// As [`AdminClient::get`].
    pub(crate) fn delete(&self, path: &str) -> Result<Answer> {
        self.answer(self.agent.delete(self.at(path)).call())
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn answer(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer> {
        let read = answer.and_then(|mut answer| {
            let code = answer.status().as_u16();
            let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES);
            Ok((code, body.read_to_string()?))
        });
        match read {
            Ok((code, body)) => Ok(Answer {
                code,
                body,
                url: self.url.clone(),
            }),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: ureq::Error) -> Stop {
        let (kind, message) = match &error {
            ureq::Error::BadUri(_) => {
                return usage(
                    "ask admin listener",
                    format!("--admin must be http://HOST:PORT, and is {}", self.url),
                );
            }
            ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => (
                ErrorKind::Unavailable,
                "no server answers operators there: is grid-server running, and is this its \
                 `admin`? Another address is named with --admin",
            ),
            ureq::Error::Timeout(_) => (
                ErrorKind::Timeout,
                "the server does not answer; wait longer with --timeout",
            ),
            _ => (
                ErrorKind::Protocol,
                "what answers there is no admin listener of a grid-server",
            ),
        };
        let error = Error::new(kind, "ask admin listener", message)
            .with("url", &self.url)
            .with_source(error);
        Stop::Failed(error)
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// `Protocol` when it is not.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).map_err(|error| {
            let message = "what answers there is no admin listener of a grid-server";
            let error = Error::new(ErrorKind::Protocol, "ask admin listener", message)
                .with("url", &self.url)
                .with("code", self.code)
                .with_source(error);
            Stop::Failed(error)
        })
    }

    /// What the server says is wrong.
    ///
    /// # Errors
    /// `Protocol` when it does not say it as a grid-server does.
    pub(crate) fn refusal(&self) -> Result<String> {
        let body = self.json()?;
        let message = body["error"]["message"].as_str();
        let without = || format!("the server answers with {}", self.code);
        Ok(message.map_or_else(without, str::to_owned))
    }
}
