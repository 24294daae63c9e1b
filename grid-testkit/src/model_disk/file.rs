//! One file: what can be read, what would survive, and the way from one to the other.

use bytes::Bytes;

/// The unit in which a device writes, in bytes.
const BLOCK_BYTES: usize = 4096;

/// A change that is not durable yet.
#[derive(Debug, Clone)]
enum Change {
    /// Bytes at the end. `lost` ones can be read but will never reach the medium.
    Append {
        data: Bytes,
        lost: bool,
    },
    Truncate {
        length: usize,
    },
}

/// A file.
#[derive(Debug, Clone, Default)]
pub(super) struct ModelFile {
    /// What a read sees.
    current: Vec<u8>,
    /// What is on the medium.
    durable: Vec<u8>,
    /// Whether the name is on the medium.
    named: bool,
    changes: Vec<Change>,
    /// Where the medium was spoiled by a write that failed.
    spoiled: Option<usize>,
    /// Whether room may be taken ahead of what is appended.
    grows_ahead: bool,
}

impl ModelFile {
    pub(super) fn len(&self) -> usize {
        self.current.len()
    }

    pub(super) fn current(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn append(&mut self, data: Bytes) {
        self.current.extend_from_slice(&data);
        self.changes.push(Change::Append { data, lost: false });
    }

    /// Room may be taken ahead of what is appended from now on.
    pub(super) fn grow_ahead(&mut self) {
        self.grows_ahead = true;
    }

    /// The room that was taken ahead of what is appended shows, one time out of two.
    pub(super) fn leave_zeros(&mut self) {
        if std::mem::take(&mut self.grows_ahead) {
            // No draw of the seed's: tests without such files go on as they did.
            let random = (self.current.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let zeros =
                vec![0; (random >> 32) as usize % BLOCK_BYTES * usize::from(random >> 63 == 1)];
            self.append(zeros.into());
        }
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.current.truncate(length);
        self.changes.push(Change::Truncate { length });
    }

    /// Brings everything to the medium that can still get there.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            self.persist(change);
        }
        self.named = true;
    }

    /// The name is on the medium.
    pub(super) fn name(&mut self) {
        self.named = true;
    }

    /// A sync that fails: the system takes the unwritten pages for clean from now on.
    pub(super) fn fail_sync(&mut self, spoils: bool) {
        for change in &mut self.changes {
            if let Change::Append { lost, .. } = change {
                *lost = true;
            }
        }
        if spoils {
            self.spoiled = Some(self.durable.len() / BLOCK_BYTES * BLOCK_BYTES);
        }
    }

    /// What is left after a power cut; `None` when not even the name is.
    pub(super) fn crash(mut self, random: &mut fastrand::Rng) -> Option<Self> {
        let survives = self.named || random.bool();
        let certain = self.durable.len();
        let changes = std::mem::take(&mut self.changes);
        let kept = random.usize(..=changes.len());
        let torn = changes.get(kept).cloned();
        for change in changes.into_iter().take(kept) {
            self.persist(change);
        }
        if let Some(Change::Append { data, lost }) = torn {
            let data = data.slice(..random.usize(..=data.len()));
            self.persist(Change::Append { data, lost });
        }
        damage(&mut self.durable, certain, random);
        if let Some(from) = self.spoiled.take().filter(|_| random.bool()) {
            let end = certain.min(self.durable.len()).min(from + BLOCK_BYTES);
            if let Some(block) = self.durable.get_mut(from..end) {
                block.fill_with(|| random.u8(..));
            }
        }
        self.current = self.durable.clone();
        self.named = true;
        self.leave_zeros();
        survives.then_some(self)
    }

    /// Flips the bits of one byte, on the medium and for readers.
    pub(super) fn flip(&mut self, offset: usize) {
        for content in [&mut self.current, &mut self.durable] {
            if let Some(byte) = content.get_mut(offset) {
                *byte = !*byte;
            }
        }
    }

    /// Takes bytes from the end, on the medium and for readers.
    pub(super) fn cut(&mut self, length: usize) {
        self.current.truncate(length);
        self.durable.truncate(length);
        self.changes.clear();
    }

    fn persist(&mut self, change: Change) {
        match change {
            Change::Append { data, lost: false } => self.durable.extend_from_slice(&data),
            Change::Append { data, lost: true } => {
                self.durable.resize(self.durable.len() + data.len(), 0);
            }
            Change::Truncate { length } => {
                self.durable.truncate(length);
                if self.spoiled.is_some_and(|from| from >= length) {
                    self.spoiled = None;
                }
            }
        }
    }
}

/// Damages the part of `content` that was never synced, one time out of two: one byte, a block of
/// zeros, or everything behind some place.
fn damage(content: &mut [u8], certain: usize, random: &mut fastrand::Rng) {
    let uncertain = match content.get_mut(certain..) {
        Some(uncertain) if !uncertain.is_empty() => uncertain,
        _ => return,
    };
    let place = random.usize(..uncertain.len());
    match random.u8(..6) {
        0 => uncertain[place] = !uncertain[place],
        1 => {
            let end = uncertain.len().min(place + random.usize(1..=BLOCK_BYTES));
            uncertain[place..end].fill(0);
        }
        2 => uncertain[place..].fill_with(|| random.u8(..)),
        _ => {}
    }
}
