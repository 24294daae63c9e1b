//! The simulated world's scheduler: tasks, virtual time and chance, all from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use grid_core::BoxFuture;

use super::trace::Trace;

/// A party of the world: something that can crash as one, such as a server or a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartyId(pub u16);

struct Task {
    party: PartyId,
    name: &'static str,
    /// Absent while the task is being polled.
    future: Option<BoxFuture<'static, ()>>,
}

struct State {
    rng: fastrand::Rng,
    now: Duration,
    next_task: u64,
    tasks: BTreeMap<u64, Task>,
    next_timer: u64,
    timers: BTreeMap<(Duration, u64), Waker>,
    /// How far each party's wall clock is off, in milliseconds.
    clock_offset_ms: BTreeMap<PartyId, i64>,
    /// Parties whose tasks are being dropped: what their destructors spawn is dropped too.
    crashing: BTreeSet<PartyId>,
    trace: Trace,
    steps: u64,
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
        Self {
            state: Arc::new(Mutex::new(State {
                rng: fastrand::Rng::with_seed(seed),
                now: Duration::ZERO,
                next_task: 0,
                tasks: BTreeMap::new(),
                next_timer: 0,
                timers: BTreeMap::new(),
                clock_offset_ms: BTreeMap::new(),
                crashing: BTreeSet::new(),
                trace: Trace::default(),
                steps: 0,
            })),
            ready: Arc::default(),
        }
    }

    /// Virtual time since the world began.
    #[must_use]
    pub fn now(&self) -> Duration {
        lock(&self.state).now
    }

    /// How many times a task was polled or a timer fired.
    #[must_use]
    pub fn steps(&self) -> u64 {
        lock(&self.state).steps
    }

    /// The hash of everything that happened so far; two runs of one seed agree on it.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        lock(&self.state).trace.hash()
    }

    /// Adds an event to the trace.
    pub fn record(&self, party: PartyId, what: &str, detail: u64) {
        let mut state = lock(&self.state);
        let now = state.now;
        state.trace.record(now, party, what, detail);
    }

    /// 64 random bits.
    #[must_use]
    pub fn random(&self) -> u64 {
        lock(&self.state).rng.u64(..)
    }

    /// A random number below `bound`, which is at least 1.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        lock(&self.state).rng.u64(..bound)
    }

    /// Whether an event of probability `percent` / 100 happens.
    #[must_use]
    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// How far the wall clock of `party` is off, in milliseconds.
    #[must_use]
    pub fn clock_offset_ms(&self, party: PartyId) -> i64 {
        lock(&self.state)
            .clock_offset_ms
            .get(&party)
            .copied()
            .unwrap_or(0)
    }

    /// Sets how far the wall clock of `party` is off, in milliseconds.
    pub fn set_clock_offset_ms(&self, party: PartyId, offset: i64) {
        lock(&self.state).clock_offset_ms.insert(party, offset);
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
        let index = lock(&self.state).rng.usize(..ready.len());
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
            state.steps += 1;
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
            let Some(((at, _), waker)) = state.timers.pop_first() else {
                return false;
            };
            state.now = state.now.max(at);
            state.steps += 1;
            waker
        };
        waker.wake();
        true
    }

    /// Completes once virtual time has reached `deadline`.
    pub fn sleep_until(&self, deadline: Duration) -> Sleep {
        Sleep {
            executor: self.clone(),
            deadline,
            timer: None,
        }
    }
}

/// A timer of the simulated world.
#[derive(Debug)]
pub struct Sleep {
    executor: Executor,
    deadline: Duration,
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
        state
            .timers
            .insert((deadline, timer), context.waker().clone());
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
mod tests {
    use super::*;

    /// Three tasks that sleep at random and write down their order.
    fn run(seed: u64) -> (Vec<(u16, u64)>, u64) {
        let executor = Executor::new(seed);
        let log: Arc<Mutex<Vec<(u16, u64)>>> = Arc::default();
        for party in 0..3 {
            let (world, log) = (executor.clone(), Arc::clone(&log));
            executor.spawn(
                PartyId(party),
                "worker",
                Box::pin(async move {
                    for round in 0..20 {
                        let pause = Duration::from_millis(world.below(5));
                        world.sleep_until(world.now() + pause).await;
                        lock(&log).push((party, round));
                    }
                }),
            );
        }
        while executor.step() {}
        let order = lock(&log).clone();
        (order, executor.trace_hash())
    }

    #[test]
    fn one_seed_gives_one_trace_and_another_seed_another() {
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).0, run(2).0);
        assert_ne!(run(1).1, run(2).1);
        assert_eq!(run(1).0.len(), 60);
    }

    #[test]
    fn a_crash_ends_the_tasks_of_its_party_alone_and_what_their_destructors_spawn() {
        struct SpawnsOnDrop(Executor, Arc<Mutex<Vec<&'static str>>>);
        impl Drop for SpawnsOnDrop {
            fn drop(&mut self) {
                let log = Arc::clone(&self.1);
                self.0.spawn(
                    PartyId(1),
                    "late",
                    Box::pin(async move {
                        lock(&log).push("spawned by a destructor");
                    }),
                );
            }
        }
        let executor = Executor::new(7);
        let log: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        for (party, name) in [(1, "dead"), (2, "alive")] {
            let guard = SpawnsOnDrop(executor.clone(), Arc::clone(&log));
            let (world, log) = (executor.clone(), Arc::clone(&log));
            executor.spawn(
                PartyId(party),
                name,
                Box::pin(async move {
                    let guard = if party == 1 {
                        Some(guard)
                    } else {
                        std::mem::forget(guard);
                        None
                    };
                    world.sleep_until(Duration::from_secs(1)).await;
                    lock(&log).push(name);
                    drop(guard);
                }),
            );
        }
        executor.step();
        executor.step();
        executor.crash(PartyId(1));
        while executor.step() {}
        assert_eq!(*lock(&log), ["alive"]);
    }
}
