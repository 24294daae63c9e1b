//! Where the database is, and the bounds that its use keeps.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use grid_core::limits::LATE_STORE_MS;
use grid_core::{Error, ErrorKind, Result};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// The longest name that PostgreSQL keeps whole, in bytes.
const MAX_SCHEMA_BYTES: usize = 63;
/// Longest that the bounds may be, in seconds. That of a statement is a third of what the grid
/// takes for the end of a store whose client is gone.
const MAX_CONNECT_TIMEOUT_S: u32 = 24 * 60 * 60;
const MAX_STATEMENT_TIMEOUT_S: u32 = 300;
const _: () = assert!(MAX_STATEMENT_TIMEOUT_S as u64 * 3_000 <= LATE_STORE_MS);

/// What the server's list of connections shows.
const APPLICATION_NAME: &str = "hybrid-grid";

/// The parameters that are libpq's, as far as sqlx knows them.
const PASSED_ON: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// What libpq's parameter `sslmode` may say.
const SSL_MODES: &[&str] = &[
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// Where the database is, and the bounds that its use keeps.
///
/// A URL sets all of it. Beside libpq's parameters it may have these:
///
/// | parameter | means | unless given |
/// | --- | --- | --- |
/// | `schema` | the schema of the tables: lower-case letters, digits and `_` | `grid` |
/// | `max_connections` | most connections at once | 8 |
/// | `connect_timeout` | seconds that making a connection may take | 10 |
/// | `statement_timeout` | seconds that one statement may take, at most 300 | 30 |
///
/// `statement_timeout` has its bound because PostgreSQL goes on with a statement whose client is
/// gone, and the grid takes it that nothing of a store that failed comes later than
/// [`LATE_STORE_MS`].
///
/// `Debug` shows no password, and none of what else stands in the URL.
///
/// ```
/// use grid_storage_postgres::PostgresOptions;
///
/// let options = PostgresOptions::from_url("postgres://grid:secret@db.local/shop?schema=carts")?;
/// assert_eq!(options.to_string(), "db.local:5432/shop, schema carts");
/// assert!(!format!("{options:?}").contains("secret"));
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Clone)]
pub struct PostgresOptions {
    connect: PgConnectOptions,
    schema: String,
    max_connections: u32,
    connect_timeout: Duration,
    statement_timeout: Duration,
}

impl PostgresOptions {
    /// What `url` says.
    ///
    /// # Errors
    /// `Invalid` when it is no URL of a PostgreSQL database, or a parameter is not known or not
    /// what it must be. No part of the URL is shown: any may hold a password by mistake.
    pub fn from_url(url: &str) -> Result<Self> {
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err(invalid(
                "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE",
            ));
        }
        let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
        // A password with a `/` in it would be taken for a database, whose name errors show.
        let path = base.splitn(4, '/').nth(3).unwrap_or_default();
        if path.contains(['@', '/']) {
            return Err(unreadable());
        }
        let mut ours = Ours::default();
        let mut passed_on = Vec::new();
        for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !ours.take(name, value)? {
                let known = name.split('[').next().unwrap_or(name);
                if !PASSED_ON.contains(&known) {
                    return Err(unknown_parameter());
                }
                if name == "sslmode" && !SSL_MODES.contains(&value) {
                    return Err(invalid(&format!("`sslmode` must be one of {SSL_MODES:?}")));
                }
                passed_on.push(parameter);
            }
        }
        let url = format!("{base}?{}", passed_on.join("&"));
        let mut connect = PgConnectOptions::from_str(url.trim_end_matches('?'))
            // What the parser says may quote the URL.
            .map_err(|_| unreadable())?
            .disable_statement_logging();
        if connect.get_application_name().is_none() {
            connect = connect.application_name(APPLICATION_NAME);
        }
        let statement_timeout = ours.statement_timeout;
        Ok(Self {
            connect: connect.options([("statement_timeout", statement_timeout.as_millis())]),
            schema: ours.schema,
            max_connections: ours.max_connections,
            connect_timeout: ours.connect_timeout,
            statement_timeout,
        })
    }

    pub(crate) fn connect(&self) -> &PgConnectOptions {
        &self.connect
    }

    /// The schema, which needs no quoting.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    pub(crate) fn max_connections(&self) -> u32 {
        self.max_connections
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// How long a whole call may take: the server may never answer, so its own bound is not enough.
    pub(crate) fn call_timeout(&self) -> Duration {
        self.connect_timeout + self.statement_timeout
    }
}

/// Where the database is, for messages.
impl fmt::Display for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connect = &self.connect;
        let database = connect.get_database().unwrap_or("");
        let (host, port) = (connect.get_host(), connect.get_port());
        write!(f, "{host}:{port}/{database}, schema {}", self.schema)
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresOptions({self})")
    }
}

/// The parameters that are not libpq's.
#[derive(Debug)]
struct Ours {
    schema: String,
    max_connections: u32,
    connect_timeout: Duration,
    statement_timeout: Duration,
}

impl Default for Ours {
    fn default() -> Self {
        Self {
            schema: "grid".to_owned(),
            max_connections: 8,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

impl Ours {
    /// Takes the parameter if it is one of these.
    fn take(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "schema" => self.schema = schema_name(value)?,
            "max_connections" => self.max_connections = number(value, "max_connections", 1_000)?,
            "connect_timeout" => {
                let seconds = number(value, "connect_timeout", MAX_CONNECT_TIMEOUT_S)?;
                self.connect_timeout = Duration::from_secs(seconds.into());
            }
            "statement_timeout" => {
                self.statement_timeout = statement_timeout(value)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn schema_name(value: &str) -> Result<String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let starts = value
        .bytes()
        .next()
        .is_some_and(|byte| !byte.is_ascii_digit());
    if !starts || value.len() > MAX_SCHEMA_BYTES || !value.bytes().all(fits) {
        return Err(invalid(
            "`schema` must be 1 to 63 lower-case letters, digits or `_`, and not start with a digit",
        ));
    }
    if value.starts_with("pg_") || value == "information_schema" {
        return Err(invalid(
            "`schema` names one that belongs to PostgreSQL; choose another",
        ));
    }
    Ok(value.to_owned())
}

fn statement_timeout(value: &str) -> Result<Duration> {
    let seconds = number(value, "statement_timeout", MAX_STATEMENT_TIMEOUT_S).map_err(|error| {
        invalid(&format!(
            "{} (seconds): PostgreSQL goes on with a statement whose client is gone, and nothing may \
             be stored later than {} minutes after its call has failed",
            error.message(),
            LATE_STORE_MS / 60_000
        ))
    })?;
    Ok(Duration::from_secs(seconds.into()))
}

fn number(value: &str, name: &str, most: u32) -> Result<u32> {
    match value.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(invalid(&format!(
            "`{name}` must be a number from 1 to {most}"
        ))),
    }
}

fn unreadable() -> Error {
    invalid("the URL cannot be read; special characters in names and passwords are written as %XX")
}

fn unknown_parameter() -> Error {
    invalid(
        "a parameter after `?` is not known; beside libpq's there are schema, max_connections, \
         connect_timeout and statement_timeout",
    )
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, "open postgres", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_sets_everything() {
        let url = "postgresql://u:p%40ss@h:6/d?schema=a_1&max_connections=2&sslmode=disable&\
                   connect_timeout=3&statement_timeout=4&options[search_path]=x";
        let options = PostgresOptions::from_url(url).unwrap();
        assert_eq!(options.to_string(), "h:6/d, schema a_1");
        assert_eq!(options.max_connections(), 2);
        assert_eq!(options.connect_timeout(), Duration::from_secs(3));
        assert_eq!(options.call_timeout(), Duration::from_secs(7));
        let said = options.connect().get_options().unwrap();
        assert!(said.contains("statement_timeout=4000"), "{said}");
        assert!(said.contains("search_path=x"), "{said}");
    }

    #[test]
    fn no_statement_takes_longer_than_its_own_bound_whatever_else_the_url_says() {
        let url = "postgres://h/d?options[statement_timeout]=0&statement_timeout=300";
        let options = PostgresOptions::from_url(url).unwrap();
        let said = options.connect().get_options().unwrap();
        let (_, last) = said.rsplit_once("statement_timeout=").unwrap();
        assert!(last.starts_with("300000"), "the last one counts: {said}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_showing_a_secret() {
        for (url, part) in [
            ("mysql://u:secret@h/d", "expected postgres://"),
            ("postgres:u:secret@h/d", "expected postgres://"),
            ("postgres://u:secret@h:port/d", "cannot be read"),
            ("postgres://u:12/secret@h/d", "cannot be read"),
            ("postgres://u:secret@h/d?port=secret", "cannot be read"),
            ("postgres://u:p@h/d?hostaddr=secret", "cannot be read"),
            ("postgres://u:p@h/d?sslmode=secret", "`sslmode`"),
            ("postgres://u:secret@h/d?shema=x", "schema, max_connections"),
            ("postgres://u:a?secret@h/d", "parameter"),
            ("postgres://u:secret@h/d?schema=", "`schema`"),
            ("postgres://u:secret@h/d?schema=x;drop", "`schema`"),
            ("postgres://u:secret@h/d?schema=1x", "`schema`"),
            (
                "postgres://u:secret@h/d?schema=pg_catalog",
                "belongs to PostgreSQL",
            ),
            (
                "postgres://u:secret@h/d?max_connections=0",
                "`max_connections`",
            ),
            (
                "postgres://u:secret@h/d?connect_timeout=soon",
                "`connect_timeout`",
            ),
            (
                "postgres://u:secret@h/d?statement_timeout=-1",
                "`statement_timeout`",
            ),
            (
                "postgres://u:secret@h/d?statement_timeout=0",
                "`statement_timeout` must be a number from 1 to 300",
            ),
            (
                "postgres://u:secret@h/d?statement_timeout=301",
                "goes on with a statement whose client is gone",
            ),
        ] {
            let error = PostgresOptions::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            let text = format!("{error} {error:?}");
            assert!(text.contains(part), "{part:?} is not in {text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
