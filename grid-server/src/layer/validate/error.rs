//! Why a request is not within bounds.

use grid_core::{Error, ErrorKind};

/// A client broke the protocol.
pub(super) fn broken(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Protocol, "validate", message)
}

/// A client has more on the way than its window.
pub(super) fn beyond_window(unanswered: usize, window: usize) -> Error {
    Error::new(
        ErrorKind::Overloaded,
        "validate",
        format!("{unanswered} ops without an answer; the window is {window}"),
    )
}

/// A connection follows as many views as it may.
pub(super) fn too_many_views(most: usize) -> Error {
    Error::new(
        ErrorKind::Overloaded,
        "validate",
        format!("a connection may follow {most} views; unsubscribe from some"),
    )
}

/// A connection brings more runs than one may. The next one begins to count anew.
pub(super) fn too_many_runs(most: usize) -> Error {
    Error::new(
        ErrorKind::Overloaded,
        "validate",
        format!("a connection may push ops of {most} runs; connect again for the others"),
    )
}
