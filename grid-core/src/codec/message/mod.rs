//! Every message of the protocol as one array: `[kind, field, …]`.

mod handshake;
mod push;
mod read;
mod repair;
mod view;

use super::reader::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::protocol::{Goodbye, Message, ViewId};

pub(super) use handshake::write_hello;

/// The kinds of messages on the wire; a number is never used again for something else.
mod kind {
    pub(super) const HELLO: u64 = 0;
    pub(super) const WELCOME: u64 = 1;
    pub(super) const REFUSED: u64 = 2;
    pub(super) const RENEW: u64 = 3;
    pub(super) const PUSH: u64 = 4;
    pub(super) const ACK: u64 = 5;
    pub(super) const DEFERRED: u64 = 6;
    pub(super) const STORED: u64 = 7;
    pub(super) const RELEASE: u64 = 8;
    pub(super) const SUBSCRIBE: u64 = 9;
    pub(super) const SUBSCRIBED: u64 = 10;
    pub(super) const SUBSCRIBE_REFUSED: u64 = 11;
    pub(super) const UNSUBSCRIBE: u64 = 12;
    pub(super) const DELTA: u64 = 13;
    pub(super) const CAUGHT_UP: u64 = 14;
    pub(super) const REPAIR: u64 = 15;
    pub(super) const REPAIR_NODES: u64 = 16;
    pub(super) const REPAIR_LEAVES: u64 = 17;
    pub(super) const READ: u64 = 18;
    pub(super) const READ_RESULT: u64 = 19;
    pub(super) const PING: u64 = 20;
    pub(super) const PONG: u64 = 21;
    pub(super) const GOODBYE: u64 = 22;
}

/// Writes `message`.
pub(super) fn write(writer: &mut Writer<'_>, message: &Message) -> Result<()> {
    match message {
        Message::Hello(hello) => return write_hello(writer, hello),
        Message::Welcome(welcome) => handshake::write_welcome(writer, welcome),
        Message::Refused(refused) => handshake::write_refused(writer, refused),
        Message::Renew { token } => {
            start(writer, kind::RENEW, 1);
            writer.text(token);
        }
        Message::Push(push) => return push::write_push(writer, push),
        Message::Ack(ack) => return push::write_ack(writer, ack),
        Message::Deferred(deferred) => push::write_deferred(writer, deferred),
        Message::Stored(stored) => push::write_stored(writer, stored),
        Message::Release(run) => {
            start(writer, kind::RELEASE, 1);
            writer.run(*run);
        }
        Message::Subscribe(subscribe) => return view::write_subscribe(writer, subscribe),
        Message::Subscribed(subscribed) => view::write_subscribed(writer, subscribed),
        Message::SubscribeRefused(refused) => view::write_subscribe_refused(writer, refused),
        Message::Unsubscribe(view) => number(writer, kind::UNSUBSCRIBE, view.0),
        Message::Delta(delta) => view::write_delta(writer, delta),
        Message::CaughtUp(caught_up) => view::write_caught_up(writer, caught_up),
        Message::Repair(repair) => repair::write_repair(writer, repair),
        Message::RepairNodes(nodes) => repair::write_nodes(writer, nodes),
        Message::RepairLeaves(leaves) => repair::write_leaves(writer, leaves),
        Message::Read(read) => return read::write_read(writer, read),
        Message::ReadResult(result) => read::write_result(writer, result),
        Message::Ping(sent) => number(writer, kind::PING, *sent),
        Message::Pong(sent) => number(writer, kind::PONG, *sent),
        Message::Goodbye(goodbye) => {
            start(writer, kind::GOODBYE, 2);
            writer.u64(goodbye.code.into());
            writer.text(&goodbye.message);
        }
    }
    Ok(())
}

/// Reads a message.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Message> {
    let mut tuple = reader.tuple(1)?;
    let kind = reader.u64()?;
    let fields = fields(kind).ok_or_else(|| {
        reader.error(format!("the message is of kind {kind}, which is not known"))
    })?;
    reader.more(&mut tuple, fields)?;
    let message = match kind {
        kind::HELLO => Message::Hello(handshake::read_hello(reader)?),
        kind::WELCOME => Message::Welcome(handshake::read_welcome(reader)?),
        kind::REFUSED => Message::Refused(handshake::read_refused(reader)?),
        kind::RENEW => Message::Renew {
            token: reader.text()?.to_owned(),
        },
        kind::PUSH => Message::Push(push::read_push(reader)?),
        kind::ACK => Message::Ack(push::read_ack(reader, &mut tuple)?),
        kind::DEFERRED => Message::Deferred(push::read_deferred(reader)?),
        kind::STORED => Message::Stored(push::read_stored(reader)?),
        kind::RELEASE => Message::Release(reader.run()?),
        kind::SUBSCRIBE => Message::Subscribe(view::read_subscribe(reader)?),
        kind::SUBSCRIBED => Message::Subscribed(view::read_subscribed(reader)?),
        kind::SUBSCRIBE_REFUSED => Message::SubscribeRefused(view::read_subscribe_refused(reader)?),
        kind::UNSUBSCRIBE => Message::Unsubscribe(ViewId(reader.u64()?)),
        kind::DELTA => Message::Delta(view::read_delta(reader)?),
        kind::CAUGHT_UP => Message::CaughtUp(view::read_caught_up(reader)?),
        kind::REPAIR => Message::Repair(repair::read_repair(reader)?),
        kind::REPAIR_NODES => Message::RepairNodes(repair::read_nodes(reader)?),
        kind::REPAIR_LEAVES => Message::RepairLeaves(repair::read_leaves(reader)?),
        kind::READ => Message::Read(read::read_read(reader)?),
        kind::READ_RESULT => Message::ReadResult(read::read_result(reader)?),
        kind::PING => Message::Ping(reader.u64()?),
        kind::PONG => Message::Pong(reader.u64()?),
        _ => Message::Goodbye(Goodbye {
            code: reader.u8()?,
            message: reader.text()?.to_owned(),
        }),
    };
    reader.end(tuple)?;
    Ok(message)
}

/// How many fields of its own a message of `kind` has in this version.
fn fields(kind: u64) -> Option<usize> {
    Some(match kind {
        kind::RENEW
        | kind::STORED
        | kind::RELEASE
        | kind::UNSUBSCRIBE
        | kind::PING
        | kind::PONG => 1,
        kind::GOODBYE => 2,
        kind::REFUSED
        | kind::SUBSCRIBED
        | kind::SUBSCRIBE_REFUSED
        | kind::REPAIR
        | kind::READ
        | kind::READ_RESULT => 3,
        kind::DEFERRED => 4,
        kind::PUSH | kind::ACK | kind::SUBSCRIBE | kind::CAUGHT_UP | kind::REPAIR_LEAVES => 5,
        kind::REPAIR_NODES => 6,
        kind::HELLO => 7,
        kind::DELTA => 8,
        kind::WELCOME => 9,
        _ => return None,
    })
}

/// Starts a message of `kind` with `fields` fields of its own.
fn start(writer: &mut Writer<'_>, kind: u64, fields: usize) {
    writer.tuple(1 + fields);
    writer.u64(kind);
}

/// Writes a message that is one number.
fn number(writer: &mut Writer<'_>, kind: u64, number: u64) {
    start(writer, kind, 1);
    writer.u64(number);
}
