//! The `flyte-server` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    flyte_server::command::run()
}
