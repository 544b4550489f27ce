//! Runs the command of a parsed command line.

mod audit;
mod backup;
mod check_config;
mod client;
mod ended_keys;
mod generate;
mod health;
mod reset_password;
mod rotate_keys;
mod scim;
mod serve;
mod user;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::{
    bootstrap::BootstrapError,
    cli::{self, Action, Invocation},
    data_dir,
};
use flyte_audit::Event;
use flyte_model::clock::Clock;
use flyte_runner_local::supervise;
use flyte_settings::{self, Config, Environment};
use flyte_store::{AuditStore as _, StoreError};
use flyte_store_sqlite::SqliteStore;

/// The command failed.
const FAILURE: u8 = 1;
/// Wrong usage or configuration.
const USAGE: u8 = 2;

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    if let Some(arguments) = supervise::arguments() {
        return supervise::run(&arguments);
    }
    let invocation = Invocation::from_matches(&cli::command().get_matches());
    // These need no settings.
    match &invocation.command {
        Action::ConfigReference => return print(&flyte_settings::markdown()),
        Action::Completion(shell) => return print(&generate::completion(*shell)),
        Action::Manual(directory) => {
            return match generate::manual(directory) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    complain(&error);
                    ExitCode::from(FAILURE)
                }
            };
        }
        _ => {}
    }
    let loaded = match flyte_settings::load(&invocation.flags, &Environment::of_process()) {
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
        Action::Health { ready } => report(health::run(&loaded.config, ready)),
        Action::ResetPassword { email, link: true, .. } => {
            report(user::password_link(&loaded.config, &email))
        }
        Action::ResetPassword { email, password_file, end_keys, link: false } => {
            reset_password::run(&loaded.config, &email, password_file.as_deref(), end_keys)
        }
        Action::RotateKeys { revoke } => report(rotate_keys::run(&loaded.config, revoke)),
        Action::User(action) => report(user::run(&loaded.config, action)),
        Action::Client(action) => report(client::run(&loaded.config, action)),
        Action::Scim(action) => report(scim::run(&loaded.config, action)),
        Action::Audit(shown) => report(audit::run(&loaded.config, shown)),
        Action::Backup(asked) => report(backup::run(&loaded.config, asked)),
        Action::Restore(asked) => report(backup::restore(&loaded.config, asked)),
        Action::Serve => serve::run(loaded),
        // Handled before the settings are read.
        Action::ConfigReference | Action::Completion(_) | Action::Manual(_) => ExitCode::SUCCESS,
    }
}

/// Runs a command on its own runtime.
fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            complain(&error);
            ExitCode::from(FAILURE)
        }
    }
}

/// Runs a command and prints its message or its error.
fn report<E: std::error::Error>(command: impl Future<Output = Result<String, E>>) -> ExitCode {
    block_on(async {
        match command.await {
            Ok(message) => print(&message),
            Err(error) => {
                complain(&error);
                ExitCode::from(FAILURE)
            }
        }
    })
}

/// Opens the database for a command that may run beside the server.
fn open_store(config: &Config) -> Result<SqliteStore, BootstrapError> {
    data_dir::check_shared(&config.data_dir)?;
    Ok(SqliteStore::open(&config.data_dir.join("flyte.db"))?)
}

/// Records the action of a command.
async fn record(store: &SqliteStore, event: Event) -> Result<(), StoreError> {
    store.append_audit_records(&[event.into_record(Clock::default().now())]).await
}

/// Writes to standard output. A closed pipe is not an error.
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
    // Errors of standard error cannot be reported.
    let _ = writeln!(io::stderr(), "flyte-server: {error}");
}
