//! Queries as CBOR.
//!
//! A query is `[filter, [[path, descending], …], limit or null]`. A filter is `[kind, …]`, a path a
//! list of names, a literal itself.

use bytes::{Bytes, BytesMut};

use super::filter::{Comparison, End, Filter, Test, too_deep, too_many_parts, too_many_scans};
use super::literal::Literal;
use super::order::{Direction, Order, too_many_fields};
use super::path::Path;
use super::query::Query;
use crate::codec::head::{BYTES, FALSE, FLOAT64, NEGATIVE, NULL, TEXT, TRUE, UINT};
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::limits::{
    MAX_FILTER_DEPTH, MAX_FILTER_PARTS, MAX_FILTER_SCANS, MAX_ORDER_FIELDS, MAX_QUERY_BYTES,
};
use crate::traits::CodecLimits;

const OPERATION: &str = "decode query";

const AND: u8 = 0;
const OR: u8 = 1;
const NOT: u8 = 2;
const COMPARE: u8 = 3;
const RANGE: u8 = 4;
const IN: u8 = 5;
const PREFIX: u8 = 6;
const CONTAINS: u8 = 7;
const EXISTS: u8 = 8;

/// Comparisons, each at the place of its number.
const COMPARISONS: [Comparison; 6] = [
    Comparison::Eq,
    Comparison::Ne,
    Comparison::Lt,
    Comparison::Le,
    Comparison::Gt,
    Comparison::Ge,
];

fn number(comparison: Comparison) -> u64 {
    match comparison {
        Comparison::Eq => 0,
        Comparison::Ne => 1,
        Comparison::Lt => 2,
        Comparison::Le => 3,
        Comparison::Gt => 4,
        Comparison::Ge => 5,
    }
}

/// Appends a query that is within its bounds.
pub(super) fn write(query: &Query, buffer: &mut BytesMut) {
    let mut writer = Writer::new(buffer);
    writer.tuple(3);
    write_filter(&mut writer, &query.filter);
    writer.items(query.order.fields(), |writer, (path, direction)| {
        writer.tuple(2);
        write_path(writer, path);
        writer.bool(*direction == Direction::Descending);
    });
    writer.option(query.limit, |writer, limit| writer.u64(limit.into()));
}

fn write_filter(writer: &mut Writer<'_>, filter: &Filter) {
    match filter {
        Filter::And(filters) | Filter::Or(filters) => {
            let kind = if matches!(filter, Filter::And(_)) {
                AND
            } else {
                OR
            };
            writer.tuple(2);
            writer.u64(kind.into());
            writer.items(filters, write_filter);
        }
        Filter::Not(inner) => {
            writer.tuple(2);
            writer.u64(NOT.into());
            write_filter(writer, inner);
        }
        Filter::Field { path, test } => write_test(writer, path, test),
    }
}

fn write_test(writer: &mut Writer<'_>, path: &Path, test: &Test) {
    let mut start = |kind: u8, fields: usize| {
        writer.tuple(fields);
        writer.u64(kind.into());
        write_path(writer, path);
    };
    match test {
        Test::Compare(comparison, literal) => {
            start(COMPARE, 4);
            writer.u64(number(*comparison));
            write_literal(writer, literal);
        }
        Test::Range { low, high } => {
            start(RANGE, 6);
            for end in [low, high] {
                write_literal(writer, &end.literal);
                writer.bool(end.inclusive);
            }
        }
        Test::In(literals) => {
            start(IN, 3);
            writer.items(literals, write_literal);
        }
        Test::Prefix(text) => {
            start(PREFIX, 3);
            writer.text(text);
        }
        Test::Contains(literal) => {
            start(CONTAINS, 3);
            write_literal(writer, literal);
        }
        Test::Exists => start(EXISTS, 2),
    }
}

fn write_path(writer: &mut Writer<'_>, path: &Path) {
    writer.list(path.names().len());
    path.names().for_each(|name| writer.text(name));
}

fn write_literal(writer: &mut Writer<'_>, literal: &Literal) {
    match literal {
        Literal::Null => writer.null(),
        Literal::Bool(truth) => writer.bool(*truth),
        Literal::Integer(number) => match u64::try_from(*number) {
            Ok(number) => writer.u64(number),
            // Within CBOR's range the distance from −1 fits.
            Err(_) => writer.below_zero(u64::try_from(!number).unwrap_or(u64::MAX)),
        },
        Literal::Float(number) => writer.float(*number),
        Literal::Text(text) => writer.text(text),
        Literal::Bytes(bytes) => writer.bytes(bytes),
    }
}

pub(super) fn read(encoded: &Bytes) -> Result<Query> {
    let limits = CodecLimits {
        max_frame_bytes: MAX_QUERY_BYTES,
        ..CodecLimits::default()
    };
    let mut decoder = Decoder {
        reader: Reader::of_frame(encoded, &limits)?,
        parts: 0,
        scans: 0,
    };
    let query = decoder.query()?;
    decoder.reader.finish()?;
    Ok(query)
}

struct Decoder<'a> {
    reader: Reader<'a>,
    /// Parts of the filter that were read or announced.
    parts: usize,
    /// Those that are `contains`.
    scans: usize,
}

impl Decoder<'_> {
    fn query(&mut self) -> Result<Query> {
        self.fields(3)?;
        self.count(1)?;
        let filter = self.filter(0)?;
        let fields = self.reader.list(2)?;
        if fields > MAX_ORDER_FIELDS {
            return Err(too_many_fields(OPERATION, fields));
        }
        let mut order = Order::by_key();
        for _ in 0..fields {
            self.fields(2)?;
            let path = self.path()?;
            order = match self.reader.bool()? {
                false => order.ascending(path),
                true => order.descending(path),
            };
        }
        Ok(Query {
            filter,
            order,
            limit: self.reader.option(Reader::u32)?,
        })
    }

    /// Starts a tuple of exactly `fields` fields.
    fn fields(&mut self, fields: usize) -> Result<()> {
        let found = self.reader.tuple(0)?.left();
        self.expect(fields, found)
    }

    fn expect(&self, fields: usize, found: usize) -> Result<()> {
        if found == fields {
            return Ok(());
        }
        let message = format!("a part of a query has {found} fields in place of {fields}");
        Err(self.reader.error(message))
    }

    fn filter(&mut self, depth: usize) -> Result<Filter> {
        if depth > MAX_FILTER_DEPTH {
            return Err(too_deep(OPERATION));
        }
        let mut tuple = self.reader.tuple(1)?;
        let kind = self.reader.u8()?;
        let rest = tuple.left();
        self.reader.more(&mut tuple, 1)?;
        if !matches!(kind, AND | OR | NOT) {
            let path = self.counted_path()?;
            let test = self.test(kind, rest)?;
            return Ok(Filter::Field { path, test });
        }
        self.expect(1, rest)?;
        if kind == NOT {
            self.count(1)?;
            return Ok(!self.filter(depth + 1)?);
        }
        let count = self.reader.list(2)?;
        self.count(count)?;
        let filters: Result<Vec<Filter>> = (0..count).map(|_| self.filter(depth + 1)).collect();
        filters.map(if kind == AND { Filter::And } else { Filter::Or })
    }

    /// Reads what comes after the path; `fields` of the filter came after its kind.
    fn test(&mut self, kind: u8, fields: usize) -> Result<Test> {
        Ok(match kind {
            COMPARE => {
                self.expect(3, fields)?;
                let number = self.reader.u8()?;
                let Some(comparison) = COMPARISONS.get(usize::from(number)) else {
                    let message = format!("comparison {number} is not known");
                    return Err(self.reader.error(message));
                };
                Test::Compare(*comparison, self.literal()?)
            }
            RANGE => {
                self.expect(5, fields)?;
                let (low, high) = (self.end()?, self.end()?);
                Test::Range { low, high }
            }
            IN => {
                self.expect(2, fields)?;
                let count = self.reader.list(1)?;
                // Before room for them is made; each counts when it is read.
                self.check(count)?;
                let literals: Result<_> = (0..count).map(|_| self.literal()).collect();
                Test::In(literals?)
            }
            PREFIX => {
                self.expect(2, fields)?;
                self.count(1)?;
                Test::Prefix(self.reader.text()?.to_owned())
            }
            CONTAINS => {
                self.expect(2, fields)?;
                self.scans += 1;
                if self.scans > MAX_FILTER_SCANS {
                    return Err(too_many_scans(OPERATION));
                }
                Test::Contains(self.literal()?)
            }
            EXISTS => {
                self.expect(1, fields)?;
                Test::Exists
            }
            other => {
                let message = format!("a test of kind {other} is not known");
                return Err(self.reader.error(message));
            }
        })
    }

    fn end(&mut self) -> Result<End> {
        Ok(End {
            literal: self.literal()?,
            inclusive: self.reader.bool()?,
        })
    }

    fn counted_path(&mut self) -> Result<Path> {
        let path = self.path()?;
        self.count(path.names().len())?;
        Ok(path)
    }

    fn path(&mut self) -> Result<Path> {
        let names = self.reader.list(1)?;
        Path::check_length(OPERATION, names)?;
        (0..names).map(|_| self.reader.text()).collect()
    }

    fn literal(&mut self) -> Result<Literal> {
        self.count(1)?;
        let reader = &mut self.reader;
        let first = reader.peek()?;
        match (first, first >> 5) {
            (NULL, _) => reader.option(Reader::bool).map(|_| Literal::Null),
            (FALSE | TRUE, _) => reader.bool().map(Literal::Bool),
            (FLOAT64, _) => reader.float().map(Literal::Float),
            (_, UINT | NEGATIVE) => reader.integer().map(Literal::Integer),
            (_, TEXT) => reader.text().map(Literal::from),
            // A copy, because a literal may live longer than the frame around it should.
            (_, BYTES) => reader
                .bytes_ref()
                .map(|bytes| Literal::from(bytes.to_vec())),
            _ => Err(reader.error("expected a literal")),
        }
    }

    /// Counts parts of the filter.
    fn count(&mut self, parts: usize) -> Result<()> {
        self.check(parts)?;
        self.parts += parts;
        Ok(())
    }

    /// Whether so many more parts are allowed.
    fn check(&self, parts: usize) -> Result<()> {
        if parts > MAX_FILTER_PARTS - self.parts {
            return Err(too_many_parts(OPERATION));
        }
        Ok(())
    }
}
