//! Values as JSON, where `jsonb` can hold them without loss.

use std::fmt::Write;

use grid_core::codec::Data;

/// `value` as a JSON text, or `None` when `jsonb` would say something else: it has no byte strings
/// and no NUL, and its numbers are neither infinite nor a negative zero.
///
/// The order of keys and the width of numbers are not part of it; the bytes are kept beside.
pub(crate) fn of_value(value: &[u8]) -> Option<String> {
    let data = Data::read(value)?;
    let mut text = String::with_capacity(value.len() + value.len() / 4);
    write(&mut text, &data).then_some(text)
}

/// Whether `data` could be written.
fn write(text: &mut String, data: &Data<'_>) -> bool {
    match data {
        Data::Null => text.push_str("null"),
        Data::Bool(true) => text.push_str("true"),
        Data::Bool(false) => text.push_str("false"),
        Data::Integer(number) => put(text, format_args!("{number}")),
        Data::Float(number) if number.is_finite() && !is_negative_zero(*number) => {
            put(text, format_args!("{number:?}"));
        }
        Data::Float(_) => return false,
        Data::Text(part) => return quote(text, part),
        Data::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(text, index);
                if !write(text, item) {
                    return false;
                }
            }
            text.push(']');
        }
        Data::Map(entries) => {
            text.push('{');
            for (index, (name, item)) in entries.iter().enumerate() {
                separate(text, index);
                if !quote(text, name) {
                    return false;
                }
                text.push(':');
                if !write(text, item) {
                    return false;
                }
            }
            text.push('}');
        }
    }
    true
}

fn is_negative_zero(number: f64) -> bool {
    number == 0.0 && number.is_sign_negative()
}

fn separate(text: &mut String, index: usize) {
    if index > 0 {
        text.push(',');
    }
}

fn put(text: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _written = text.write_fmt(part);
}

fn quote(text: &mut String, part: &str) -> bool {
    text.push('"');
    for character in part.chars() {
        match character {
            '\0' => return false,
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            ' '.. => text.push(character),
            control => put(text, format_args!("\\u{:04x}", u32::from(control))),
        }
    }
    text.push('"');
    true
}

#[cfg(test)]
mod tests {
    use super::of_value;

    #[test]
    fn plain_values_are_written_as_json() {
        for (value, text) in [
            (&b"\xf6"[..], "null"),
            (
                b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
                "18446744073709551615",
            ),
            (
                b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
                "-18446744073709551616",
            ),
            (b"\xf9\x3c\x00", "1.0"),
            (
                b"\xfb\x7f\xef\xff\xff\xff\xff\xff\xff",
                "1.7976931348623157e308",
            ),
            (b"\x65a\"\\\n\x7f", r#""a\"\\\u000a"#),
            (
                b"\xa2\x61b\x82\xf5\xf4\x61a\xa0",
                r#"{"b":[true,false],"a":{}}"#,
            ),
        ] {
            let text = text.replace(r"\u000a", "\\u000a\u{7f}\"");
            assert_eq!(of_value(value).as_deref(), Some(&*text), "{value:x?}");
        }
    }

    #[test]
    fn what_jsonb_would_lose_is_left_to_the_bytes() {
        for value in [
            &b"\x41x"[..],     // bytes
            b"\x63a\0b",       // NUL in a text
            b"\xa1\x61\0\x01", // and in a name
            b"\xf9\x7c\x00",   // infinity
            b"\xf9\x7e\x00",   // no number
            b"\xf9\x80\x00",   // negative zero
            b"\x81\xf9\x80\x00",
            b"not CBOR",
        ] {
            assert_eq!(of_value(value), None, "{value:x?}");
        }
    }
}
