//! The asynchronous face: calls become messages to the disk's thread.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::Result;
use grid_core::traits::{AppendFailure, Disk, check_file_name};
use tokio::sync::{mpsc, oneshot};

use super::answers::Answers;
use super::error;
use super::files::Files;
use crate::TokioRuntime;

/// Calls that may wait for the disk's thread; more wait in their callers.
const QUEUE_CALLS: usize = 64;

type Job = Box<dyn FnOnce(&mut Files, &mut Answers) + Send>;

/// The files of one directory, as a `Disk`.
///
/// One thread makes all calls, in the order in which they were made, so that a call whose future
/// was dropped is over before the next one on that file starts. It ends when the last clone is
/// dropped.
///
/// ```no_run
/// use grid_core::traits::Disk;
/// use grid_runtime_tokio::{FileDisk, TokioRuntime};
///
/// # async fn example() -> grid_core::Result<()> {
/// let disk = FileDisk::open_on("grid-data/journal", &TokioRuntime::current()?)?;
/// disk.append("notes", "one line\n".into()).await?;
/// disk.sync("notes").await?; // from here on it survives a power cut
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FileDisk {
    directory: PathBuf,
    jobs: mpsc::Sender<Job>,
}

impl FileDisk {
    /// Opens `directory`, creating it and its parents if absent. It blocks for that long. Works
    /// under any runtime, or none.
    ///
    /// # Errors
    /// `Full` or `Io`, naming the path.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        Self::answering(directory.as_ref(), Answers::Direct)
    }

    /// [`open`](Self::open) for callers that run on `runtime`, whose I/O driver must be enabled:
    /// they are woken through it, which costs a runtime of many threads much less. Others may call
    /// as well, also when that runtime has ended; but while it exists, somebody has to drive it, as
    /// a runtime of many threads does by itself.
    ///
    /// # Errors
    /// `Full` or `Io`, naming the path.
    ///
    /// # Panics
    /// If the I/O driver of `runtime` is not enabled.
    pub fn open_on(directory: impl AsRef<Path>, runtime: &TokioRuntime) -> Result<Self> {
        let directory = directory.as_ref();
        let answers = Answers::by_task(runtime.handle())
            .map_err(|cause| error::at("make a pipe for the disk at", directory, cause))?;
        Self::answering(directory, answers)
    }

    fn answering(directory: &Path, mut answers: Answers) -> Result<Self> {
        let directory = directory.to_owned();
        let mut files = Files::open(&directory)?;
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE_CALLS);
        std::thread::Builder::new()
            .name("grid-disk".to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut files, &mut answers);
                }
            })
            .map_err(|cause| error::at("start the disk's thread", &directory, cause))?;
        Ok(Self { directory, jobs })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        file: &str,
        job: impl FnOnce(&mut Files, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.answer(operation, file, job).await?
    }

    /// What `job` answers, whatever that is.
    async fn answer<T: Send + 'static>(
        &self,
        operation: &'static str,
        file: &str,
        job: impl FnOnce(&mut Files, &str) -> T + Send + 'static,
    ) -> Result<T> {
        check_file_name(operation, file)?;
        let file = file.to_owned();
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |files, answers| {
            let outcome = job(files, &file);
            answers.give(Box::new(move || {
                // A caller that has gone away does not want the answer.
                let _ = reply.send(outcome);
            }));
        });
        self.jobs
            .send(job)
            .await
            .map_err(|_| error::closed(operation))?;
        answer.await.map_err(|_| error::closed(operation))
    }
}

impl fmt::Debug for FileDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileDisk")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Disk for FileDisk {
    async fn append(&self, file: &str, data: Bytes) -> Result<u64> {
        self.call("append to file", file, move |files, file| {
            files.append(file, &data)
        })
        .await
    }

    async fn sync(&self, file: &str) -> Result<()> {
        self.call("sync file", file, Files::sync).await
    }

    async fn append_and_sync(&self, file: &str, data: Bytes) -> Result<u64, AppendFailure> {
        let job = move |files: &mut Files, file: &str| files.append_and_sync(file, &data);
        check_file_name("append to file", file).map_err(AppendFailure::NotAppended)?;
        let answer = self.answer("append to file", file, job).await;
        // Without an answer the disk's thread has ended, and nobody knows how far it came.
        answer.map_err(AppendFailure::NotSynced)?
    }

    async fn read(&self, file: &str, offset: u64, length: usize) -> Result<Bytes> {
        self.call("read file", file, move |files, file| {
            files.read(file, offset, length)
        })
        .await
    }

    async fn truncate(&self, file: &str, length: u64) -> Result<()> {
        self.call("truncate file", file, move |files, file| {
            files.truncate(file, length)
        })
        .await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_file_name("rename file", to)?;
        let to = to.to_owned();
        self.call("rename file", from, move |files, from| {
            files.rename(from, &to)
        })
        .await
    }

    async fn remove(&self, file: &str) -> Result<()> {
        self.call("remove file", file, Files::remove).await
    }
}
