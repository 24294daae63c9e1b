//! Checks the vector files against this build of the crate: a test and the wasm example share it.

use std::fmt::{self, Debug, Display};

use grid_core::address::Placement;
use grid_core::{
    DigestKey, Hlc, Key, MapAddress, MapName, MerkleTree, Namespace, OpId, RunId, Stamp,
};

/// The vector files, by the number under which a [`Mismatch`] names them.
const FILES: [(&str, &str, Check); 3] = [
    ("partition.txt", include_str!("partition.txt"), partition),
    ("digest.txt", include_str!("digest.txt"), digest),
    ("hlc.txt", include_str!("hlc.txt"), hlc),
];

/// Checks one line; what was found in earlier lines comes along.
type Check = fn(&[&str], &mut Before) -> Result<(), String>;

/// What the lines before a line lead up to.
#[derive(Default)]
struct Before {
    tree: MerkleTree,
    hlc: Option<Hlc>,
}

/// The first vector that does not agree.
pub(crate) struct Mismatch {
    /// The file's number, from 0: partition, digest, hlc.
    pub(crate) file: u32,
    /// The line, from 1.
    pub(crate) line: u32,
    message: String,
}

impl Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FILES.get(self.file as usize).map_or("?", |file| file.0);
        write!(f, "{name}:{}: {}", self.line, self.message)
    }
}

/// Checks every vector of every file; how many there are.
pub(crate) fn check_all() -> Result<u32, Mismatch> {
    let mut agreed = 0;
    for (file, (_, text, check)) in (0..).zip(FILES) {
        let mut before = Before::default();
        for (line, text) in (1..).zip(text.lines()) {
            if text.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = text.split(' ').collect();
            check(&fields, &mut before).map_err(|message| Mismatch {
                file,
                line,
                message,
            })?;
            agreed += 1;
        }
    }
    Ok(agreed)
}

fn same<T: PartialEq + Debug>(what: &str, here: &T, file: &T) -> Result<(), String> {
    if here == file {
        Ok(())
    } else {
        Err(format!("{what} is {here:?} here and {file:?} in the file"))
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    if hex == "-" {
        return Ok(Vec::new());
    }
    let pair = |at| {
        let digits = hex.get(at..at + 2).ok_or("half a byte")?;
        u8::from_str_radix(digits, 16).map_err(text)
    };
    (0..hex.len()).step_by(2).map(pair).collect()
}

fn utf8(hex: &str) -> Result<String, String> {
    String::from_utf8(bytes(hex)?).map_err(text)
}

fn number(hex: &str) -> Result<u64, String> {
    u64::from_str_radix(hex, 16).map_err(text)
}

fn partition(fields: &[&str], _before: &mut Before) -> Result<(), String> {
    let [namespace, map, spread, count, key, partition] = fields else {
        return Err("expected 6 fields".to_owned());
    };
    let address = MapAddress {
        namespace: Namespace::new(utf8(namespace)?).map_err(text)?,
        map: MapName::new(utf8(map)?).map_err(text)?,
    };
    let spread = spread.parse().map_err(text)?;
    let count = count.parse().map_err(text)?;
    let key = Key::new(&utf8(key)?).map_err(text)?;
    let here = Placement::new(&address, spread, count).partition(&key);
    same("the partition", &here.to_string().as_str(), partition)
}

fn digest(fields: &[&str], before: &mut Before) -> Result<(), String> {
    let [seed, key, hlc, run, op, value, key_hash, digest, root] = fields else {
        return Err("expected 9 fields".to_owned());
    };
    let stamp = Stamp {
        hlc: Hlc::from_u64(number(hlc)?),
        op: OpId {
            run: RunId(number(run)?),
            number: number(op)?,
        },
    };
    let entry = DigestKey(number(seed)?).entry(&bytes(key)?, &stamp, &bytes(value)?);
    same(
        "the key hash",
        &format!("{:016x}", entry.key_hash).as_str(),
        key_hash,
    )?;
    same(
        "the digest",
        &format!("{:032x}", entry.digest).as_str(),
        digest,
    )?;
    before.tree.insert(entry);
    let here = format!("{:032x}", before.tree.root());
    same("the root", &here.as_str(), root)
}

fn hlc(fields: &[&str], before: &mut Before) -> Result<(), String> {
    let [millis, counter, binary, shown] = fields else {
        return Err("expected 4 fields".to_owned());
    };
    let hlc = Hlc::new(
        millis.parse().map_err(text)?,
        counter.parse().map_err(text)?,
    );
    same(
        "the binary form",
        &hlc.to_be_bytes().to_vec(),
        &bytes(binary)?,
    )?;
    same("the text form", &hlc.to_string().as_str(), shown)?;
    same(
        "the time read from text",
        &shown.parse().map_err(text)?,
        &hlc,
    )?;
    same("whether it ascends", &(before.hlc < Some(hlc)), &true)?;
    before.hlc = Some(hlc);
    Ok(())
}
