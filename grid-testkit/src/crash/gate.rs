//! What lets clients write, or makes them rest.

use tokio::sync::watch;

/// A gate before several clients. It starts closed.
#[derive(Debug, Default)]
pub struct Gate {
    open: watch::Sender<bool>,
    resting: watch::Sender<usize>,
}

impl Gate {
    /// A closed one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets clients write.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Makes clients rest once what they have written is answered.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// Completes when `clients` clients rest: nothing of theirs waits for an answer.
    pub async fn until_resting(&self, clients: usize) {
        let mut resting = self.resting.subscribe();
        // The sender is ours, so this ends with the condition only.
        let _met = resting.wait_for(|resting| *resting >= clients).await;
    }

    pub(super) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Rests until the gate is open.
    pub(super) async fn rest(&self) {
        self.resting.send_modify(|resting| *resting += 1);
        let mut open = self.open.subscribe();
        let _met = open.wait_for(|open| *open).await;
        self.resting.send_modify(|resting| *resting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt;

    use super::*;

    #[test]
    fn clients_rest_while_it_is_closed_and_are_counted() {
        let gate = Gate::new();
        let mut all = pin!(gate.until_resting(2));
        let mut one = pin!(gate.rest());
        assert!(one.as_mut().now_or_never().is_none());
        assert!(all.as_mut().now_or_never().is_none(), "only one rests");
        let mut other = pin!(gate.rest());
        assert!(other.as_mut().now_or_never().is_none());
        assert!(all.as_mut().now_or_never().is_some());
        gate.open();
        assert!(gate.is_open());
        assert!(one.as_mut().now_or_never().is_some());
        assert!(
            gate.until_resting(1).now_or_never().is_some(),
            "one still rests"
        );
        assert!(other.as_mut().now_or_never().is_some());
        assert!(gate.until_resting(1).now_or_never().is_none());
    }
}
