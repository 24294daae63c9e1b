//! The grid's own small types as CBOR fields, for [`Writer`] and [`Reader`] alike.

use std::sync::Arc;

use super::reader::Reader;
use super::writer::Writer;
use crate::address::{Key, MapAddress, MapName, Namespace, PartitionId};
use crate::error::{Error, Result};
use crate::hlc::Hlc;
use crate::op::{OpId, RunId, Stamp};
use crate::protocol::{RejectReason, Verdict};
use crate::record::{History, Sequence};

/// Fewest bytes of a partition and its sequence.
const LEAST_CURSOR_BYTES: usize = 2;

const ACCEPTED: u8 = 0;
const RESTAMPED: u8 = 1;
const SUPERSEDED: u8 = 2;
const REJECTED: u8 = 3;

impl Writer<'_> {
    /// Writes an instant as a number.
    #[inline]
    pub fn hlc(&mut self, hlc: Hlc) {
        self.u64(hlc.as_u64());
    }

    /// Writes the distance from `from` to `to`, modulo 2^64, as a number that may be below 0.
    #[inline]
    pub(super) fn distance(&mut self, from: u64, to: u64) {
        self.i64(to.wrapping_sub(from).cast_signed());
    }

    /// Writes a run as a number.
    #[inline]
    pub fn run(&mut self, run: RunId) {
        self.u64(run.0);
    }

    /// Writes a version as `[hlc, run, number]`.
    pub fn stamp(&mut self, stamp: &Stamp) {
        self.tuple(3);
        self.hlc(stamp.hlc);
        self.run(stamp.op.run);
        self.u64(stamp.op.number);
    }

    /// Writes a key as a text.
    #[inline]
    pub fn key(&mut self, key: &Key) {
        self.text_bytes(key.as_bytes());
    }

    /// Writes a map's name as a text.
    pub fn map_name(&mut self, map: &MapName) {
        self.text(map.as_str());
    }

    /// Writes a namespace as a text.
    pub fn namespace(&mut self, namespace: &Namespace) {
        self.text(namespace.as_str());
    }

    /// Writes a map's address as `[namespace, map]`.
    pub fn address(&mut self, address: &MapAddress) {
        self.tuple(2);
        self.namespace(&address.namespace);
        self.map_name(&address.map);
    }

    /// Writes a partition as a number.
    pub fn partition(&mut self, partition: PartitionId) {
        self.u64(u64::from(partition.0));
    }

    /// Writes a sequence as a number.
    pub fn sequence(&mut self, sequence: Sequence) {
        self.u64(sequence.0);
    }

    /// Writes a history as a number.
    pub fn history(&mut self, history: History) {
        self.u64(history.0);
    }

    /// Writes a root as a byte string of 16, big-endian.
    pub fn root(&mut self, root: u128) {
        self.bytes(&root.to_be_bytes());
    }

    /// Writes a cursor as a flat list: partition, sequence, partition, sequence, …
    pub fn cursor(&mut self, cursor: &[(PartitionId, Sequence)]) {
        self.list(2 * cursor.len());
        for (partition, sequence) in cursor {
            self.partition(*partition);
            self.sequence(*sequence);
        }
    }

    /// Writes a verdict as `[kind, …]`.
    pub fn verdict(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Accepted => {
                self.tuple(1);
                self.u64(ACCEPTED.into());
            }
            Verdict::Restamped(hlc) => {
                self.tuple(2);
                self.u64(RESTAMPED.into());
                self.hlc(*hlc);
            }
            Verdict::Superseded(by) => {
                self.tuple(2);
                self.u64(SUPERSEDED.into());
                self.stamp(by);
            }
            Verdict::Rejected { reason, message } => {
                self.tuple(3);
                self.u64(REJECTED.into());
                self.u64(reason.code().into());
                self.text(message);
            }
        }
    }
}

impl Reader<'_> {
    /// Reads an instant.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn hlc(&mut self) -> Result<Hlc> {
        self.u64().map(Hlc::from_u64)
    }

    /// Reads the number that lies at the written distance from `from`.
    #[inline]
    pub(super) fn distance(&mut self, from: u64) -> Result<u64> {
        Ok(from.wrapping_add(self.i64()?.cast_unsigned()))
    }

    /// Reads a run.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn run(&mut self) -> Result<RunId> {
        self.u64().map(RunId)
    }

    /// Reads a version.
    ///
    /// # Errors
    /// When there is none.
    pub fn stamp(&mut self) -> Result<Stamp> {
        let tuple = self.tuple(3)?;
        let hlc = self.hlc()?;
        let run = self.run()?;
        let number = self.u64()?;
        self.end(tuple)?;
        Ok(Stamp {
            hlc,
            op: OpId { run, number },
        })
    }

    /// Reads a key, which shares the memory that is read from.
    ///
    /// # Errors
    /// When there is none that is allowed.
    #[inline]
    pub fn key(&mut self) -> Result<Key> {
        let bytes = self.text_bytes()?;
        Key::from_bytes(bytes).map_err(|error| self.refused(error))
    }

    /// Reads a map's name.
    ///
    /// # Errors
    /// When there is none that is allowed.
    pub fn map_name(&mut self) -> Result<MapName> {
        let text = self.text()?;
        MapName::new(Arc::from(text)).map_err(|error| self.refused(error))
    }

    /// Reads a namespace.
    ///
    /// # Errors
    /// When there is none that is allowed.
    pub fn namespace(&mut self) -> Result<Namespace> {
        let text = self.text()?;
        Namespace::new(Arc::from(text)).map_err(|error| self.refused(error))
    }

    /// Reads a map's address.
    ///
    /// # Errors
    /// When there is none that is allowed.
    pub fn address(&mut self) -> Result<MapAddress> {
        let tuple = self.tuple(2)?;
        let namespace = self.namespace()?;
        let map = self.map_name()?;
        self.end(tuple)?;
        Ok(MapAddress { namespace, map })
    }

    /// Reads a partition.
    ///
    /// # Errors
    /// When there is none.
    pub fn partition(&mut self) -> Result<PartitionId> {
        self.u16().map(PartitionId)
    }

    /// Reads a sequence.
    ///
    /// # Errors
    /// When there is none.
    pub fn sequence(&mut self) -> Result<Sequence> {
        self.u64().map(Sequence)
    }

    /// Reads a history.
    ///
    /// # Errors
    /// When there is none.
    pub fn history(&mut self) -> Result<History> {
        self.u64().map(History)
    }

    /// Reads a root.
    ///
    /// # Errors
    /// When there is none.
    pub fn root(&mut self) -> Result<u128> {
        self.array_of().map(u128::from_be_bytes)
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// When there is none.
    pub fn cursor(&mut self) -> Result<Vec<(PartitionId, Sequence)>> {
        self.pairs(LEAST_CURSOR_BYTES, |reader| {
            Ok((reader.partition()?, reader.sequence()?))
        })
    }

    /// Reads a verdict.
    ///
    /// # Errors
    /// When there is none that is known.
    pub fn verdict(&mut self) -> Result<Verdict> {
        let mut tuple = self.tuple(1)?;
        let verdict = match self.u8()? {
            ACCEPTED => Verdict::Accepted,
            RESTAMPED => {
                self.more(&mut tuple, 1)?;
                Verdict::Restamped(self.hlc()?)
            }
            SUPERSEDED => {
                self.more(&mut tuple, 1)?;
                Verdict::Superseded(self.stamp()?)
            }
            REJECTED => {
                self.more(&mut tuple, 2)?;
                Verdict::Rejected {
                    reason: RejectReason::from_code(self.u8()?),
                    message: self.text()?.to_owned(),
                }
            }
            other => return Err(self.error(format!("verdict {other} is not known"))),
        };
        self.end(tuple)?;
        Ok(verdict)
    }

    /// Reads a flat list of pairs.
    pub(super) fn pairs<T>(
        &mut self,
        least_bytes: usize,
        mut pair: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let items = self.list(least_bytes / 2)?;
        if items % 2 != 0 {
            return Err(self.error("a list of pairs has an odd count"));
        }
        let mut pairs = Vec::with_capacity(items / 2);
        for _ in 0..items / 2 {
            pairs.push(pair(self)?);
        }
        Ok(pairs)
    }

    /// The error about a name that its type refused.
    #[cold]
    pub(super) fn refused(&self, error: Error) -> Error {
        self.error("a name is not allowed").with_source(error)
    }
}
