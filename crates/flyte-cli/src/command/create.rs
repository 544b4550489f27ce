//! `flyte create`

pub(crate) mod access;
pub(crate) mod api_key;
pub(crate) mod assignment;
pub(crate) mod config;
mod group;
mod interview;
mod policy;
mod project;
mod role;
mod secret;
mod sign_in;
pub(crate) mod trust;
mod user;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::subject;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an API key for machines that cannot sign in, for example CI
    #[command(after_help = api_key::HELP)]
    ApiKey(api_key::Arguments),
    /// Give a policy or a role to a user, an API key or a group; for administrators
    // Clap's own usage would list all options of the required group in one line.
    #[command(override_usage = "flyte create assignment [OPTIONS]")]
    #[command(after_help = assignment::HELP, group = clap::ArgGroup::new("subject").required(true).args(subject::OPTIONS))]
    Assignment(assignment::Arguments),
    /// Write a configuration file, or change one
    // Clap's own usage would list all options of the required group in one line of 340 characters.
    #[command(after_help = config::HELP, override_usage = "flyte create config [OPTIONS]")]
    Config(config::Arguments),
    /// Create a group of users; for administrators
    Group(group::Arguments),
    /// Create a policy: a named list of roles in projects and domains; for administrators
    // Clap's own usage would list all options of the required group in one line.
    #[command(after_help = policy::HELP, override_usage = "flyte create policy [OPTIONS] <NAME>")]
    Policy(policy::Arguments),
    /// Create a project
    Project(project::Arguments),
    /// Create a role: a named set of permissions; for administrators
    // Clap's own usage would list all options of the required group in one line.
    #[command(after_help = role::HELP, override_usage = "flyte create role [OPTIONS] <NAME>")]
    Role(role::Arguments),
    /// Create a secret that tasks can read, or credentials of an image registry
    #[command(after_help = secret::HELP)]
    Secret(secret::Arguments),
    /// Trust the OpenID Connect tokens of a CI system, so that it needs no key
    #[command(after_help = trust::HELP)]
    Trust(trust::Arguments),
    /// Create an account; for administrators
    #[command(after_help = user::HELP)]
    User(user::Arguments),
}

pub(crate) fn run(command: Command, global: Global) -> Result<Exit, Failure> {
    match command {
        Command::ApiKey(arguments) => api_key::run(arguments, &Context::load(global)?),
        Command::Assignment(arguments) => assignment::run(arguments, &Context::load(global)?),
        // Does not read the effective configuration, because this command may have to repair it.
        Command::Config(arguments) => config::run(arguments),
        Command::Group(arguments) => group::run(&arguments, &Context::load(global)?),
        Command::Policy(arguments) => policy::run(&arguments, &Context::load(global)?),
        Command::Project(arguments) => project::run(arguments, &Context::load(global)?),
        Command::Role(arguments) => role::run(arguments, &Context::load(global)?),
        Command::Secret(arguments) => secret::run(arguments, &Context::load(global)?),
        Command::Trust(arguments) => trust::run(arguments, &Context::load(global)?),
        Command::User(arguments) => user::run(arguments, &Context::load(global)?),
    }
}
