//! The simulated world's scheduler: tasks, virtual time and chance, all from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use grid_core::BoxFuture;

use super::stream::Stream;
use super::trace::Trace;
use super::wall_clock::WallClock;

/// A party of the world: something that can crash as one, such as a server or a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartyId(pub u16);

struct Task {
    party: PartyId,
    name: &'static str,
    /// Absent while the task is being polled.
    future: Option<BoxFuture<'static, ()>>,
}

struct Timer {
    waker: Waker,
    counts: bool,
}

struct State {
    seed: u64,
    /// Which of the tasks that can run runs next.
    order: fastrand::Rng,
    /// The chances of everything else: one stream each, so that what one of them draws changes
    /// nothing for the others.
    streams: BTreeMap<Stream, fastrand::Rng>,
    now: Duration,
    next_task: u64,
    tasks: BTreeMap<u64, Task>,
    next_timer: u64,
    timers: BTreeMap<(Duration, u64), Timer>,
    clocks: BTreeMap<PartyId, WallClock>,
    /// Parties whose tasks are being dropped: what their destructors spawn is dropped too.
    crashing: BTreeSet<PartyId>,
    trace: Trace,
    steps: u64,
    polls: u64,
}

/// Ids of tasks that can run, shared with their wakers.
#[derive(Default)]
struct Ready(Mutex<Vec<u64>>);

struct TaskWaker {
    task: u64,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = lock(&self.ready.0);
        if !ready.contains(&self.task) {
            ready.push(self.task);
        }
    }
}

/// The scheduler. One thread; nothing happens outside [`Executor::step`].
#[derive(Clone)]
pub struct Executor {
    state: Arc<Mutex<State>>,
    ready: Arc<Ready>,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

/// Locks, going on after a panic elsewhere: the panic is the failure that gets reported.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Executor {
    /// A world in which everything follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_order(seed, 0)
    }

    /// A world in which everything follows from `seed`, but for the order in which tasks run, which
    /// follows from `order` as well: another world with the same chances.
    #[must_use]
    pub fn with_order(seed: u64, order: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                seed,
                order: fastrand::Rng::with_seed(seed ^ order.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                streams: BTreeMap::new(),
                now: Duration::ZERO,
                next_task: 0,
                tasks: BTreeMap::new(),
                next_timer: 0,
                timers: BTreeMap::new(),
                clocks: BTreeMap::new(),
                crashing: BTreeSet::new(),
                trace: Trace::default(),
                steps: 0,
                polls: 0,
            })),
            ready: Arc::default(),
        }
    }

    /// The seed from which everything follows.
    #[must_use]
    pub fn seed(&self) -> u64 {
        lock(&self.state).seed
    }

    /// Virtual time since the world began.
    #[must_use]
    pub fn now(&self) -> Duration {
        lock(&self.state).now
    }

    /// How much has happened: frames delivered, input and output done, timers fired, faults, and
    /// operations begun.
    #[must_use]
    pub fn steps(&self) -> u64 {
        lock(&self.state).steps
    }

    /// How often a task was polled: what a run costs.
    #[must_use]
    pub fn polls(&self) -> u64 {
        lock(&self.state).polls
    }

    /// Counts a step and adds it to the trace.
    pub fn step_taken(&self, party: PartyId, what: &str, detail: u64) {
        let mut state = lock(&self.state);
        state.steps += 1;
        let now = state.now;
        state.trace.record(now, party, what, detail);
    }

    /// The hash of everything that happened so far; two runs of one seed agree on it.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        lock(&self.state).trace.hash()
    }

    /// 64 random bits for `stream`.
    #[must_use]
    pub fn random(&self, stream: Stream) -> u64 {
        self.draw(stream, |rng| rng.u64(..))
    }

    /// A random number below `bound`, which is at least 1, for `stream`.
    #[must_use]
    pub fn below(&self, stream: Stream, bound: u64) -> u64 {
        self.draw(stream, |rng| rng.u64(..bound.max(1)))
    }

    /// Whether an event of probability `percent` / 100 happens to `stream`.
    #[must_use]
    pub fn chance(&self, stream: Stream, percent: u64) -> bool {
        percent > 0 && self.below(stream, 100) < percent
    }

    fn draw<T>(&self, stream: Stream, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        let mut state = lock(&self.state);
        let seed = state.seed;
        let rng = state
            .streams
            .entry(stream)
            .or_insert_with(|| fastrand::Rng::with_seed(stream.seed(seed)));
        draw(rng)
    }

    /// How far the wall clock of `party` is off, in milliseconds.
    #[must_use]
    pub fn clock_offset_ms(&self, party: PartyId) -> i64 {
        let state = lock(&self.state);
        let clock = state.clocks.get(&party).copied().unwrap_or_default();
        clock.offset_ms(state.now)
    }

    /// Sets how far the wall clock of `party` is off, in milliseconds, and how much it gains from
    /// now on, in parts per million.
    pub fn set_clock(&self, party: PartyId, offset_ms: i64, drift_ppm: i64) {
        let mut state = lock(&self.state);
        let since = state.now;
        let clock = WallClock {
            offset_ms,
            since,
            drift_ppm,
        };
        state.clocks.insert(party, clock);
    }

    /// Adds a task of `party`.
    pub fn spawn(&self, party: PartyId, name: &'static str, future: BoxFuture<'static, ()>) {
        let mut state = lock(&self.state);
        if state.crashing.contains(&party) {
            drop(state);
            drop(future);
            return;
        }
        let task = state.next_task;
        state.next_task += 1;
        state.tasks.insert(
            task,
            Task {
                party,
                name,
                future: Some(future),
            },
        );
        drop(state);
        lock(&self.ready.0).push(task);
    }

    /// Drops every task of `party` where it stands, as a power cut would.
    pub fn crash(&self, party: PartyId) {
        let doomed: Vec<Task> = {
            let mut state = lock(&self.state);
            state.crashing.insert(party);
            let ids: Vec<u64> = state
                .tasks
                .iter()
                .filter(|(_, task)| task.party == party)
                .map(|(id, _)| *id)
                .collect();
            ids.iter().filter_map(|id| state.tasks.remove(id)).collect()
        };
        drop(doomed);
        lock(&self.state).crashing.remove(&party);
    }

    /// Runs one ready task (chosen by chance), or lets time go on to the next timer. Returns
    /// false when there is neither.
    pub fn step(&self) -> bool {
        loop {
            let Some(task) = self.choose() else {
                return self.fire_next_timer();
            };
            // Wakers outlive their tasks; such an id is skipped.
            if self.poll(task) {
                return true;
            }
        }
    }

    /// Steps until `future` is done.
    ///
    /// # Panics
    /// When nothing can happen any more, or after `max_steps`.
    pub fn block_on<T: Send + 'static>(
        &self,
        party: PartyId,
        max_steps: u64,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let result: Arc<Mutex<Option<T>>> = Arc::default();
        let slot = Arc::clone(&result);
        self.spawn(
            party,
            "block_on",
            Box::pin(async move {
                let output = future.await;
                *lock(&slot) = Some(output);
            }),
        );
        for _ in 0..max_steps {
            if let Some(output) = lock(&result).take() {
                return output;
            }
            assert!(
                self.step(),
                "the simulated world has stopped: {}",
                self.describe_tasks()
            );
        }
        panic!(
            "not done after {max_steps} steps: {}",
            self.describe_tasks()
        );
    }

    fn describe_tasks(&self) -> String {
        let state = lock(&self.state);
        let names: Vec<String> = state
            .tasks
            .values()
            .map(|task| format!("{}:{}", task.party.0, task.name))
            .collect();
        format!("at {:?}, tasks {}", state.now, names.join(" "))
    }

    fn choose(&self) -> Option<u64> {
        let mut ready = lock(&self.ready.0);
        if ready.is_empty() {
            return None;
        }
        let index = lock(&self.state).order.usize(..ready.len());
        Some(ready.swap_remove(index))
    }

    fn poll(&self, id: u64) -> bool {
        let mut future = {
            let mut state = lock(&self.state);
            let Some(task) = state.tasks.get_mut(&id) else {
                return false;
            };
            let Some(future) = task.future.take() else {
                return false;
            };
            let (party, name) = (task.party, task.name);
            state.polls += 1;
            let now = state.now;
            state.trace.record(now, party, name, id);
            future
        };
        let waker = Waker::from(Arc::new(TaskWaker {
            task: id,
            ready: Arc::clone(&self.ready),
        }));
        let done = future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        let finished = {
            let mut state = lock(&self.state);
            match state.tasks.get_mut(&id) {
                Some(task) if !done => {
                    task.future = Some(future);
                    None
                }
                // Done, or crashed while it ran.
                _ => Some((state.tasks.remove(&id), future)),
            }
        };
        drop(finished);
        true
    }

    fn fire_next_timer(&self) -> bool {
        let waker = {
            let mut state = lock(&self.state);
            let Some(((at, _), timer)) = state.timers.pop_first() else {
                return false;
            };
            state.now = state.now.max(at);
            state.steps += u64::from(timer.counts);
            timer.waker
        };
        waker.wake();
        true
    }

    /// Completes once virtual time has reached `deadline`. That it fires is a step.
    pub fn sleep_until(&self, deadline: Duration) -> Sleep {
        self.timer(deadline, true)
    }

    /// Completes once virtual time has reached `deadline`: the time that a step of another kind
    /// takes, such as a frame's way or a disk's work.
    pub fn pass_until(&self, deadline: Duration) -> Sleep {
        self.timer(deadline, false)
    }

    fn timer(&self, deadline: Duration, counts: bool) -> Sleep {
        Sleep {
            executor: self.clone(),
            deadline,
            counts,
            timer: None,
        }
    }
}

/// A timer of the simulated world.
#[derive(Debug)]
pub struct Sleep {
    executor: Executor,
    deadline: Duration,
    counts: bool,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let executor = self.executor.clone();
        let mut state = lock(&executor.state);
        if state.now >= deadline {
            return Poll::Ready(());
        }
        let timer = *self.timer.get_or_insert_with(|| {
            state.next_timer += 1;
            state.next_timer
        });
        let entry = Timer {
            waker: context.waker().clone(),
            counts: self.counts,
        };
        state.timers.insert((deadline, timer), entry);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            lock(&self.executor.state)
                .timers
                .remove(&(self.deadline, timer));
        }
    }
}

#[cfg(test)]
mod tests;
