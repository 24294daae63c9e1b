//! One client under way.

use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use grid_client::{Fate, Grid, Map, NotAcked};
use grid_core::Result;

use super::gate::Gate;
use super::habit::{Draw, Habit};
use super::ledger::{Ledger, Told, Write};

/// How many ops of one client are under way at once.
const WINDOW_OPS: usize = 48;

/// A client that writes while a [`Gate`] is open, many ops at once.
#[derive(Debug)]
pub struct Load {
    habit: Habit,
    own: Map<()>,
    shared: Map<()>,
    ledger: Arc<Ledger>,
    gate: Arc<Gate>,
}

impl Load {
    /// Lets `grid` write by `habit`.
    ///
    /// # Errors
    /// As those of [`Grid::map`].
    pub fn new<P>(
        grid: &Grid<P>,
        habit: Habit,
        ledger: Arc<Ledger>,
        gate: Arc<Gate>,
    ) -> Result<Self> {
        Ok(Self {
            own: grid.map(Habit::OWN)?,
            shared: grid.map(Habit::SHARED)?,
            habit,
            ledger,
            gate,
        })
    }

    /// Writes and rests, for ever: drop it to end it.
    pub async fn run(mut self) {
        loop {
            let mut flying = FuturesUnordered::new();
            while self.gate.is_open() {
                while flying.len() < WINDOW_OPS {
                    let draw = self.habit.draw();
                    let map = match draw.place.0.as_str() {
                        Habit::OWN => self.own.clone(),
                        _ => self.shared.clone(),
                    };
                    let client = self.habit.client();
                    flying.push(write(client, draw, map, self.ledger.clone()));
                }
                if let Some(Some(draw)) = flying.next().await {
                    self.habit.took_effect(draw);
                }
            }
            while let Some(answered) = flying.next().await {
                if let Some(draw) = answered {
                    self.habit.took_effect(draw);
                }
            }
            self.gate.rest().await;
        }
    }
}

/// Makes one op and waits for its answer; returns it if it took effect.
async fn write(client: usize, draw: Draw, map: Map<()>, ledger: Arc<Ledger>) -> Option<Draw> {
    let map = map.acks(draw.level);
    let key = &draw.place.1;
    let written = match &draw.value {
        Some(value) => map.put_bytes(key, value.clone()).await,
        None => map.remove(key).await,
    };
    let handle = match written {
        Ok(handle) => handle,
        Err(error) => {
            ledger.trouble(format!("client {client} cannot write: {error}"));
            return None;
        }
    };
    let op = handle.op();
    let entry = Write {
        client,
        place: draw.place.clone(),
        value: draw.value.clone(),
        level: draw.level,
    };
    ledger.written(op, entry);
    let told = match handle.acked().await {
        Ok(Fate::Acked) => Told::Acked,
        Ok(Fate::Superseded { by }) => Told::Superseded(by),
        Ok(other) => Told::Refused(format!("{other:?}")),
        Err(NotAcked::Rejected(rejected)) => Told::Refused(rejected.to_string()),
        // It goes on with the next opening of the store, and is not answered in this one.
        Err(NotAcked::Closed) => return None,
    };
    let took_effect = told == Told::Acked;
    ledger.told(op, told);
    took_effect.then_some(draw)
}
