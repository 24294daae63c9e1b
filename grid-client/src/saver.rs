//! The task that makes things durable: it gathers what is there into one batch, again and again.

use grid_core::replica::Save;
use grid_core::{Error, OpId};

use crate::engine::{Core, Engine, Group, Phase, Task, turns};
use crate::settings::{Backoff, MAX_WRITES_PER_SAVE};

/// What to do next.
enum Next {
    Save(Box<Save>, Vec<Group>),
    Wait,
    Over,
}

pub(crate) async fn run(task: Task) {
    let engine = &*task.engine;
    let mut failures = 0;
    loop {
        let (mut save, groups) = match next(engine, failures) {
            Next::Save(save, groups) => (save, groups),
            Next::Wait => {
                engine.to_save.notified().await;
                continue;
            }
            Next::Over => return,
        };
        let batch = std::mem::take(&mut save.batch);
        match engine.storage.apply(batch).await {
            Ok(()) => {
                failures = 0;
                stored(engine, *save, groups);
            }
            Err(error) => {
                failures += 1;
                not_stored(engine, *save, groups, &error);
                wait(engine, failures).await;
            }
        }
    }
}

fn next(engine: &Engine, failures: u32) -> Next {
    let mut core = engine.lock();
    // The connection's task may still have something to store; it ends first.
    let last = core.phase != Phase::Open && engine.running_tasks() <= 1;
    if last && failures > 0 {
        return Next::Over;
    }
    let groups = take_groups(&mut core);
    let writes = groups
        .iter()
        .flat_map(|group| group.writes.iter().cloned())
        .collect();
    match core.replica.begin_save(writes, engine.runtime.now_ms()) {
        Ok(Some(save)) => Next::Save(Box::new(save), groups),
        Ok(None) if last => Next::Over,
        Ok(None) => Next::Wait,
        Err(error) => {
            drop(core);
            refuse(groups, &error);
            engine.to_save.notify_one();
            Next::Wait
        }
    }
}

/// As many of the waiting groups as make a batch, one at least.
fn take_groups(core: &mut Core) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut together = 0;
    while let Some(group) = core.queue.front() {
        together += turns(&group.writes);
        if !groups.is_empty() && together > MAX_WRITES_PER_SAVE {
            break;
        }
        groups.extend(core.queue.pop_front());
    }
    groups
}

fn stored(engine: &Engine, save: Save, groups: Vec<Group>) {
    let mut core = engine.lock();
    let mut ops = save.ops().collect::<Vec<OpId>>().into_iter();
    core.replica.saved(save);
    core.storage_error = None;
    for group in groups {
        let ops: Vec<OpId> = ops.by_ref().take(group.writes.len()).collect();
        let outcome = core.tickets.issue(&ops);
        // A caller that gave up waiting has written all the same.
        let _ignored = group.done.send(Ok((ops, outcome)));
    }
    engine.settle(core);
    engine.stored.notify_one();
}

fn not_stored(engine: &Engine, save: Save, groups: Vec<Group>, error: &Error) {
    tracing::warn!(%error, "the store did not take a batch");
    let mut core = engine.lock();
    core.replica.failed(save);
    core.storage_error = Some(error.to_string());
    engine.settle(core);
    refuse(groups, error);
}

fn refuse(groups: Vec<Group>, error: &Error) {
    for group in groups {
        // A caller that gave up waiting needs no answer.
        let _ignored = group.done.send(Err(error.share()));
    }
}

/// Waits before the store is tried again; not at the end.
async fn wait(engine: &Engine, failures: u32) {
    let backoff = Backoff {
        longest: std::time::Duration::from_secs(5),
        ..Backoff::default()
    };
    let pause = backoff.wait(failures, engine.runtime.random());
    let mut phase = engine.watch_phase();
    let closing = std::pin::pin!(phase.wait_for(|phase| *phase != Phase::Open));
    futures::future::select(engine.runtime.sleep(pause), closing).await;
}
