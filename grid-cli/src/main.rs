//! The program `grid`.

fn main() {}
