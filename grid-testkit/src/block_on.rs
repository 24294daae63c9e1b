//! Running one future to its end on the calling thread, without a runtime.

use std::future::Future;

/// Runs `future` to its end on this thread.
///
/// No tokio context is entered: for a backend that needs one, enter it in the fixture.
///
/// ```
/// assert_eq!(grid_testkit::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}
