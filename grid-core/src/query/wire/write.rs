//! Writing queries.

use bytes::BytesMut;

use super::kind::{
    AND, COMPARE, CONTAINS, EXISTS, IN, NAN, NOT, NULL_OR_MISSING, OR, PREFIX, RANGE,
    of_comparison, of_direction,
};
use crate::codec::Writer;
use crate::query::filter::Filter;
use crate::query::literal::Literal;
use crate::query::path::Path;
use crate::query::query::Query;
use crate::query::test::Test;

/// Appends a query that is within its bounds.
pub(in crate::query) fn write(query: &Query, buffer: &mut BytesMut) {
    let mut writer = Writer::new(buffer);
    writer.tuple(3);
    write_filter(&mut writer, &query.filter);
    writer.items(query.order.fields(), |writer, (path, direction)| {
        writer.tuple(2);
        write_path(writer, path);
        writer.u64(of_direction(*direction));
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
            writer.u64(kind);
            writer.items(filters, write_filter);
        }
        Filter::Not(inner) => {
            writer.tuple(2);
            writer.u64(NOT);
            write_filter(writer, inner);
        }
        Filter::Field { path, test } => write_test(writer, path, test),
    }
}

fn write_test(writer: &mut Writer<'_>, path: &Path, test: &Test) {
    let mut start = |kind: u64, fields: usize| {
        writer.tuple(fields);
        writer.u64(kind);
        write_path(writer, path);
    };
    match test {
        Test::Compare(comparison, literal) => {
            start(COMPARE, 4);
            writer.u64(of_comparison(*comparison));
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
        Test::NullOrMissing => start(NULL_OR_MISSING, 2),
    }
}

fn write_path(writer: &mut Writer<'_>, path: &Path) {
    if path.is_key() {
        return writer.null();
    }
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
        Literal::Float(number) if number.is_nan() => writer.float(f64::from_bits(NAN)),
        Literal::Float(number) => writer.float(*number),
        Literal::Text(text) => writer.text(text),
        Literal::Bytes(bytes) => writer.bytes(bytes),
    }
}
