//! What a run is made of, as data: who does what, and what goes wrong when.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::fault::{Cast, Fault, FaultKind};
use super::kept_run::KeptRun;
use super::simulation::{LONGEST_DOWN_MS, Simulation};
use crate::sim::{Executor, Stream};

/// A fault and when it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedFault {
    /// When, in milliseconds since the world began.
    pub at_ms: u64,
    /// What.
    pub fault: Fault,
}

/// A run beside its seed. Everything of it can be left out, and what is left still happens: that is
/// how failures shrink.
///
/// Written as JSON, for the replay line and for files that keep a bug from coming back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// In which order tasks run that could run at the same time, beside the seed.
    #[serde(default)]
    pub order: u64,
    /// The operations that each device's user performs, by device, by their numbers. What an
    /// operation does, and when, follows from the seed, the device and the number.
    #[serde(with = "numbers")]
    pub ops: BTreeMap<usize, Vec<u32>>,
    /// What goes wrong, in order of time.
    pub faults: Vec<TimedFault>,
    /// When somebody beside the servers asks one of them for an entry, in milliseconds since the
    /// world began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audits: Vec<u64>,
}

/// What plans are drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw<'a> {
    pub(super) cast: Cast,
    pub(super) ops: u32,
    /// The least number of faults; at most twice as many happen.
    pub(super) faults: usize,
    /// Those that happen in every run.
    pub(super) always: &'a [FaultKind],
    pub(super) kinds: &'a [(FaultKind, u32)],
    pub(super) span_ms: u64,
    /// How many audits there are.
    pub(super) audits: usize,
}

impl Plan {
    /// The plan of a seed.
    pub(super) fn draw(seed: u64, draw: &Draw<'_>) -> Self {
        let chance = Executor::new(seed);
        let below = |bound: u64| chance.below(Stream::Plan, bound);
        let least = draw.faults as u64;
        let count = least + below(least + 1);
        let mut kinds = draw.always.to_vec();
        let total: u64 = draw
            .kinds
            .iter()
            .map(|(_, weight)| u64::from(*weight))
            .sum();
        while total > 0 && (kinds.len() as u64) < count {
            let mut roll = below(total);
            let kind = draw.kinds.iter().find(|(_, weight)| {
                let hit = roll < u64::from(*weight);
                roll = roll.saturating_sub(u64::from(*weight));
                hit
            });
            kinds.extend(kind.map(|(kind, _)| *kind));
        }
        let mut faults: Vec<TimedFault> = kinds
            .into_iter()
            .map(|kind| TimedFault {
                at_ms: below(draw.span_ms.max(1)),
                fault: kind.draw(&chance, draw.cast),
            })
            .collect();
        faults.sort_by_key(|fault| fault.at_ms);
        let ops = (0..draw.cast.devices)
            .map(|device| (device, (0..draw.ops).collect()))
            .collect();
        let mut audits: Vec<u64> = (0..draw.audits)
            .map(|_| below(draw.span_ms.max(1)))
            .collect();
        audits.sort_unstable();
        Self {
            order: 0,
            ops,
            faults,
            audits,
        }
    }

    /// Its size: devices, operations, faults and audits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len() + self.op_count() + self.faults.len() + self.audits.len()
    }

    /// Whether nothing happens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many operations there are.
    #[must_use]
    pub fn op_count(&self) -> usize {
        self.ops.values().map(Vec::len).sum()
    }

    /// As JSON, in one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers, strings and lists: there is nothing that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From JSON: a plan, or a [`KeptRun`] with one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let value = serde_json::from_str::<serde_json::Value>(text);
        if value.is_ok_and(|value| value.get("plan").is_some()) {
            return KeptRun::from_json(text).map(|kept| kept.plan);
        }
        serde_json::from_str(text).map_err(|error| format!("this is no plan of a run: {error}"))
    }

    /// From JSON, or from the file that `text` names.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_text_or_file(text: &str) -> Result<Self, String> {
        Self::from_json(&text_or_file(text)?)
    }

    /// Whether it can be run: whether everybody that it names takes part in `simulation`, and
    /// everything happens before the heal.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub(super) fn fits(&self, simulation: &Simulation) -> Result<(), String> {
        simulation.can_be_played()?;
        let faults = self.faults.iter().map(|timed| &timed.fault);
        let hit = faults.clone().filter_map(Fault::device);
        let mut devices = self.ops.keys().copied().chain(hit);
        if let Some(device) = devices.find(|device| *device >= simulation.devices) {
            return Err(format!("there is no device {device}"));
        }
        let mut down = faults.clone().map(Fault::down_ms);
        if let Some(down_ms) = down.find(|down_ms| *down_ms > LONGEST_DOWN_MS) {
            return Err(format!(
                "somebody is down for {down_ms} ms; a run plays {LONGEST_DOWN_MS} at most"
            ));
        }
        let mut servers = faults.filter_map(Fault::server);
        if let Some(server) = servers.find(|server| *server >= simulation.servers) {
            return Err(format!("there is no server {server}"));
        }
        let mut numbers = self.ops.values().flatten();
        if let Some(number) = numbers.find(|number| **number >= simulation.ops) {
            return Err(format!("no device performs an operation {number}"));
        }
        let end_ms = simulation.fault_phase.as_millis();
        let times = self.faults.iter().map(|timed| timed.at_ms);
        let mut times = times.chain(self.audits.iter().copied());
        match times.find(|at_ms| u128::from(*at_ms) > end_ms) {
            Some(at_ms) => Err(format!(
                "something happens at {at_ms} ms, and everything heals at {end_ms} ms"
            )),
            None => Ok(()),
        }
    }
}

/// The text, if it is JSON; else the content of the file that it names.
pub(super) fn text_or_file(text: &str) -> Result<String, String> {
    if text.trim_start().starts_with('{') {
        return Ok(text.to_owned());
    }
    // Tests run in the folder of their package.
    let shown = std::env::current_dir().unwrap_or_default().join(text);
    let content = std::fs::read_to_string(text);
    content.map_err(|error| format!("cannot read the plan {}: {error}", shown.display()))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (device, ops) in &self.ops {
            writeln!(f, "  device {device} performs {} operations", ops.len())?;
        }
        if !self.audits.is_empty() {
            writeln!(f, "  the servers are asked {} times", self.audits.len())?;
        }
        for fault in &self.faults {
            writeln!(f, "  {:>7} ms  {:?}", fault.at_ms, fault.fault)?;
        }
        Ok(())
    }
}

/// Lists of numbers as `0-34` and `3,7,9-11`: a plan has to fit into one line.
mod numbers {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        ops: &BTreeMap<usize, Vec<u32>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let texts: BTreeMap<usize, String> = ops
            .iter()
            .map(|(device, numbers)| (*device, ranges(numbers)))
            .collect();
        texts.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<usize, Vec<u32>>, D::Error> {
        let texts = BTreeMap::<usize, String>::deserialize(deserializer)?;
        let parsed = texts.into_iter().map(|(device, text)| {
            let numbers = parse(&text).ok_or_else(|| {
                D::Error::custom(format!("`{text}` is no list such as `3,7,9-11`"))
            })?;
            Ok((device, numbers))
        });
        parsed.collect()
    }

    fn ranges(numbers: &[u32]) -> String {
        let mut parts: Vec<(u32, u32)> = Vec::new();
        for number in numbers {
            match parts.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
                _ => parts.push((*number, *number)),
            }
        }
        let parts = parts.into_iter().map(|(first, last)| match last - first {
            0 => first.to_string(),
            _ => format!("{first}-{last}"),
        });
        parts.collect::<Vec<_>>().join(",")
    }

    /// The most numbers in one list.
    const MOST: u32 = 1_000_000;

    fn parse(text: &str) -> Option<Vec<u32>> {
        let mut numbers = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            if last.checked_sub(first)? >= MOST {
                return None;
            }
            numbers.extend(first..=last);
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(plan: &str) -> String {
        let simulation = Simulation::new("small").devices(2).ops_per_device(10);
        let plan = Plan::from_json(plan);
        plan.and_then(|plan| plan.fits(&simulation)).unwrap_err()
    }

    #[test]
    fn what_cannot_be_run_is_told() {
        for (plan, told) in [
            (r#"{"ops":{"2":"1"},"faults":[]}"#, "there is no device 2"),
            (
                r#"{"ops":{},"faults":[{"at_ms":1,"fault":{"store_error":{"device":9,"for_ms":5}}}]}"#,
                "there is no device 9",
            ),
            (
                r#"{"ops":{"1":"3,9-10"},"faults":[]}"#,
                "no device performs an operation 10",
            ),
            (
                r#"{"ops":{},"faults":[{"at_ms":12001,"fault":"heal"}]}"#,
                "something happens at 12001 ms, and everything heals at 12000 ms",
            ),
            (
                r#"{"ops":{},"faults":[{"at_ms":1,"fault":{"crash_device":{"device":0,
                    "silent":true,"down_ms":7200001,"after_io":0}}}]}"#,
                "somebody is down for 7200001 ms; a run plays 7200000 at most",
            ),
            (
                r#"{"ops":{},"faults":[],"audits":[99999]}"#,
                "something happens at 99999 ms, and everything heals at 12000 ms",
            ),
        ] {
            assert_eq!(complaint(plan), told);
        }
    }

    #[test]
    fn what_is_no_plan_is_told() {
        for (text, told) in [
            (r#"{"ops":{"#, "EOF while parsing"),
            (
                r#"{"ops":{},"faults":[{"at_ms":1,"fault":"flood"}]}"#,
                "unknown variant `flood`",
            ),
            (r#"{"ops":{"0":"9-3"},"faults":[]}"#, "`9-3` is no list"),
            (
                r#"{"scenario":"a","seed":1,"broke":"","plan":{"ops":{},"faults":["flood"]}}"#,
                "this is no kept run",
            ),
        ] {
            let complaint = complaint(text);
            assert!(complaint.contains(told), "{complaint}");
        }
        let missing = Plan::from_text_or_file("no/such/plan.json").unwrap_err();
        let begin = format!("cannot read the plan {}", env!("CARGO_MANIFEST_DIR"));
        assert!(missing.starts_with(&begin), "{missing}");
    }
}
