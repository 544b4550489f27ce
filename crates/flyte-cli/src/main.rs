//! The `flyte` command.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    flyte_cli::main()
}
