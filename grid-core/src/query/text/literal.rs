//! Literals in text.

use std::fmt;

use winnow::Parser;
use winnow::combinator::{opt, preceded, terminated};
use winnow::stream::Stream;
use winnow::token::{one_of, take_while};

use super::fault::{Fault, Result};
use super::input::{Input, has_keyword, quoted, space};
use super::write::write_quoted;
use crate::query::Literal;
use crate::query::hex::write_hex;

const WHAT: &str = "a literal (`null`, `true`, `false`, a number, \"text\", h'00ff')";

pub(super) fn literal(input: &mut Input<'_>) -> Result<Literal> {
    match input.chars().next() {
        Some('"') => quoted(input, '"').map(Literal::from),
        Some('h') if input.starts_with("h'") => bytes(input),
        Some('-' | '0'..='9') => number(input),
        _ => named(input),
    }
}

fn named(input: &mut Input<'_>) -> Result<Literal> {
    let words = [
        ("null", Literal::Null),
        ("true", Literal::Bool(true)),
        ("false", Literal::Bool(false)),
        ("inf", Literal::Float(f64::INFINITY)),
        ("nan", Literal::Float(f64::NAN)),
    ];
    for (word, literal) in words {
        if has_keyword(input, word)? {
            return Ok(literal);
        }
    }
    Err(Fault::expected(input, WHAT))
}

fn digits<'t>(input: &mut Input<'t>) -> Result<&'t str> {
    take_while(1.., |c: char| c.is_ascii_digit()).parse_next(input)
}

fn number(input: &mut Input<'_>) -> Result<Literal> {
    let before = input.checkpoint();
    if opt('-').parse_next(input)?.is_some() && has_keyword(input, "inf")? {
        return Ok(Literal::Float(f64::NEG_INFINITY));
    }
    if !input.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Fault::expected(input, "a digit"));
    }
    input.reset(&before);
    // A range goes on with two dots, which are no fraction.
    let fraction = opt(('.', digits));
    let exponent = opt((one_of(['e', 'E']), opt(one_of(['+', '-'])), digits));
    let found = (opt('-'), digits, fraction, exponent)
        .take()
        .parse_next(input)?;
    let literal = if found.contains(['.', 'e', 'E']) {
        found
            .parse()
            .ok()
            .filter(|float: &f64| float.is_finite())
            .map(Literal::Float)
    } else {
        let integer = found.parse().ok().map(Literal::Integer);
        integer.filter(|integer| integer.check().is_ok())
    };
    let literal = literal.ok_or_else(|| {
        input.reset(&before);
        Fault::problem(input, format!("the number {found} is beyond 64 bits"))
    })?;
    space(input)?;
    Ok(literal)
}

/// A byte string, as CBOR's diagnostic notation has it.
fn bytes(input: &mut Input<'_>) -> Result<Literal> {
    let digit = |c: char| c.is_ascii_hexdigit();
    let found = preceded("h'", take_while(0.., digit)).parse_next(input)?;
    if !input.starts_with('\'') {
        return Err(Fault::expected(input, "a hexadecimal digit or `'`"));
    }
    let (pairs, odd) = found.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Fault::expected(input, "one more hexadecimal digit"));
    }
    terminated('\'', space).void().parse_next(input)?;
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let byte = |[high, low]: &[u8; 2]| Some(value(*high)? << 4 | value(*low)?);
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes
        .map(Literal::from)
        .ok_or_else(|| Fault::expected(input, WHAT))
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) if number.is_nan() => f.write_str("nan"),
            // With a point or an exponent always, which tells it from an integer.
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => write_quoted(f, text, '"'),
            Self::Bytes(bytes) => {
                f.write_str("h'")?;
                write_hex(f, bytes)?;
                f.write_str("'")
            }
        }
    }
}
