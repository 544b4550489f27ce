//! The `flyte-server` command.
#![forbid(unsafe_code)]

fn main() {}
