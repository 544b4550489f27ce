//! What the command line asks for, done; the exit code tells how it went.

mod check_config;
mod reset_password;
mod serve;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::{
    cli::{self, Action, Invocation},
    config::{self, Environment},
};

/// Failed.
const FAILURE: u8 = 1;
/// Wrong usage or configuration.
const USAGE: u8 = 2;

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let invocation = Invocation::from_matches(&cli::command().get_matches());
    if invocation.command == Action::ConfigReference {
        return print(&config::markdown());
    }
    let loaded = match config::load(&invocation.flags, &Environment::of_process()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            for error in errors {
                complain(&error);
            }
            return ExitCode::from(USAGE);
        }
    };
    match invocation.command {
        Action::CheckConfig => check_config::run(&loaded, &Environment::of_process()),
        Action::ResetPassword { email, password_file } => {
            reset_password::run(&loaded.config, &email, password_file.as_deref())
        }
        Action::Serve => serve::run(loaded.config),
        // Answered before the settings were read.
        Action::ConfigReference => ExitCode::SUCCESS,
    }
}

/// Runs a command to its end on a runtime of its own.
fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            complain(&error);
            ExitCode::from(FAILURE)
        }
    }
}

/// Writes to standard output; that nobody reads it is no failure.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&error);
            ExitCode::from(FAILURE)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn complain(error: &dyn std::error::Error) {
    // There is nowhere to tell that standard error is closed.
    let _ = writeln!(io::stderr(), "flyte-server: {error}");
}
