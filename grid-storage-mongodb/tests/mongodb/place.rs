//! A database of one's own on the server of the tests, and a tokio runtime around it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use grid_core::Result;
use grid_core::traits::Runtime;
use grid_runtime_tokio::TokioRuntime;
use grid_storage_mongodb::{MongoOptions, MongoPersistence};
use grid_testkit::servers::mongodb_url;
use mongodb::{Client, Database};

/// A database that no other test uses; removed when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    server: String,
    name: String,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::on(mongodb_url())
    }

    /// A place on the server at `url`.
    pub(crate) fn on(server: String) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::disallowed_methods, reason = "a name that no earlier run left")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            server,
            name: format!("test_{:x}_{}_{number}", now.as_micros(), std::process::id()),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// The place as a URL.
    pub(crate) fn url(&self) -> String {
        let (scheme, rest) = self.server.split_once("://").unwrap();
        let (host, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let host = host.split('/').next().unwrap();
        // The default of the system's databases, should the URL name a user.
        format!("{scheme}://{host}/{}?{parameters}", self.name)
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) async fn open(&self) -> Result<MongoPersistence> {
        open(&self.url()).await
    }

    /// The database, for somebody who reads it.
    pub(crate) async fn database(&self) -> Database {
        let client = Client::with_uri_str(&self.server).await.unwrap();
        client.database(&self.name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let removed = self.runtime.block_on(async {
            let client = Client::with_uri_str(&self.server).await?;
            client.database(&self.name).drop().await
        });
        if let Err(error) = removed {
            eprintln!("the database {} is left behind: {error}", self.name);
        }
    }
}

pub(crate) async fn open(url: &str) -> Result<MongoPersistence> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current()?);
    MongoPersistence::open(MongoOptions::from_url(url).await?, runtime).await
}
