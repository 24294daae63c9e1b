//! How answers come from the disk's thread to those who wait for them.

#![expect(
    clippy::disallowed_types,
    reason = "a pipe's end is written as a file is"
)]

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::unix::pipe;
use tokio::runtime::Handle;

/// Answers that wait at most; what else comes is told by the disk's thread itself.
const MAX_WAITING: usize = 1024;

/// Tells a caller what came of its call.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// Where the disk's thread leaves its answers.
pub(super) enum Answers {
    /// The thread wakes the callers itself.
    Direct,
    /// A task of the callers' runtime wakes them.
    ByTask { waiting: Arc<Waiting>, bell: File },
}

/// Answers that were not handed on yet.
#[derive(Default)]
pub(super) struct Waiting(Mutex<List>);

#[derive(Default)]
struct List {
    answers: Vec<Answer>,
    /// Nobody hands them on any more.
    closed: bool,
}

impl Answers {
    /// Has a task of `runtime` hand them on, which a pipe wakes.
    ///
    /// Whoever wakes a task from a thread of its own makes a runtime of many threads wake one of
    /// them to run it, and that one another to look for more. What a pipe wakes runs on the thread
    /// that waits for I/O, as what a socket wakes does, and no other is disturbed. A lone
    /// writer's ops take a third less where a sync costs nothing.
    pub(super) fn by_task(runtime: &Handle) -> io::Result<Self> {
        let _context = runtime.enter();
        let (bell, rings) = pipe::pipe()?;
        let bell: OwnedFd = bell.into_nonblocking_fd()?;
        let waiting = Arc::new(Waiting::default());
        let hand_on = HandOn {
            waiting: waiting.clone(),
            rings,
        };
        runtime.spawn(hand_on.run());
        Ok(Self::ByTask {
            waiting,
            bell: bell.into(),
        })
    }

    /// Hands one on.
    pub(super) fn give(&mut self, answer: Answer) {
        match self {
            Self::Direct => answer(),
            Self::ByTask { waiting, bell } => match waiting.add(answer) {
                Added::First => ring(bell),
                Added::BehindOthers => {}
                Added::No(answer) => answer(),
            },
        }
    }
}

fn ring(bell: &mut File) {
    // A full pipe holds rings that were not heard yet, and one that has no reader belongs to a task
    // that hands on what waits as it ends: nothing is lost with this one.
    while bell
        .write(&[1])
        .is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
    {}
}

enum Added {
    /// None waited before it.
    First,
    BehindOthers,
    /// Too many wait, or nobody hands them on.
    No(Answer),
}

impl Waiting {
    fn add(&self, answer: Answer) -> Added {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.closed || list.answers.len() >= MAX_WAITING {
            return Added::No(answer);
        }
        list.answers.push(answer);
        match list.answers.len() {
            1 => Added::First,
            _ => Added::BehindOthers,
        }
    }

    fn take(&self, close: bool) -> Vec<Answer> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.closed |= close;
        mem::take(&mut list.answers)
    }
}

/// The task's side. What waits when it ends, also with its runtime, is handed on then.
struct HandOn {
    waiting: Arc<Waiting>,
    rings: pipe::Receiver,
}

impl HandOn {
    /// Until the disk's thread has ended.
    async fn run(self) {
        let mut heard = [0; 64];
        while self.rings.readable().await.is_ok() {
            match self.rings.try_read(&mut heard) {
                Ok(0) => return,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                _ => self.hand_on(false),
            }
        }
    }

    fn hand_on(&self, close: bool) {
        for answer in self.waiting.take(close) {
            answer();
        }
    }
}

/// The list is closed before the pipe is.
impl Drop for HandOn {
    fn drop(&mut self) {
        self.hand_on(true);
    }
}
