//! The last step of a write: effects become state.

use super::effects::Effects;
use super::lookup::{Sought, find_all};
use super::machine::Partition;
use super::map_state::Change;
use crate::error::{Error, ErrorKind, Result};

/// What applying effects changed, so that the roots of views can follow: one item for each record
/// of the effects, in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    pub(super) changes: Vec<Option<Change>>,
}

impl Partition {
    /// Puts effects into the state. It reads no clock, policy or resolver, so that replaying the
    /// journal gives the state that was there before.
    ///
    /// # Errors
    /// `Diverged` when the effects do not follow on this state: then nothing was changed.
    pub fn apply(&mut self, effects: &Effects) -> Result<Applied> {
        if effects.base != self.sequence {
            return Err(Error::new(
                ErrorKind::Diverged,
                "apply effects",
                "a journalled batch does not follow on the state before it",
            )
            .with("partition", self.id())
            .with("sequence", self.sequence)
            .with("batch follows", effects.base));
        }
        let indexes: Vec<usize> = effects.maps.iter().map(|map| self.map_index(map)).collect();
        let sought: Vec<Sought<'_>> = effects
            .records
            .iter()
            .map(|each| Sought {
                map: self.maps.get(indexes[each.map as usize]),
                key: each.record.key.as_bytes(),
            })
            .collect();
        let found = find_all(self.config.seed, &sought);
        let changes = effects
            .records
            .iter()
            .zip(found)
            .map(|(each, found)| {
                let index = indexes[each.map as usize];
                let map = &mut self.maps[index];
                if let Some(pass) = &mut self.pass
                    && let Some(number) = found.slot
                    && let Some(slot) = map.slot(number)
                {
                    pass.displaces(&self.ahead, index, number, slot.sequence);
                }
                map.put(found, &each.record)
            })
            .collect();
        self.sequence = effects.sequence_after();
        self.epochs += u64::from(effects.begins_epoch);
        self.clock = self.clock.max(effects.clock);
        self.latest_ms = self.latest_ms.max(effects.at_ms);
        for update in &effects.runs {
            self.runs.update(update);
        }
        self.forget(effects);
        for index in indexes {
            self.maps[index].keep_shape();
        }
        if effects.mark {
            self.horizon.mark(effects.at_ms, self.sequence);
        }
        Ok(Applied { changes })
    }

    fn forget(&mut self, effects: &Effects) {
        for (run, through) in &effects.stored {
            self.runs.stored(*run, *through);
        }
        for run in &effects.released {
            self.runs.release(*run, effects.at_ms);
        }
        for run in &effects.forgotten {
            self.runs.forget(*run);
        }
        if let Some((through, highest)) = effects.collect {
            let after = self.horizon.collected_through;
            for map in &mut self.maps {
                map.collect(after, through);
                map.keep_shape();
            }
            self.horizon.collected(through, highest);
        }
    }
}
