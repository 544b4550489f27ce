//! The `flyte` command.
#![forbid(unsafe_code)]

/// The allocator of musl is slow if several threads use it.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    flyte_cli::main()
}
