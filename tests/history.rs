//! What clients on real sockets ask for and are told, held against the promises by the same
//! checkers that judge simulated runs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, unused_imports, reason = "the pitfalls use the rest of it")]
mod world;

use futures::channel::oneshot;
use futures::future::{join, join_all};
use grid_core::traits::Runtime;
use grid_core::{Key, MapAddress, MapName, Namespace};
use grid_server::Handle;
use grid_testkit::history::{
    Action, Checked, FinalState, Outcome, Recorder, Seen, Source, Violation, check_convergence,
    check_linearizable, check_outcomes, check_sessions,
};
use grid_testkit::proxy::{LinkState, Proxy};
use hybrid_grid::{Fate, Grid, Map, NotAcked, WriteHandle};
use world::{Site, WrongClock, agree, through};

const MAP: &str = "shared";
const CLIENTS: u64 = 4;
const OPS: u64 = 60;
/// Few, so that the clients meet on them.
const KEYS: u64 = 6;

/// Writes down what happens, with the time of this process.
#[derive(Clone)]
struct Notes {
    recorder: Recorder,
    clock: WrongClock,
}

impl Notes {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_nanos()).unwrap()
    }

    /// Makes one write of a client, and notes its fate when that is told, which the returned end
    /// waits for.
    async fn write(
        &self,
        session: &str,
        map: &Map<u64>,
        action: Action,
        key: &str,
    ) -> oneshot::Receiver<()> {
        let clock_ms = Some(self.clock.now_ms());
        let recorder = &self.recorder;
        let call = recorder.call_at(self.now_ns(), session, action.clone(), clock_ms);
        let written = match action {
            Action::Put {
                value,
                if_version: Some(version),
                ..
            } => map.put_if(key, &number(&value.to_string()), version).await,
            Action::Put { value, .. } => map.put(key, &number(&value.to_string())).await,
            _ => map.remove(key).await,
        };
        let handle = written.unwrap();
        self.recorder.durable(self.now_ns(), &call, handle.op());
        let notes = self.clone();
        let (done, told) = oneshot::channel();
        let follow = async move {
            let outcome = fate(handle).await;
            notes.recorder.returned(notes.now_ns(), &call, outcome);
            // The user may have failed meanwhile.
            done.send(()).unwrap_or_default();
        };
        self.clock.spawn("follow", Box::pin(follow));
        told
    }

    fn read(&self, session: &str, map: &Map<u64>, key: &str) {
        let get = Action::get(Source::Local, MAP, key);
        let call = self.recorder.call(self.now_ns(), session, get);
        let value = map.get(key).unwrap();
        let seen = value.map_or_else(Seen::absent, Seen::value);
        self.recorder
            .returned(self.now_ns(), &call, Outcome::Read(seen));
    }

    async fn audit(&self, server: &Handle, key: &str) -> Seen {
        let get = Action::get(Source::Server, MAP, key);
        let call = self.recorder.call(self.now_ns(), "auditor", get);
        let address = MapAddress {
            namespace: Namespace::default(),
            map: MapName::new(MAP).unwrap(),
        };
        let found = server.get(&address, &Key::new(key).unwrap()).await.unwrap();
        let seen = found.map_or_else(Seen::absent, |record| {
            let value = record.value.map(|value| decoded(&value));
            let seen = value.map_or_else(Seen::absent, Seen::value);
            seen.at(record.stamp)
        });
        let outcome = Outcome::Read(seen.clone());
        self.recorder.returned(self.now_ns(), &call, outcome);
        seen
    }

    fn ends(&self, party: &str, entries: impl IntoIterator<Item = (String, Seen)>) {
        let state = FinalState {
            map: MAP.to_owned(),
            entries: entries.into_iter().collect(),
            settled: true,
        };
        self.recorder.state(self.now_ns(), party, state);
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

fn decoded(value: &[u8]) -> u64 {
    ciborium::from_reader(value).unwrap()
}

/// What became of a write.
async fn fate(handle: WriteHandle) -> Outcome {
    match world::verdict(handle).await {
        Ok(Fate::Superseded { by }) => Outcome::Superseded { by: Some(by) },
        Ok(_) => Outcome::acked(),
        Err(NotAcked::Rejected(rejected)) => Outcome::rejected(rejected.reason),
        Err(NotAcked::Closed) => panic!("the client was closed"),
    }
}

/// What the user of one client does: writes of every kind and reads, over a line that breaks.
async fn work(notes: &Notes, client: u64, grid: &Grid, line: &Proxy) {
    let session = format!("client {client}");
    let map = grid.map::<u64>(MAP).unwrap();
    let mut fates = Vec::new();
    let mut is_up = true;
    for step in 0..OPS {
        let key = format!("k{}", (client + step * 5 + step / 7) % KEYS);
        let put = Action::put(MAP, key.as_str(), client * 1000 + step);
        let action = match (step + client) % 6 {
            0 => Some(Action::remove(MAP, key.as_str())),
            1 => Some(put.if_version(map.version(&key).unwrap())),
            2 | 3 => Some(put),
            _ => None,
        };
        if let Some(action) = action {
            fates.push(notes.write(&session, &map, action, &key).await);
        }
        notes.read(&session, &map, &key);
        match (step + client * 2) % 20 {
            5 => is_up = false,
            12 => is_up = true,
            _ => {}
        }
        line.set(if is_up { LinkState::Up } else { LinkState::Cut });
        if step % 5 == 0 && is_up {
            world::flushed(grid).await;
            notes.read(&session, &map, &key);
        }
    }
    line.set(LinkState::Up);
    for fate in fates {
        fate.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_run_keeps_what_is_promised() {
    let site = Site::new().await;
    let server = site.start().await;
    let notes = Notes {
        recorder: Recorder::new(),
        clock: site.clock.clone(),
    };
    let mut grids = Vec::new();
    for client in 0..CLIENTS {
        let line = Site::line(&server).await;
        let grid = through(&line).open().await.unwrap();
        grid.map::<u64>(MAP).unwrap();
        world::flushed(&grid).await;
        grids.push((client, grid, line));
    }
    let users = grids.iter();
    let users = users.map(|(client, grid, line)| work(&notes, *client, grid, line));
    let handle = server.handle();
    let auditor = async {
        for step in 0..OPS * 3 {
            notes.audit(&handle, &format!("k{}", step % KEYS)).await;
            tokio::task::yield_now().await;
        }
    };
    join(join_all(users), auditor).await;

    let all: Vec<&Grid> = grids.iter().map(|(_, grid, _)| grid).collect();
    agree::<u64>(&all, MAP).await;
    for (client, grid, _) in &grids {
        let map = grid.map::<u64>(MAP).unwrap();
        let entries = world::contents(&map).into_iter().map(|(key, value)| {
            let version = map.version(&key).unwrap();
            (key, Seen::value(value).at(version))
        });
        notes.ends(&format!("client {client}"), entries);
    }
    let mut entries = Vec::new();
    for number in 0..KEYS {
        let key = format!("k{number}");
        let seen = notes.audit(&server.handle(), &key).await;
        entries.extend(seen.value.is_some().then_some((key, seen)));
    }
    notes.ends("server", entries);

    let history = notes.recorder.history();
    let promised = |checked: Result<Checked, Violation>| match checked {
        Ok(checked) => checked,
        Err(broken) => panic!("{broken}"),
    };
    assert!(promised(check_convergence(&history)).decided > 0);
    assert!(promised(check_linearizable(&history)).decided > 200);
    assert!(promised(check_sessions(&history)).decided > 100);
    let fates = check_outcomes(&history).unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(fates.unknown, []);
    assert!(fates.acked > 50, "{fates:?}");
}
