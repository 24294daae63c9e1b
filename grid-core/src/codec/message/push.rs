//! Ops on their way up, verdicts on their way down.

use super::{kind, start};
use crate::codec::reader::{Reader, Tuple};
use crate::codec::writer::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{Ack, Deferred, Exception, NumberRange, Push, Stored};

/// Fewest bytes of a range: its first number and its count.
const LEAST_RANGE_BYTES: usize = 2;
/// Fewest bytes of an exception: its array's head, its number, and the shortest verdict.
const LEAST_EXCEPTION_BYTES: usize = 4;
/// Fewest bytes of a [`Stored`]: its array's head and three numbers.
const LEAST_STORED_BYTES: usize = 4;

const UNSOUND_RANGE: &str = "a range of op numbers is empty or has no end";

/// `[kind, run, resume, previous, maps, ops]`
pub(super) fn write_push(writer: &mut Writer<'_>, push: &Push) -> Result<()> {
    start(writer, kind::PUSH, 5);
    writer.run(push.run);
    writer.bool(push.resume);
    writer.u64(push.previous);
    writer.ops(push.run, &push.ops)
}

pub(super) fn read_push(reader: &mut Reader<'_>) -> Result<Push> {
    let run = reader.run()?;
    Ok(Push {
        run,
        resume: reader.bool()?,
        previous: reader.u64()?,
        ops: reader.ops(run)?,
    })
}

/// `[kind, run, partition, sequence, [first, count, …], [[number, verdict], …]]`, and the window if
/// there is one.
pub(super) fn write_ack(writer: &mut Writer<'_>, ack: &Ack) -> Result<()> {
    start(writer, kind::ACK, 5 + usize::from(ack.window.is_some()));
    writer.run(ack.run);
    writer.partition(ack.partition);
    writer.sequence(ack.sequence);
    writer.list(2 * ack.accepted.len());
    for range in &ack.accepted {
        if !is_sound(range) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "encode frame",
                UNSOUND_RANGE,
            ));
        }
        writer.u64(range.first);
        writer.u64(range.count);
    }
    writer.items(&ack.exceptions, |writer, exception| {
        writer.tuple(2);
        writer.u64(exception.number);
        writer.verdict(&exception.verdict);
    });
    if let Some(window) = ack.window {
        writer.u64(window.into());
    }
    Ok(())
}

/// Whether whoever loops over the numbers neither finds none nor overflows.
fn is_sound(range: &NumberRange) -> bool {
    range.count > 0 && range.first.checked_add(range.count).is_some()
}

pub(super) fn read_ack(reader: &mut Reader<'_>, tuple: &mut Tuple) -> Result<Ack> {
    // A later version that writes fields after it says so where there is none.
    let window = |reader: &mut Reader<'_>| reader.option(Reader::u32);
    Ok(Ack {
        run: reader.run()?,
        partition: reader.partition()?,
        sequence: reader.sequence()?,
        accepted: reader.pairs(LEAST_RANGE_BYTES, read_range)?,
        exceptions: reader.items(LEAST_EXCEPTION_BYTES, read_exception)?,
        window: reader.trailing(tuple, window)?.flatten(),
    })
}

fn read_range(reader: &mut Reader<'_>) -> Result<NumberRange> {
    let range = NumberRange {
        first: reader.u64()?,
        count: reader.u64()?,
    };
    if is_sound(&range) {
        Ok(range)
    } else {
        Err(reader.error(UNSOUND_RANGE))
    }
}

fn read_exception(reader: &mut Reader<'_>) -> Result<Exception> {
    let tuple = reader.tuple(2)?;
    let number = reader.u64()?;
    let verdict = reader.verdict()?;
    reader.end(tuple)?;
    Ok(Exception { number, verdict })
}

/// `[kind, run, from, message, retry_after_ms]`
pub(super) fn write_deferred(writer: &mut Writer<'_>, deferred: &Deferred) {
    start(writer, kind::DEFERRED, 4);
    writer.run(deferred.run);
    writer.u64(deferred.from);
    writer.text(&deferred.message);
    writer.u64(deferred.retry_after_ms.into());
}

pub(super) fn read_deferred(reader: &mut Reader<'_>) -> Result<Deferred> {
    Ok(Deferred {
        run: reader.run()?,
        from: reader.u64()?,
        message: reader.text()?.to_owned(),
        retry_after_ms: reader.u32()?,
    })
}

/// `[kind, [[run, partition, through], …]]`
pub(super) fn write_stored(writer: &mut Writer<'_>, stored: &[Stored]) {
    start(writer, kind::STORED, 1);
    writer.items(stored, |writer, stored| {
        writer.tuple(3);
        writer.run(stored.run);
        writer.partition(stored.partition);
        writer.u64(stored.through);
    });
}

pub(super) fn read_stored(reader: &mut Reader<'_>) -> Result<Vec<Stored>> {
    reader.items(LEAST_STORED_BYTES, |reader| {
        let tuple = reader.tuple(3)?;
        let stored = Stored {
            run: reader.run()?,
            partition: reader.partition()?,
            through: reader.u64()?,
        };
        reader.end(tuple)?;
        Ok(stored)
    })
}
