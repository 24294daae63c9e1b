//! Where the database is, and the bounds that its use keeps.

use std::fmt;
use std::time::Duration;

use grid_core::{Error, ErrorKind, Result};
use mongodb::options::ClientOptions;

/// What the server's log shows.
const APPLICATION_NAME: &str = "hybrid-grid";
/// Most connections to each server unless the URL says another number.
const MAX_CONNECTIONS: u32 = 8;
/// How long to look for a server that can be written to, unless the URL says.
const SELECTION: Duration = Duration::from_secs(5);
/// How long all answers of a call may take beyond that: a slow server must get through a batch of
/// thousands of documents, which would come back to it otherwise.
pub(crate) const ANSWERS: Duration = Duration::from_secs(60);

/// Where the database is, and the bounds that its use keeps.
///
/// The URL is MongoDB's, with all its parameters. Unless it says otherwise, at most 8 connections
/// are made (`maxPoolSize`), and a server to write to is looked for during 5 seconds
/// (`serverSelectionTimeoutMS`). A call takes at most 60 seconds more than that, whatever the size
/// of its batch; then it fails, to be tried again. What is written is always acknowledged by a
/// majority and journaled.
///
/// `Debug` shows hosts and database, and nothing else of the URL.
#[derive(Clone)]
pub struct MongoOptions {
    client: ClientOptions,
    database: String,
}

impl MongoOptions {
    /// What `url` says.
    ///
    /// # Errors
    /// `Invalid` when it is no URL of a MongoDB database, or names none. No part of the URL is
    /// shown: any may hold a password by mistake.
    pub async fn from_url(url: &str) -> Result<Self> {
        if !url.starts_with("mongodb://") {
            return Err(invalid(
                "expected mongodb://USER:PASSWORD@HOST:PORT/DATABASE",
            ));
        }
        let (base, _) = url.split_once('?').unwrap_or((url, ""));
        // A password with a `/` in it would be taken for a database, whose name errors show.
        let path = base.splitn(4, '/').nth(3).unwrap_or_default();
        if path.contains(['@', '/']) {
            return Err(unreadable());
        }
        // What the parser says of a URL may quote it.
        let mut client = ClientOptions::parse(url).await.map_err(|_| unreadable())?;
        let database = client
            .default_database
            .clone()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                invalid("the URL names no database; write mongodb://HOST:PORT/DATABASE")
            })?;
        client
            .app_name
            .get_or_insert_with(|| APPLICATION_NAME.to_owned());
        client.max_pool_size.get_or_insert(MAX_CONNECTIONS);
        client.server_selection_timeout.get_or_insert(SELECTION);
        Ok(Self { client, database })
    }

    pub(crate) fn client(&self) -> &ClientOptions {
        &self.client
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// How long a whole call may take, however many commands it is: the server may never answer.
    pub(crate) fn call_timeout(&self) -> Duration {
        self.client.server_selection_timeout.unwrap_or(SELECTION) + ANSWERS
    }
}

/// Where the database is, for messages.
impl fmt::Display for MongoOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.client.hosts.iter().enumerate() {
            write!(f, "{}{host}", if index == 0 { "" } else { "," })?;
        }
        write!(f, "/{}", self.database)
    }
}

impl fmt::Debug for MongoOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MongoOptions({self})")
    }
}

fn unreadable() -> Error {
    invalid("the URL cannot be read; special characters in names and passwords are written as %XX")
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, "open mongodb", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<MongoOptions> {
        grid_testkit::block_on(MongoOptions::from_url(url))
    }

    #[test]
    fn a_url_names_hosts_and_database_and_keeps_its_secret() {
        let options = read("mongodb://u:s3cret@a:1,b:2/shop?maxPoolSize=3").unwrap();
        assert_eq!(options.to_string(), "a:1,b:2/shop");
        assert!(!format!("{options:?}").contains("s3cret"));
        assert_eq!(options.client().max_pool_size, Some(3));
        assert_eq!(options.client().server_selection_timeout, Some(SELECTION));
        assert_eq!(options.client().app_name.as_deref(), Some(APPLICATION_NAME));
        assert_eq!(options.call_timeout(), Duration::from_secs(65));
        let options = read("mongodb://h/d?serverSelectionTimeoutMS=3000").unwrap();
        assert_eq!(options.call_timeout(), Duration::from_secs(63));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_showing_a_secret() {
        for (url, part) in [
            ("postgres://u:s3cret@h/d", "expected mongodb://"),
            ("mongodb://u:s3cret@h", "names no database"),
            ("mongodb://u:s3cret@h/", "names no database"),
            ("mongodb://u:s3@cret@h/d", "cannot be read"),
            ("mongodb://u:12/s3cret@h/d", "cannot be read"),
            ("mongodb://u:s3cret@h:port/d", "cannot be read"),
            ("mongodb://u:p@h/d?maxPoolSize=s3cret", "cannot be read"),
        ] {
            let error = read(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            let text = format!("{error} {error:?}");
            assert!(text.contains(part), "{part:?} is not in {text}");
            assert!(!text.contains("s3"), "{text}");
        }
    }
}
