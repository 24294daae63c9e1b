//! What happens in the middle of something else.

use std::fmt;

use grid_core::BoxFuture;
use tokio::sync::Mutex;

/// Something that happens once, when it is told to.
#[derive(Default)]
pub(crate) struct Meanwhile(Mutex<Option<BoxFuture<'static, ()>>>);

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Meanwhile {
    pub(crate) fn new(what: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::pin(what))))
    }

    /// From now on, `what` is what will happen.
    pub(crate) async fn prepare(&self, what: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().await = Some(Box::pin(what));
    }

    pub(crate) async fn happens(&self) {
        let what = self.0.lock().await.take();
        if let Some(what) = what {
            what.await;
        }
    }
}
