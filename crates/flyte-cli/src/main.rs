//! The `flyte` command.
#![forbid(unsafe_code)]

fn main() {}
