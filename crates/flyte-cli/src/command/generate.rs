//! `flyte gen`: manual pages and references, for packagers and the documentation.

use std::path::PathBuf;

use clap::Subcommand;

use crate::failure::{Exit, Failure};
use crate::{output, reference};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a manual page for each command
    Man {
        /// Directory to write to; created if it does not exist
        directory: PathBuf,
    },
    /// Print the reference of the command line in Markdown (docs/reference/cli.md)
    CliReference,
    /// Print the reference of the configuration in Markdown (docs/reference/config.md)
    ConfigReference,
}

pub(crate) fn run(command: &Command, definition: clap::Command) -> Result<Exit, Failure> {
    match command {
        Command::Man { directory } => {
            std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(definition, directory))
                .map_err(|error| {
                    Failure::new(format!("cannot write manual pages to {}", directory.display()))
                        .why(error)
                        .next("Give a writable directory.")
                })?;
        }
        Command::CliReference => output::write(&reference::command_line(definition))?,
        Command::ConfigReference => output::write(&reference::configuration())?,
    }
    Ok(Exit::Success)
}
