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
                    let pause =
                        Duration::from_millis(world.below(Stream::Party(PartyId(party)), 5));
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
