//! `flyte update`

mod app;
mod group;
mod policy;
mod project;
mod role;
mod trigger;
mod user;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start or stop an app
    #[command(visible_alias = "apps")]
    App(app::Arguments),
    /// Change the name, description or members of a group; for administrators
    #[command(visible_alias = "groups", override_usage = "flyte update group [OPTIONS] <NAME>")]
    Group(group::Arguments),
    /// Change what a policy gives, by options, a file or your editor; for administrators
    #[command(visible_alias = "policies", after_help = policy::HELP)]
    Policy(policy::Arguments),
    /// Change the name, description, labels or state of a project
    // Clap's own usage would list all options of the required group in one line.
    #[command(visible_alias = "projects", override_usage = "flyte update project [OPTIONS] <ID>")]
    Project(project::Arguments),
    /// Change what a role allows, by options, a file or your editor; for administrators
    #[command(visible_alias = "roles", after_help = role::HELP)]
    Role(role::Arguments),
    /// Activate or deactivate a trigger
    #[command(visible_alias = "triggers")]
    Trigger(trigger::Arguments),
    /// Rename, disable or enable an account; for administrators
    #[command(visible_alias = "users", override_usage = "flyte update user [OPTIONS] <USER>")]
    User(user::Arguments),
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
        Command::Group(arguments) => group::run(arguments, context),
        Command::Policy(arguments) => policy::run(arguments, context),
        Command::Project(arguments) => project::run(arguments, context),
        Command::Role(arguments) => role::run(arguments, context),
        Command::Trigger(arguments) => trigger::run(arguments, context),
        Command::User(arguments) => user::run(arguments, context),
    }
}
