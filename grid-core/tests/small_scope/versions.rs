//! Every version of one key over a domain in which all parts tie.

use bytes::Bytes;
use grid_core::{Hlc, Key, OpId, Record, RunId, Sequence, Stamp};

/// Times that differ in the counter, and in the milliseconds against the counter.
pub(crate) const TIMES: [Hlc; 3] = [Hlc::new(7, 1), Hlc::new(7, u16::MAX), Hlc::new(8, 0)];

pub(crate) fn key() -> Key {
    Key::new("k").unwrap()
}

/// Three times, two runs, two numbers, a tombstone and two values, three lifetimes.
pub(crate) fn all() -> Vec<Record> {
    let mut all = Vec::new();
    for hlc in TIMES {
        for run in [1, 2] {
            for number in [1, 2] {
                for value in [None, Some(&b"\x01"[..]), Some(b"\x02")] {
                    for expires_at_ms in [None, Some(90), Some(91)] {
                        let op = OpId {
                            run: RunId(run),
                            number,
                        };
                        all.push(Record {
                            key: key(),
                            value: value.map(Bytes::from_static),
                            stamp: Stamp { hlc, op },
                            sequence: Sequence::ZERO,
                            expires_at_ms,
                        });
                    }
                }
            }
        }
    }
    all
}
