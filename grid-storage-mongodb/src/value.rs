//! Values as BSON, where it can hold them without loss.

use grid_core::codec::Data;
use mongodb::bson::{Bson, Document};

/// The size beyond which a value has no readable copy, in bytes of BSON.
const MAX_COPY_BYTES: usize = 2 * 1024 * 1024;
/// What a field costs beside its name and its value: type, end of name, and what a length needs.
const FIELD_BYTES: usize = 8;

/// `value` as BSON and the bytes that it takes up at most, or `None` when a document would say
/// something else, or would be too large.
///
/// Names that are empty, hold a dot or start with `$` mean something to MongoDB; numbers beyond
/// 64 bits do not exist, and infinities are not kept by all that speak its protocol.
pub(crate) fn of_value(value: &[u8]) -> Option<(Bson, usize)> {
    let data = Data::read(value)?;
    let mut bytes = 0;
    let copy = of_data(&data, &mut bytes)?;
    Some((copy, bytes))
}

fn of_data(data: &Data<'_>, bytes: &mut usize) -> Option<Bson> {
    *bytes += FIELD_BYTES;
    if *bytes > MAX_COPY_BYTES {
        return None;
    }
    Some(match data {
        Data::Null => Bson::Null,
        Data::Bool(truth) => Bson::Boolean(*truth),
        Data::Integer(number) => match i32::try_from(*number) {
            Ok(small) => Bson::Int32(small),
            Err(_) => Bson::Int64(i64::try_from(*number).ok()?),
        },
        Data::Float(number) => Bson::Double(Some(*number).filter(|number| number.is_finite())?),
        Data::Text(text) if text.contains('\0') => return None,
        Data::Text(text) => {
            *bytes += text.len();
            Bson::String((*text).to_owned())
        }
        Data::Array(items) => {
            // A list is a document whose names are numbers.
            *bytes += items.len() * 6;
            let items = items.iter().map(|item| of_data(item, bytes));
            Bson::Array(items.collect::<Option<_>>()?)
        }
        Data::Map(entries) => {
            let mut document = Document::new();
            for (name, item) in entries {
                if name.is_empty() || name.starts_with('$') || name.contains(['.', '\0']) {
                    return None;
                }
                *bytes += name.len();
                document.insert(*name, of_data(item, bytes)?);
            }
            Bson::Document(document)
        }
    })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Bson, bson, doc};

    use super::of_value;

    #[test]
    fn plain_values_are_documents_in_their_own_order() {
        for (value, expected) in [
            (&b"\xf6"[..], Bson::Null),
            (b"\x05", Bson::Int32(5)),
            (
                b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff",
                Bson::Int64(i64::MAX),
            ),
            (b"\xf9\x3c\x00", Bson::Double(1.0)),
            (b"\x82\xf5\x61a", bson!([true, "a"])),
            (
                b"\xa2\x61z\x20\x61a\xa0",
                Bson::Document(doc! {"z": -1, "a": {}}),
            ),
        ] {
            let copy = of_value(value).map(|(copy, _)| copy);
            assert_eq!(copy, Some(expected), "{value:x?}");
        }
    }

    #[test]
    fn what_bson_would_lose_or_read_otherwise_is_left_to_the_bytes() {
        for value in [
            &b"\x41x"[..],
            b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", // beyond 64 bits
            b"\xf9\x7c\x00",                         // infinity
            b"\x62a\0",
            b"\xa1\x60\x01",    // an empty name
            b"\xa1\x62$x\x01",  // an operator
            b"\xa1\x63a.b\x01", // a path
            b"\xa1\x62a\0\x01", // the end of a name
        ] {
            assert_eq!(of_value(value), None, "{value:x?}");
        }
        let hundred = [&b"\x98\x64"[..], &[0; 100]].concat();
        let (copy, counted) = of_value(&hundred).unwrap();
        let written = mongodb::bson::serialize_to_vec(&mongodb::bson::doc! { "value": copy });
        assert!(
            written.unwrap().len() <= counted + 32,
            "small numbers in a list grow"
        );
        let many = [&b"\x9a\x00\x10\x00\x00"[..], &[0; 1 << 20]].concat();
        assert_eq!(of_value(&many), None, "a million small numbers");
    }
}
