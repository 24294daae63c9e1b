//! The one error type of the grid: a kind to act on, a sentence to read.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything in the grid that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for code to branch on. Behaviour follows the kind, never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller passed something that can never work: an empty key, an unknown URL scheme.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// The backend declares that it cannot do this; see its capability record. Or this version does
    /// not know a part of what is asked.
    Unsupported,
    /// The other side cannot be reached now.
    Unavailable,
    /// The other side did not answer in time; what it did is unknown.
    Timeout,
    /// Stored or received bytes are damaged.
    Corrupt,
    /// Something exceeds a named bound.
    TooLarge,
    /// The disk, quota or buffer has no room left.
    Full,
    /// Another process or owner holds the thing.
    Locked,
    /// A precondition did not hold: a lost compare-and-set, a moved tail, a stale epoch.
    Conflict,
    /// A journal and a system of record do not follow on each other: one of them was lost, replaced
    /// or restored from a backup. A person has to decide which of them is the truth.
    Diverged,
    /// The peer broke the protocol.
    Protocol,
    /// The two sides share no version of a protocol or of a stored format.
    Version,
    /// The caller is not known.
    Unauthorized,
    /// The caller is known and may not do this.
    Forbidden,
    /// The callee has too much to do; try again later.
    Overloaded,
    /// The connection, store or server was closed.
    Closed,
    /// The operating system refused an operation for a reason of its own.
    Io,
    /// A bug in the grid or in a plug-in.
    Internal,
}

impl ErrorKind {
    /// Whether the same call may succeed later without the caller changing anything.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::Timeout | Self::Overloaded | Self::Full
        )
    }

    /// The kind's stable name, as logs and metrics show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not found",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Corrupt => "corrupt",
            Self::TooLarge => "too large",
            Self::Full => "full",
            Self::Locked => "locked",
            Self::Conflict => "conflict",
            Self::Diverged => "diverged",
            Self::Protocol => "protocol",
            Self::Version => "version",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Overloaded => "overloaded",
            Self::Closed => "closed",
            Self::Io => "i/o",
            Self::Internal => "internal",
        }
    }
}

type Source = Box<dyn StdError + Send + Sync + 'static>;

struct Inner {
    kind: ErrorKind,
    retryable: bool,
    operation: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Source>,
}

/// An error: its kind, whether a retry can help, the operation, what to do, and its source.
///
/// ```
/// use grid_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Locked, "open store", "another process has it open; stop it")
///     .with("path", "notes.db");
/// assert_eq!(error.kind(), ErrorKind::Locked);
/// assert!(!error.is_retryable());
/// assert_eq!(
///     error.to_string(),
///     "open store: another process has it open; stop it (locked, path: notes.db)"
/// );
/// ```
pub struct Error(Box<Inner>);

impl Error {
    /// An error of `kind` in `operation`; `message` names the thing and what to do.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            retryable: kind.is_retryable(),
            operation,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// Adds a named fact. Never put a secret here.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Overrides whether a retry can help.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// The same error for another who waits for the same thing; its source is only text then.
    ///
    /// ```
    /// use grid_core::{Error, ErrorKind};
    ///
    /// let full = Error::new(ErrorKind::Full, "apply batch", "the disk is full")
    ///     .with("path", "notes.db")
    ///     .with_source("error 13");
    /// assert_eq!(full.share().to_string(), full.to_string());
    /// assert_eq!(full.share().is_retryable(), full.is_retryable());
    /// ```
    #[must_use]
    pub fn share(&self) -> Self {
        let inner = &*self.0;
        Self(Box::new(Inner {
            kind: inner.kind,
            retryable: inner.retryable,
            operation: inner.operation,
            message: inner.message.clone(),
            context: inner.context.clone(),
            source: inner
                .source
                .as_ref()
                .map(|source| source.to_string().into()),
        }))
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without the caller changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The operation that failed.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The sentence that names the thing and what to do.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        write!(
            f,
            "{}: {} ({}",
            inner.operation,
            inner.message,
            inner.kind.name()
        )?;
        for (name, value) in &inner.context {
            write!(f, ", {name}: {value}")?;
        }
        f.write_str(")")?;
        if let Some(source) = &inner.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}
