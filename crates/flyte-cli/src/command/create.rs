//! `flyte create`

pub(crate) mod config;
mod project;

use clap::Subcommand;

use crate::cli::Global;
use crate::context::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a configuration file, or change one
    #[command(after_help = config::HELP)]
    Config(config::Arguments),
    /// Create a project
    Project(project::Arguments),
}

pub(super) fn run(command: Command, global: Global) -> Result<Exit, Failure> {
    match command {
        // Does not read the configuration in effect: it may be what is to be mended.
        Command::Config(arguments) => config::run(&arguments),
        Command::Project(arguments) => project::run(arguments, &Context::load(global)?),
    }
}
