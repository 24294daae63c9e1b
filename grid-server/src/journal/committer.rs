//! The task that gathers what callers append.

use grid_core::Result;
use grid_core::traits::{Append, Position};
use tokio::sync::{mpsc, oneshot};

use super::record::record_bytes;
use super::writer::Writer;
use crate::turn::let_others_run;

/// Requests that may wait for the committer; more wait in their callers.
pub(super) const QUEUE_REQUESTS: usize = 1024;

/// What a caller wants done.
#[derive(Debug)]
pub(super) enum Request {
    Append {
        appends: Vec<Append>,
        reply: oneshot::Sender<Vec<Result<Position>>>,
    },
    Reclaim {
        reply: oneshot::Sender<Result<()>>,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// The appends of several callers, to be committed together.
#[derive(Debug, Default)]
struct Gathered {
    appends: Vec<Append>,
    bytes: usize,
    /// Whose they are: how many, and who waits.
    callers: Vec<(usize, oneshot::Sender<Vec<Result<Position>>>)>,
}

/// Serves requests until the journal is closed or dropped.
///
/// While one commit is on its way to the disk, callers queue up; the next commit takes them all.
pub(super) async fn run(mut writer: Writer, mut requests: mpsc::Receiver<Request>) {
    let mut next = requests.recv().await;
    while let Some(request) = next.take() {
        match request {
            Request::Append { appends, reply } => {
                let mut gathered = Gathered::default();
                gathered.add(appends, reply);
                while next.is_none() && gathered.bytes < writer.group_bytes() {
                    match requests.try_recv() {
                        Ok(Request::Append { appends, reply }) => gathered.add(appends, reply),
                        Ok(other) => next = Some(other),
                        Err(_) => break,
                    }
                }
                let callers = gathered.callers.len();
                gathered.commit(&mut writer).await;
                // The callers that just got their answers append again, and the next commit takes
                // them along. Without it two halves of them would take turns. One that is alone
                // would wait for another thread of the runtime to be woken for nothing.
                if callers > 1 || next.is_some() || !requests.is_empty() {
                    let_others_run().await;
                }
            }
            // Callers that went away do not want their answer.
            Request::Reclaim { reply } => {
                let _ = reply.send(writer.reclaim().await);
            }
            Request::Close { reply } => {
                let _ = reply.send(());
                return;
            }
        }
        if next.is_none() {
            next = requests.recv().await;
        }
    }
}

impl Gathered {
    fn add(&mut self, appends: Vec<Append>, reply: oneshot::Sender<Vec<Result<Position>>>) {
        self.callers.push((appends.len(), reply));
        self.bytes += appends
            .iter()
            .map(|append| record_bytes(&append.batch))
            .sum::<usize>();
        self.appends.extend(appends);
    }

    async fn commit(self, writer: &mut Writer) {
        let mut outcomes = writer.append(&self.appends).await.into_iter();
        for (count, reply) in self.callers {
            // A caller that went away does not want its answer.
            let _ = reply.send(outcomes.by_ref().take(count).collect());
        }
    }
}
