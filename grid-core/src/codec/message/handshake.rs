//! Who the peers are and what they speak.

use super::{kind, start};
use crate::codec::reader::Reader;
use crate::codec::writer::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{Hello, Refused, Welcome};

/// Most codecs that a client may offer.
const MAX_CODECS: usize = 16;

/// `[kind, min_version, max_version, codecs, namespace, token, run, now_ms]`
pub(in crate::codec) fn write_hello(writer: &mut Writer<'_>, hello: &Hello) -> Result<()> {
    if hello.codecs.len() > MAX_CODECS {
        return Err(Error::new(
            ErrorKind::TooLarge,
            "write hello",
            format!("a client offers at most {MAX_CODECS} codecs"),
        ));
    }
    if hello.min_version > hello.max_version {
        let message = "the oldest version is newer than the newest";
        return Err(Error::new(ErrorKind::Invalid, "write hello", message));
    }
    start(writer, kind::HELLO, 7);
    writer.u64(hello.min_version.into());
    writer.u64(hello.max_version.into());
    writer.items(&hello.codecs, |writer, codec| writer.text(codec));
    writer.namespace(&hello.namespace);
    writer.option(hello.token.as_deref(), Writer::text);
    writer.run(hello.run);
    writer.u64(hello.now_ms);
    Ok(())
}

pub(super) fn read_hello(reader: &mut Reader<'_>) -> Result<Hello> {
    Ok(Hello {
        min_version: reader.u16()?,
        max_version: reader.u16()?,
        codecs: read_codecs(reader)?,
        namespace: reader.namespace()?,
        token: reader.option(|reader| reader.text().map(str::to_owned))?,
        run: reader.run()?,
        now_ms: reader.u64()?,
    })
}

fn read_codecs(reader: &mut Reader<'_>) -> Result<Vec<String>> {
    let count = reader.list(1)?;
    if count > MAX_CODECS {
        return Err(reader.error(format!("a client offers at most {MAX_CODECS} codecs")));
    }
    (0..count)
        .map(|_| reader.text().map(str::to_owned))
        .collect()
}

/// `[kind, version, codec, now_ms, history, partition_count, digest_key, max_value_bytes,
/// push_window, heartbeat_ms]`
pub(super) fn write_welcome(writer: &mut Writer<'_>, welcome: &Welcome) {
    start(writer, kind::WELCOME, 9);
    writer.u64(welcome.version.into());
    writer.text(&welcome.codec);
    writer.u64(welcome.now_ms);
    writer.history(welcome.history);
    writer.u64(welcome.partition_count.into());
    writer.u64(welcome.digest_key);
    writer.u64(welcome.max_value_bytes.into());
    writer.u64(welcome.push_window.into());
    writer.u64(welcome.heartbeat_ms.into());
}

pub(super) fn read_welcome(reader: &mut Reader<'_>) -> Result<Welcome> {
    Ok(Welcome {
        version: reader.u16()?,
        codec: reader.text()?.to_owned(),
        now_ms: reader.u64()?,
        history: reader.history()?,
        partition_count: reader.u16()?,
        digest_key: reader.u64()?,
        max_value_bytes: reader.u32()?,
        push_window: reader.u32()?,
        heartbeat_ms: reader.u32()?,
    })
}

/// `[kind, code, message, retryable]`
pub(super) fn write_refused(writer: &mut Writer<'_>, refused: &Refused) {
    start(writer, kind::REFUSED, 3);
    writer.u64(refused.code.into());
    writer.text(&refused.message);
    writer.bool(refused.retryable);
}

pub(super) fn read_refused(reader: &mut Reader<'_>) -> Result<Refused> {
    Ok(Refused {
        code: reader.u8()?,
        message: reader.text()?.to_owned(),
        retryable: reader.bool()?,
    })
}
