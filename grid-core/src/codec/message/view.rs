//! Views: asking for one, and what is told about it.

use super::{kind, start};
use crate::codec::reader::Reader;
use crate::codec::record::{LEAST_RECORD_BYTES, RecordContext};
use crate::codec::writer::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_KEY_BYTES;
use crate::protocol::{
    CaughtUp, Delta, DeltaMode, MapDefinition, RejectReason, Selector, Subscribe, SubscribeRefused,
    Subscribed, ViewId,
};

const SELECT_ALL: u8 = 0;
const SELECT_PREFIX: u8 = 1;

const CHANGES: u8 = 0;
const SNAPSHOT: u8 = 1;
const REPAIR: u8 = 2;

/// `[0]` for all, `[1, prefix]` for those with a prefix.
pub(super) fn write_selector(writer: &mut Writer<'_>, selector: &Selector) -> Result<()> {
    match selector {
        Selector::All => {
            writer.tuple(1);
            writer.u64(SELECT_ALL.into());
        }
        Selector::Prefix(prefix) if prefix.len() > MAX_KEY_BYTES => {
            let message = format!("a prefix has at most {MAX_KEY_BYTES} bytes, as a key has");
            return Err(Error::new(ErrorKind::TooLarge, "encode frame", message));
        }
        Selector::Prefix(prefix) => {
            writer.tuple(2);
            writer.u64(SELECT_PREFIX.into());
            writer.text(prefix);
        }
    }
    Ok(())
}

pub(super) fn read_selector(reader: &mut Reader<'_>) -> Result<Selector> {
    let mut tuple = reader.tuple(1)?;
    let selector = match reader.u8()? {
        SELECT_ALL => Selector::All,
        SELECT_PREFIX => {
            reader.more(&mut tuple, 1)?;
            Selector::Prefix(reader.short_text(MAX_KEY_BYTES)?.to_owned())
        }
        other => return Err(reader.error(format!("selector {other} is not known"))),
    };
    reader.end(tuple)?;
    Ok(selector)
}

/// `[kind, request, map, selector, history, cursor]`
pub(super) fn write_subscribe(writer: &mut Writer<'_>, subscribe: &Subscribe) -> Result<()> {
    start(writer, kind::SUBSCRIBE, 5);
    writer.u64(subscribe.request.into());
    writer.map_name(&subscribe.map);
    write_selector(writer, &subscribe.selector)?;
    writer.history(subscribe.history);
    writer.cursor(&subscribe.cursor);
    Ok(())
}

pub(super) fn read_subscribe(reader: &mut Reader<'_>) -> Result<Subscribe> {
    Ok(Subscribe {
        request: reader.u32()?,
        map: reader.map_name()?,
        selector: read_selector(reader)?,
        history: reader.history()?,
        cursor: reader.cursor()?,
    })
}

/// `[kind, request, view, [spread, schema]]`
pub(super) fn write_subscribed(writer: &mut Writer<'_>, subscribed: &Subscribed) {
    start(writer, kind::SUBSCRIBED, 3);
    writer.u64(subscribed.request.into());
    writer.u64(subscribed.view.0);
    writer.tuple(2);
    writer.u64(subscribed.definition.spread.into());
    writer.u64(subscribed.definition.schema.into());
}

pub(super) fn read_subscribed(reader: &mut Reader<'_>) -> Result<Subscribed> {
    let request = reader.u32()?;
    let view = ViewId(reader.u64()?);
    let tuple = reader.tuple(2)?;
    let definition = MapDefinition {
        spread: reader.u16()?,
        schema: reader.u32()?,
    };
    reader.end(tuple)?;
    Ok(Subscribed {
        request,
        view,
        definition,
    })
}

/// `[kind, request, reason, message]`
pub(super) fn write_subscribe_refused(writer: &mut Writer<'_>, refused: &SubscribeRefused) {
    start(writer, kind::SUBSCRIBE_REFUSED, 3);
    writer.u64(refused.request.into());
    writer.u64(refused.reason.code().into());
    writer.text(&refused.message);
}

pub(super) fn read_subscribe_refused(reader: &mut Reader<'_>) -> Result<SubscribeRefused> {
    Ok(SubscribeRefused {
        request: reader.u32()?,
        reason: RejectReason::from_code(reader.u8()?),
        message: reader.text()?.to_owned(),
    })
}

/// `[kind, view, partition, mode, continued, from, to, root, [record, …]]`; the sequence of the
/// first record is relative to `from`.
pub(super) fn write_delta(writer: &mut Writer<'_>, delta: &Delta) {
    start(writer, kind::DELTA, 8);
    writer.u64(delta.view.0);
    writer.partition(delta.partition);
    let mode = match delta.mode {
        DeltaMode::Changes => CHANGES,
        DeltaMode::Snapshot => SNAPSHOT,
        DeltaMode::Repair => REPAIR,
    };
    writer.u64(mode.into());
    writer.bool(delta.continued);
    writer.sequence(delta.from);
    writer.sequence(delta.to);
    writer.option(delta.root, Writer::root);
    let mut context = RecordContext::after(delta.from);
    writer.items(&delta.records, |writer, record| {
        writer.record(&mut context, record);
    });
}

pub(super) fn read_delta(reader: &mut Reader<'_>) -> Result<Delta> {
    let view = ViewId(reader.u64()?);
    let partition = reader.partition()?;
    let mode = match reader.u8()? {
        CHANGES => DeltaMode::Changes,
        SNAPSHOT => DeltaMode::Snapshot,
        REPAIR => DeltaMode::Repair,
        other => return Err(reader.error(format!("delta mode {other} is not known"))),
    };
    let continued = reader.bool()?;
    let from = reader.sequence()?;
    let to = reader.sequence()?;
    let root = reader.option(Reader::root)?;
    let mut context = RecordContext::after(from);
    let records = reader.items(LEAST_RECORD_BYTES, |reader| reader.record(&mut context))?;
    Ok(Delta {
        view,
        partition,
        mode,
        continued,
        from,
        to,
        records,
        root,
    })
}

/// `[kind, view, history, cursor, root, reset]`
pub(super) fn write_caught_up(writer: &mut Writer<'_>, caught_up: &CaughtUp) {
    start(writer, kind::CAUGHT_UP, 5);
    writer.u64(caught_up.view.0);
    writer.history(caught_up.history);
    writer.cursor(&caught_up.cursor);
    writer.root(caught_up.root);
    writer.bool(caught_up.reset);
}

pub(super) fn read_caught_up(reader: &mut Reader<'_>) -> Result<CaughtUp> {
    Ok(CaughtUp {
        view: ViewId(reader.u64()?),
        history: reader.history()?,
        cursor: reader.cursor()?,
        root: reader.root()?,
        reset: reader.bool()?,
    })
}
