//! Runs the target of `grid-fuzz` that this binary is named after.

#![no_main]

use grid_fuzz::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let name = env!("CARGO_BIN_NAME");
    let target = Target::find(name).expect("fuzz/Cargo.toml and grid-fuzz list the same targets");
    (target.run)(data);
});
