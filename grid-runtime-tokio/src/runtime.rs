//! The `Runtime` of programs that run on tokio.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grid_core::traits::Runtime;
use grid_core::{BoxFuture, Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tracing::Instrument;

/// Tasks, time and chance from a tokio runtime, the system's clocks and the system's generator.
///
/// ```
/// use grid_core::traits::Runtime;
/// use grid_runtime_tokio::TokioRuntime;
///
/// # let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # tokio.block_on(async {
/// let runtime = TokioRuntime::current()?;
/// runtime.sleep(std::time::Duration::from_millis(1)).await;
/// assert_ne!(runtime.random(), runtime.random());
/// # Ok::<(), grid_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct TokioRuntime {
    handle: Handle,
    origin: tokio::time::Instant,
}

impl TokioRuntime {
    /// The runtime that this code runs on; its time driver must be enabled.
    ///
    /// # Errors
    /// `Unsupported` outside a tokio runtime.
    pub fn current() -> Result<Self> {
        let handle = Handle::try_current().map_err(|error| {
            Error::new(
                ErrorKind::Unsupported,
                "find tokio runtime",
                "there is none here; call this from within `#[tokio::main]` or `block_on`",
            )
            .with_source(error)
        })?;
        Ok(Self::new(handle))
    }

    /// The runtime behind `handle`; its time driver must be enabled.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        let origin = {
            let _context = handle.enter();
            tokio::time::Instant::now()
        };
        Self { handle, origin }
    }

    #[cfg(unix)]
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Runtime for TokioRuntime {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let span = tracing::debug_span!("task", name);
        self.handle.spawn(task.instrument(span));
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _context = self.handle.enter();
        #[expect(
            clippy::disallowed_methods,
            reason = "this is what Runtime::sleep stands for"
        )]
        Box::pin(tokio::time::sleep(duration))
    }

    fn now_ms(&self) -> u64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is what Runtime::now_ms stands for"
        )]
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn random(&self) -> u64 {
        #[expect(
            clippy::expect_used,
            reason = "a system without randomness cannot name runs apart, so nothing may go on"
        )]
        getrandom::u64().expect("the operating system gives random numbers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_tokio_there_is_no_runtime() {
        let error = TokioRuntime::current().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[tokio::test]
    async fn a_spawned_task_runs_and_outlives_its_spawner() {
        let runtime = TokioRuntime::current().unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        runtime.spawn(
            "test",
            Box::pin(async move { sender.send(7).expect("somebody waits") }),
        );
        drop(runtime);
        assert_eq!(receiver.await, Ok(7));
    }

    #[tokio::test]
    async fn sleeping_takes_as_long_as_was_asked() {
        let runtime = TokioRuntime::current().unwrap();
        let before = runtime.monotonic();
        runtime.sleep(Duration::from_millis(5)).await;
        assert!(runtime.monotonic() - before >= Duration::from_millis(5));
    }

    #[test]
    fn sleep_can_be_asked_for_outside_the_runtime() {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let runtime = TokioRuntime::new(tokio.handle().clone());
        let sleep = runtime.sleep(Duration::from_millis(1));
        tokio.block_on(sleep);
    }

    #[test]
    fn the_wall_clock_is_in_milliseconds_since_1970() {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let now = TokioRuntime::new(tokio.handle().clone()).now_ms();
        let year_2025 = 1_735_689_600_000;
        let year_2200 = 7_258_118_400_000;
        assert!((year_2025..year_2200).contains(&now), "{now}");
    }
}
