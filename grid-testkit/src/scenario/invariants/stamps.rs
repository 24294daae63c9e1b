//! Stamps are monotone and bounded.

use std::collections::BTreeMap;

use grid_core::protocol::Message;
use grid_core::{Hlc, RunId};

use super::sent::sent;
use crate::scenario::{Event, Invariant, View};

/// How far a final stamp may be ahead of the true time, in milliseconds, beside the allowed drift:
/// what servers' own clocks are off.
const SERVERS_AHEAD_MS: u64 = 20_000;

/// A run stamps its ops in rising order, and no final stamp is ahead of time by more than is
/// allowed.
#[derive(Debug, Default)]
pub(super) struct BoundedStamps {
    issued: BTreeMap<RunId, BTreeMap<u64, Hlc>>,
}

impl Invariant for BoundedStamps {
    fn name(&self) -> &'static str {
        "stamps are monotone and bounded"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match sent(event) {
            Some((_, Message::Push(push))) => {
                for op in &push.ops {
                    let run = self.issued.entry(op.id.run).or_default();
                    run.insert(op.id.number, op.hlc);
                    let before = run.range(..op.id.number).next_back();
                    let after = run.range(op.id.number + 1..).next();
                    let rises = before.is_none_or(|(_, earlier)| *earlier < op.hlc)
                        && after.is_none_or(|(_, later)| op.hlc < *later);
                    if !rises {
                        return Err(format!(
                            "op {} is stamped {}, between {before:?} and {after:?}",
                            op.id, op.hlc
                        ));
                    }
                }
            }
            Some((_, Message::Delta(delta))) => {
                let latest = view.now_ms() + view.allowed_drift_ms() + SERVERS_AHEAD_MS;
                let ahead = delta.records.iter().find(|r| r.stamp.hlc.millis() > latest);
                if let Some(record) = ahead {
                    return Err(format!(
                        "{} is stamped {}, {} ms ahead of time",
                        record.key,
                        record.stamp,
                        record.stamp.hlc.millis() - view.now_ms()
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
