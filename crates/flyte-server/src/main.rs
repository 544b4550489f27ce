//! The `flyte-server` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Gives back what it no longer needs. That of glibc keeps the memory of hashes and requests for ever in an arena of each
/// thread; `bench/memory` measures what is left.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flyte_server::command::run()
}
