//! Documents as a model: random ones, and every form in which CBOR can write them.

use proptest::collection::vec;
use proptest::prelude::*;

/// What CBOR can say, and how it says it.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    Null,
    Undefined,
    Bool(bool),
    /// The number, and in how many bytes at least.
    Integer(i128, u8),
    Float(f64),
    Half(u16),
    Single(f32),
    /// Chunks when it is no single part.
    Text(Vec<String>),
    Bytes(Vec<Vec<u8>>),
    Array(Vec<Document>, bool),
    /// Keys and what they stand for, and whether the length is declared.
    Map(Vec<(Document, Document)>, bool),
    Tag(u64, Box<Document>),
    Simple(u8),
}

pub(crate) const NAMES: [&str; 4] = ["a", "b", "", "a.b"];
pub(crate) const TEXTS: [&str; 7] = ["", "a", "ab", "aab", "b\0", "é", "a.b"];

/// Integers around every edge of comparisons.
pub(crate) fn integers() -> impl Strategy<Value = i128> {
    prop_oneof![
        -3..4_i128,
        prop::sample::select(vec![
            (1 << 53) - 1,
            1 << 53,
            (1 << 53) + 1,
            -(1 << 53) - 1,
            i128::from(i64::MAX),
            i128::from(i64::MIN),
            1 << 63,
            (1 << 64) - 1,
            (1 << 64) - 1024,
            -(1 << 64),
        ]),
    ]
}

/// Floats around the same edges; each of those that are finite is whole when doubled.
pub(crate) fn floats() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![
        0.0,
        -0.0,
        0.5,
        -0.5,
        1.0,
        1.5,
        -2.0,
        9_007_199_254_740_992.0,
        9_007_199_254_740_994.0,
        -9_007_199_254_740_992.0,
        9_223_372_036_854_775_808.0,
        18_446_744_073_709_551_616.0,
        -18_446_744_073_709_551_616.0,
        18_446_744_073_709_549_568.0,
        1e30,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ])
}

pub(crate) fn leaves() -> impl Strategy<Value = Document> {
    let texts = prop::sample::select(&TEXTS[..]).prop_map(str::to_owned);
    let parts = prop::sample::select(vec![vec![], vec![0_u8], vec![1, 0], b"ab".to_vec()]);
    prop_oneof![
        1 => Just(Document::Null),
        1 => Just(Document::Undefined),
        1 => any::<bool>().prop_map(Document::Bool),
        3 => (integers(), 0..9_u8).prop_map(|(number, width)| Document::Integer(number, width)),
        2 => floats().prop_map(Document::Float),
        1 => prop::sample::select(vec![0x3c00, 0x3e00, 0x8000, 0x7c00, 0x7e00, 0xc000])
            .prop_map(Document::Half),
        1 => prop::sample::select(vec![1.0_f32, 1.5, f32::NAN, -0.0, 9_007_199_254_740_992.0])
            .prop_map(Document::Single),
        3 => texts.clone().prop_map(|text| Document::Text(vec![text])),
        1 => vec(texts, 0..4).prop_map(Document::Text),
        1 => vec(parts, 0..3).prop_map(Document::Bytes),
        1 => prop::sample::select(vec![0_u8, 19, 32, 255]).prop_map(Document::Simple),
    ]
}

fn keys() -> impl Strategy<Value = Document> {
    let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
    prop_oneof![
        8 => name.clone().prop_map(|name| Document::Text(vec![name])),
        1 => name.clone().prop_map(|name| Document::Text(vec![name, String::new()])),
        1 => vec(name.clone(), 0..3).prop_map(Document::Text),
        1 => name.prop_map(|name| Document::Bytes(vec![name.into_bytes()])),
        1 => (0..3_i128).prop_map(|number| Document::Integer(number, 0)),
        1 => Just(Document::Array(vec![Document::Text(vec!["a".into()])], true)),
    ]
}

/// Documents that are well-formed, with the fields that [`NAMES`] name, several times at times.
pub(crate) fn documents() -> impl Strategy<Value = Document> {
    let inner = leaves().prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            3 => (vec((keys(), inner.clone()), 0..6), any::<bool>())
                .prop_map(|(entries, declared)| Document::Map(entries, declared)),
            2 => (vec(inner.clone(), 0..5), any::<bool>())
                .prop_map(|(items, declared)| Document::Array(items, declared)),
            1 => (6..300_u64, inner).prop_map(|(tag, inner)| Document::Tag(tag, inner.into())),
        ]
    });
    let map = (vec((keys(), inner.clone()), 1..8), any::<bool>())
        .prop_map(|(entries, declared)| Document::Map(entries, declared))
        .boxed();
    let tagged = map.clone();
    prop_oneof![
        4 => map,
        1 => inner,
        1 => tagged.prop_map(|map| Document::Tag(55_799, map.into())),
    ]
}

impl Document {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0xf6),
            Self::Undefined => out.push(0xf7),
            Self::Bool(truth) => out.push(if *truth { 0xf5 } else { 0xf4 }),
            Self::Integer(number, width) => {
                let (major, argument) = match number {
                    0.. => (0, *number),
                    _ => (1, -1 - number),
                };
                head(out, major, u64::try_from(argument).unwrap(), *width);
            }
            Self::Float(number) => {
                out.push(0xfb);
                out.extend(number.to_be_bytes());
            }
            Self::Half(bits) => {
                out.push(0xf9);
                out.extend(bits.to_be_bytes());
            }
            Self::Single(number) => {
                out.push(0xfa);
                out.extend(number.to_be_bytes());
            }
            Self::Text(parts) => {
                string(
                    out,
                    3,
                    &parts.iter().map(String::as_bytes).collect::<Vec<_>>(),
                );
            }
            Self::Bytes(parts) => {
                string(out, 2, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
            Self::Array(items, declared) => {
                open(out, 4, items.len(), *declared);
                items.iter().for_each(|item| item.write(out));
                out.extend((!declared).then_some(0xff));
            }
            Self::Map(entries, declared) => {
                open(out, 5, entries.len(), *declared);
                for (key, value) in entries {
                    key.write(out);
                    value.write(out);
                }
                out.extend((!declared).then_some(0xff));
            }
            Self::Tag(tag, inner) => {
                head(out, 6, *tag, 0);
                inner.write(out);
            }
            Self::Simple(number @ 0..=23) => out.push(0xe0 | number),
            Self::Simple(number) => out.extend([0xf8, *number]),
        }
    }
}

fn head(out: &mut Vec<u8>, major: u8, argument: u64, least_width: u8) {
    let bytes = argument.to_be_bytes();
    let needed = match argument {
        0..24 => 0,
        24..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x1_0000_0000 => 4,
        _ => 8,
    };
    let width = usize::from(least_width.max(needed));
    let (info, width) = match width {
        0 => (bytes[7], 0),
        1 => (24, 1),
        2 => (25, 2),
        3 | 4 => (26, 4),
        _ => (27, 8),
    };
    out.push(major << 5 | info);
    out.extend(&bytes[8 - width..]);
}

fn open(out: &mut Vec<u8>, major: u8, length: usize, declared: bool) {
    if declared {
        head(out, major, length as u64, 0);
    } else {
        out.push(major << 5 | 31);
    }
}

fn string(out: &mut Vec<u8>, major: u8, parts: &[&[u8]]) {
    let chunk = |out: &mut Vec<u8>, part: &[u8]| {
        head(out, major, part.len() as u64, 0);
        out.extend(part);
    };
    if let [whole] = parts {
        chunk(out, whole);
        return;
    }
    out.push(major << 5 | 31);
    parts.iter().for_each(|part| chunk(out, part));
    out.push(0xff);
}
