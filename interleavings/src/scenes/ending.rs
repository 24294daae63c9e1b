//! The end of a server, as its tasks see it.

use shuttle::{future::block_on, thread};

use crate::lifecycle::{LifecycleOwner, Phase};

/// Who waits for a phase wakes up, whenever it began to wait and whichever comes first.
pub fn every_task_hears_of_the_end() {
    let (owner, lifecycle) = LifecycleOwner::new();
    let waiting: Vec<_> = [Phase::Draining, Phase::Over]
        .into_iter()
        .map(|phase| {
            let lifecycle = lifecycle.clone();
            thread::spawn(move || {
                block_on(lifecycle.reached(phase));
                assert!(lifecycle.has_reached(phase));
            })
        })
        .collect();
    let vital = lifecycle.depends_on("scene");
    let panicking = thread::spawn(move || drop(vital));
    owner.enter(Phase::Draining);
    for task in waiting {
        assert!(task.join().is_ok());
    }
    assert!(panicking.join().is_ok());
    assert!(lifecycle.has_reached(Phase::Over), "there is no way back");
}
