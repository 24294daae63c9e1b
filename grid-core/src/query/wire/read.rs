//! Reading queries: what is no query, and what is one of a later version.

use bytes::Bytes;

use super::kind::{
    AND, COMPARE, CONTAINS, EXISTS, IN, NAN, NOT, NULL_OR_MISSING, OR, PREFIX, RANGE, comparison,
    direction,
};
use crate::codec::Reader;
use crate::codec::head::{
    ARRAY, BYTES, FALSE, FLOAT64, MAP, NEGATIVE, NULL, SIMPLE, TAG, TEXT, TRUE, UINT,
};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_ORDER_FIELDS, MAX_QUERY_BYTES};
use crate::query::bounds::Bounds;
use crate::query::filter::Filter;
use crate::query::literal::Literal;
use crate::query::order::{Direction, Order, too_many_fields};
use crate::query::path::Path;
use crate::query::query::Query;
use crate::query::test::{End, Test};
use crate::traits::CodecLimits;

const OPERATION: &str = "decode query";

pub(in crate::query) fn read(encoded: &Bytes) -> Result<Query> {
    let limits = CodecLimits {
        max_frame_bytes: MAX_QUERY_BYTES,
        ..CodecLimits::default()
    };
    let mut decoder = Decoder {
        reader: Reader::of_frame(encoded, &limits)?,
        bounds: Bounds::new(OPERATION),
    };
    let query = decoder.query()?;
    decoder.reader.finish()?;
    Ok(query)
}

/// The error that says which part a later version must have written.
fn unsupported(part: impl std::fmt::Display) -> Error {
    let message = format!("this version does not know {part} of a query; ask without it");
    Error::new(ErrorKind::Unsupported, OPERATION, message)
}

struct Decoder<'a> {
    reader: Reader<'a>,
    /// What was read or announced.
    bounds: Bounds,
}

impl Decoder<'_> {
    fn query(&mut self) -> Result<Query> {
        self.fields("a query", 3)?;
        let filter = self.filter(0)?;
        let order = self.order()?;
        let limit = self.reader.option(Reader::u32)?;
        if limit == Some(0) {
            return Err(self.reader.error("the limit of a query is 0"));
        }
        Ok(Query {
            filter,
            order,
            limit,
        })
    }

    /// Starts a tuple of exactly `fields` fields.
    fn fields(&mut self, part: &str, fields: usize) -> Result<()> {
        let found = self.reader.tuple(0)?.left();
        self.expect(part, fields, found)
    }

    /// Fields are only ever added behind those that are known.
    fn expect(&self, part: &str, fields: usize, found: usize) -> Result<()> {
        if found == fields {
            return Ok(());
        }
        if found > fields {
            return Err(unsupported(format!("field {} of {part}", fields + 1)));
        }
        let message = format!("{part} has {found} fields in place of {fields}");
        Err(self.reader.error(message))
    }

    fn order(&mut self) -> Result<Order> {
        let fields = self.reader.list(2)?;
        if fields > MAX_ORDER_FIELDS {
            return Err(too_many_fields(OPERATION, fields));
        }
        let mut order = Order::by_key();
        for _ in 0..fields {
            self.fields("a field of an order", 2)?;
            let path = self.path()?;
            if order.has_decided(&path) {
                let message = "an order has a field that cannot decide any more";
                return Err(self.reader.error(message));
            }
            let direction = self.direction()?;
            order = order.then(path, direction);
        }
        Ok(order)
    }

    fn direction(&mut self) -> Result<Direction> {
        let number = self.reader.u64()?;
        direction(number).ok_or_else(|| unsupported(format!("direction {number} of an order")))
    }

    /// Reads the kind before anything else, so that what is not known is told as that.
    fn filter(&mut self, depth: usize) -> Result<Filter> {
        let mut tuple = self.reader.tuple(1)?;
        let kind = self.reader.u64()?;
        if kind > NULL_OR_MISSING {
            return Err(unsupported(format!("a filter of kind {kind}")));
        }
        self.bounds.depth(depth)?;
        self.bounds.parts(1)?;
        let rest = tuple.left();
        self.reader.more(&mut tuple, 1)?;
        match kind {
            AND => Ok(Filter::And(self.list(rest, depth)?)),
            OR => Ok(Filter::Or(self.list(rest, depth)?)),
            NOT => {
                self.expect("`not`", 1, rest)?;
                Ok(!self.filter(depth + 1)?)
            }
            _ => {
                let path = self.path()?;
                self.bounds.parts(path.names().len())?;
                let test = self.test(kind, rest - 1)?;
                Ok(Filter::Field { path, test })
            }
        }
    }

    fn list(&mut self, fields: usize, depth: usize) -> Result<Vec<Filter>> {
        self.expect("`and`, `or`", 1, fields)?;
        let count = self.reader.list(2)?;
        // Before room for them is made; each counts when it is read.
        self.bounds.room_for(count)?;
        (0..count).map(|_| self.filter(depth + 1)).collect()
    }

    /// Reads what comes after the path: so many `fields`.
    fn test(&mut self, kind: u64, fields: usize) -> Result<Test> {
        Ok(match kind {
            COMPARE => {
                self.expect("a comparison", 2, fields)?;
                let number = self.reader.u64()?;
                let Some(comparison) = comparison(number) else {
                    return Err(unsupported(format!("comparison {number}")));
                };
                Test::Compare(comparison, self.literal()?)
            }
            RANGE => {
                self.expect("a range", 4, fields)?;
                let (low, high) = (self.end()?, self.end()?);
                Test::Range { low, high }
            }
            IN => {
                self.expect("`in`", 1, fields)?;
                let count = self.reader.list(1)?;
                self.bounds.room_for(count)?;
                let literals: Result<_> = (0..count).map(|_| self.literal()).collect();
                Test::In(literals?)
            }
            PREFIX => {
                self.expect("a prefix", 1, fields)?;
                self.bounds.parts(1)?;
                Test::Prefix(self.reader.text()?.to_owned())
            }
            CONTAINS => {
                self.expect("`contains`", 1, fields)?;
                self.bounds.scan()?;
                Test::Contains(self.literal()?)
            }
            EXISTS => {
                self.expect("`exists`", 0, fields)?;
                Test::Exists
            }
            NULL_OR_MISSING => {
                self.expect("null or missing", 0, fields)?;
                Test::NullOrMissing
            }
            other => return Err(unsupported(format!("a filter of kind {other}"))),
        })
    }

    fn end(&mut self) -> Result<End> {
        Ok(End {
            literal: self.literal()?,
            inclusive: self.reader.bool()?,
        })
    }

    fn path(&mut self) -> Result<Path> {
        match (self.reader.peek()?, self.reader.peek()? >> 5) {
            (NULL, _) => {
                self.reader.raw_byte()?;
                Ok(Path::key())
            }
            (_, ARRAY) => {
                let names = self.reader.list(1)?;
                Path::check_length(OPERATION, names)?;
                (0..names).map(|_| self.reader.text()).collect()
            }
            (_, major) => Err(unsupported(format!("a path of CBOR's major type {major}"))),
        }
    }

    fn literal(&mut self) -> Result<Literal> {
        self.bounds.parts(1)?;
        let reader = &mut self.reader;
        let first = reader.peek()?;
        match (first, first >> 5) {
            (NULL, _) => reader.raw_byte().map(|_| Literal::Null),
            (FALSE | TRUE, _) => reader.bool().map(Literal::Bool),
            (FLOAT64, _) => self.float(),
            (_, UINT | NEGATIVE) => reader.integer().map(Literal::Integer),
            (_, TEXT) => reader.text().map(Literal::from),
            // A copy, because a literal may live longer than the frame around it should.
            (_, BYTES) => reader
                .bytes_ref()
                .map(|bytes| Literal::from(bytes.to_vec())),
            (_, major @ (ARRAY | MAP | TAG)) => Err(unsupported(format!(
                "a literal of CBOR's major type {major}"
            ))),
            (_, SIMPLE) => Err(unsupported(format!("the literal {first:#04x}"))),
            _ => Err(reader.error("expected a literal")),
        }
    }

    fn float(&mut self) -> Result<Literal> {
        let number = self.reader.float()?;
        if number.is_nan() && number.to_bits() != NAN {
            return Err(self.reader.error("NaN is not in its one form"));
        }
        Ok(Literal::Float(number))
    }
}
