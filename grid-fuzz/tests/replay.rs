//! Every target keeps its promise on its seeds, on what fuzzing has found, and on small changes of
//! both. `GRID_FUZZ_CHANGES` sets how many changes of each input are tried, and `GRID_FUZZ_SEED`
//! which: where there is no fuzzer, that is one. `GRID_UPDATE_CORPUS=1` writes the seeds anew,
//! after a change of a format.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use grid_fuzz::Target;
use grid_fuzz::targets::TARGETS;

/// Changed inputs that are tried of each one, unless told otherwise.
const CHANGES: u64 = 8;

fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name)
}

/// The inputs in a folder, by the names of their files.
fn inputs(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

fn update(target: &Target) {
    let folder = corpus(target);
    fs::create_dir_all(&folder).unwrap();
    for seed in (target.seeds)() {
        fs::write(folder.join(seed.name), seed.bytes).unwrap();
    }
}

/// The number in an environment variable.
fn told(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// Runs one input; a panic names where it comes from.
fn try_one(target: &Target, from: &str, input: &[u8]) {
    let tried = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    if let Err(panic) = tried {
        eprintln!("the target `{}` fails on {from}: {input:02x?}", target.name);
        resume_unwind(panic);
    }
}

/// What a fuzzer would try first.
fn change(random: &mut fastrand::Rng, input: &[u8]) -> Vec<u8> {
    let mut input = input.to_vec();
    for _ in 0..random.usize(1..4) {
        let place = random.usize(0..=input.len());
        match random.u8(0..5) {
            0 => input.truncate(place),
            1 => input.insert(place, random.u8(..)),
            2 if place < input.len() => input[place] ^= 1 << random.u8(0..8),
            3 if place < input.len() => input[place] = random.u8(..),
            _ => {
                let tail = input.split_off(place);
                input.extend(tail.iter().rev());
            }
        }
    }
    input
}

fn replay(name: &str) {
    let target = Target::find(name).unwrap();
    if std::env::var_os("GRID_UPDATE_CORPUS").is_some() {
        update(target);
    }
    let inputs = inputs(&corpus(target));
    assert!(!inputs.is_empty(), "the corpus of `{name}` is empty");
    let changes = told("GRID_FUZZ_CHANGES", CHANGES);
    let mut random = fastrand::Rng::with_seed(told("GRID_FUZZ_SEED", 1));
    for (from, input) in &inputs {
        try_one(target, from, input);
        for number in 0..changes {
            let changed = change(&mut random, input);
            try_one(target, &format!("change {number} of {from}"), &changed);
        }
    }
    // What the code makes today is tried too, should a format have changed since.
    for seed in (target.seeds)() {
        try_one(target, &seed.name, &seed.bytes);
    }
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )+

        const REPLAYED: &[&str] = &[$(stringify!($name)),+];
    };
}

targets!(
    frame, row, value, url, descent, journal, settings, partition, replica, gateway, plan, query,
    query_text,
);

#[test]
fn every_target_is_replayed_and_built_for_the_fuzzer() {
    let known: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(known.len(), TARGETS.len(), "two targets have one name");
    assert_eq!(known, REPLAYED.iter().copied().collect());
    let shell = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/Cargo.toml");
    let shell: toml::Table = fs::read_to_string(shell).unwrap().parse().unwrap();
    let bins = shell["bin"].as_array().unwrap();
    let built = bins.iter().map(|bin| bin["name"].as_str().unwrap());
    assert_eq!(known, built.collect());
}
