//! `flyte update`

mod app;
mod project;
mod trigger;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start or stop an app
    #[command(visible_alias = "apps")]
    App(app::Arguments),
    /// Change the name, description, labels or state of a project
    // Clap's own usage would list all options of the required group in one line.
    #[command(visible_alias = "projects", override_usage = "flyte update project [OPTIONS] <ID>")]
    Project(project::Arguments),
    /// Activate or deactivate a trigger
    #[command(visible_alias = "triggers")]
    Trigger(trigger::Arguments),
}

/// Whether something starts runs or stops doing so.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Switch {
    /// Activate it
    #[arg(long)]
    activate: bool,

    /// Deactivate it
    #[arg(long)]
    deactivate: bool,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::App(arguments) => app::run(arguments, context),
        Command::Project(arguments) => project::run(arguments, context),
        Command::Trigger(arguments) => trigger::run(arguments, context),
    }
}
