//! `flyte get`

pub(crate) mod project;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show projects, or one project in detail
    #[command(visible_alias = "projects")]
    Project(project::Arguments),
}

pub(super) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Project(arguments) => project::run(arguments, context),
    }
}
