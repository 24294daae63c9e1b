//! The smallest parts of the text: words, signs, quoted texts.

use winnow::Parser;
use winnow::combinator::{alt, delimited, opt, terminated};
use winnow::stream::{Stateful, Stream};
use winnow::token::{any, literal, take_while};

use super::fault::{Fault, Result};
use crate::error;
use crate::error::{Error, ErrorKind};
use crate::limits::{MAX_QUERY_TEXT_BYTES, MAX_QUERY_TEXT_NESTING};

/// What is left of the text, and in how many parentheses and `not`s it stands.
pub(super) type Input<'t> = Stateful<&'t str, usize>;

/// Parses all of `text`.
///
/// # Errors
/// `TooLarge` when the text is too long, `Invalid` when it is not what `parser` takes.
pub(super) fn parse<'t, T>(
    text: &'t str,
    mut parser: impl FnMut(&mut Input<'t>) -> Result<T>,
    end: &'static str,
) -> error::Result<T> {
    if text.len() > MAX_QUERY_TEXT_BYTES {
        let message = format!(
            "the text has {} bytes; at most {MAX_QUERY_TEXT_BYTES} are allowed",
            text.len()
        );
        return Err(Error::new(ErrorKind::TooLarge, "parse query", message));
    }
    let mut input = Input {
        input: text,
        state: 0,
    };
    let parsed = space(&mut input).and_then(|()| parser(&mut input));
    let whole = parsed.and_then(|parsed| match input.is_empty() {
        true => Ok(parsed),
        false => Err(Fault::expected(&input, end)),
    });
    whole.map_err(|fault| fault.into_error(text))
}

/// Takes what `inner` takes, one level further in.
pub(super) fn nested<'t, T>(
    input: &mut Input<'t>,
    inner: impl FnOnce(&mut Input<'t>) -> Result<T>,
) -> Result<T> {
    if input.state == MAX_QUERY_TEXT_NESTING {
        let problem = format!("nested deeper than {MAX_QUERY_TEXT_NESTING}");
        return Err(Fault::problem(input, problem));
    }
    input.state += 1;
    let parsed = inner(input)?;
    input.state -= 1;
    Ok(parsed)
}

pub(super) fn space(input: &mut Input<'_>) -> Result<()> {
    take_while(0.., char::is_whitespace)
        .void()
        .parse_next(input)
}

/// A letter or `_`, and then digits as well.
pub(super) fn word<'t>(input: &mut Input<'t>) -> Result<&'t str> {
    if !input.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return Err(Fault::expected(input, "a word"));
    }
    let of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    terminated(take_while(1.., of_word), space).parse_next(input)
}

/// Takes this word, in small letters or capitals, if it stands there.
pub(super) fn has_keyword(input: &mut Input<'_>, keyword: &str) -> Result<bool> {
    let is = |found: &&str| found.eq_ignore_ascii_case(keyword);
    let found = opt(word.verify(is)).parse_next(input)?;
    Ok(found.is_some())
}

/// Takes this word, which must stand there; `what` says so.
pub(super) fn keyword(input: &mut Input<'_>, keyword: &str, what: &'static str) -> Result<()> {
    match has_keyword(input, keyword)? {
        true => Ok(()),
        false => Err(Fault::expected(input, what)),
    }
}

/// Takes this sign, if it stands there.
pub(super) fn has_sign(input: &mut Input<'_>, sign: &'static str) -> Result<bool> {
    let found = opt(terminated(literal(sign), space)).parse_next(input)?;
    Ok(found.is_some())
}

/// Takes the first of these signs that stands there.
pub(super) fn sign_of<T: Copy, const N: usize>(
    input: &mut Input<'_>,
    signs: [(&'static str, T); N],
) -> Result<Option<T>> {
    for (sign, meaning) in signs {
        if has_sign(input, sign)? {
            return Ok(Some(meaning));
        }
    }
    Ok(None)
}

/// Takes this sign, which must stand there; `what` says so.
pub(super) fn sign(input: &mut Input<'_>, sign: &'static str, what: &'static str) -> Result<()> {
    match has_sign(input, sign)? {
        true => Ok(()),
        false => Err(Fault::expected(input, what)),
    }
}

/// Takes what stands between two of `quote`, of which the first was seen.
pub(super) fn quoted(input: &mut Input<'_>, quote: char) -> Result<String> {
    any.void().parse_next(input)?;
    let mut text = String::new();
    loop {
        let plain = take_while(0.., |c| c != quote && c != '\\').parse_next(input)?;
        text.push_str(plain);
        if input.is_empty() {
            let what = if quote == '`' {
                "a closing backtick"
            } else {
                "a closing quote"
            };
            return Err(Fault::expected(input, what));
        }
        if any.parse_next(input)? == quote {
            space(input)?;
            return Ok(text);
        }
        text.push(escaped(input)?);
    }
}

/// What stands for a character after a backslash.
fn escaped(input: &mut Input<'_>) -> Result<char> {
    let before = input.checkpoint();
    let simple = alt((
        '"'.value('"'),
        '`'.value('`'),
        '\\'.value('\\'),
        'n'.value('\n'),
        'r'.value('\r'),
        't'.value('\t'),
    ));
    if let Some(found) = opt(simple).parse_next(input)? {
        return Ok(found);
    }
    let hex = take_while(1..=6, |c: char| c.is_ascii_hexdigit());
    let found = opt(delimited("u{", hex, '}')).parse_next(input)?;
    let code = found.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    code.and_then(char::from_u32).ok_or_else(|| {
        input.reset(&before);
        Fault::expected(
            input,
            "`\"`, `` ` ``, `\\`, `n`, `r`, `t` or `u{…}` after the backslash",
        )
    })
}
