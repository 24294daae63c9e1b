//! Reading once, without following a view.

use super::view::{read_selector, write_selector};
use super::{kind, start};
use crate::codec::reader::Reader;
use crate::codec::record::{LEAST_RECORD_BYTES, RecordContext};
use crate::codec::writer::Writer;
use crate::error::Result;
use crate::protocol::{Read, ReadResult, ReadTarget};

const KEY: u8 = 0;
const PAGE: u8 = 1;

/// `[kind, request, map, [target, …]]`
pub(super) fn write_read(writer: &mut Writer<'_>, read: &Read) -> Result<()> {
    start(writer, kind::READ, 3);
    writer.u64(read.request.into());
    writer.map_name(&read.map);
    match &read.target {
        ReadTarget::Key(key) => {
            writer.tuple(2);
            writer.u64(KEY.into());
            writer.key(key);
        }
        ReadTarget::Page {
            selector,
            after,
            limit,
        } => {
            writer.tuple(4);
            writer.u64(PAGE.into());
            write_selector(writer, selector)?;
            writer.option(after.as_ref(), Writer::key);
            writer.u64((*limit).into());
        }
    }
    Ok(())
}

pub(super) fn read_read(reader: &mut Reader<'_>) -> Result<Read> {
    let request = reader.u32()?;
    let map = reader.map_name()?;
    let mut tuple = reader.tuple(1)?;
    let target = match reader.u8()? {
        KEY => {
            reader.more(&mut tuple, 1)?;
            ReadTarget::Key(reader.key()?)
        }
        PAGE => {
            reader.more(&mut tuple, 3)?;
            ReadTarget::Page {
                selector: read_selector(reader)?,
                after: reader.option(Reader::key)?,
                limit: reader.u32()?,
            }
        }
        other => return Err(reader.error(format!("read target {other} is not known"))),
    };
    reader.end(tuple)?;
    Ok(Read {
        request,
        map,
        target,
    })
}

/// `[kind, request, more, [record, …]]`
pub(super) fn write_result(writer: &mut Writer<'_>, result: &ReadResult) {
    start(writer, kind::READ_RESULT, 3);
    writer.u64(result.request.into());
    writer.bool(result.more);
    let mut context = RecordContext::default();
    writer.items(&result.records, |writer, record| {
        writer.record(&mut context, record);
    });
}

pub(super) fn read_result(reader: &mut Reader<'_>) -> Result<ReadResult> {
    let request = reader.u32()?;
    let more = reader.bool()?;
    let mut context = RecordContext::default();
    let records = reader.items(LEAST_RECORD_BYTES, |reader| reader.record(&mut context))?;
    Ok(ReadResult {
        request,
        records,
        more,
    })
}
