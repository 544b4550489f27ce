//! The `flyte-server` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Returns unused memory to the system. The allocator of glibc keeps the memory of hashes and requests in the arenas
/// of its threads; `bench/memory` measures this.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flyte_server::command::run()
}
