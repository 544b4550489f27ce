//! `flyte create`

pub(crate) mod access;
pub(crate) mod api_key;
pub(crate) mod config;
mod interview;
mod project;
mod secret;
mod sign_in;
pub(crate) mod trust;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::global::Global;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an API key for machines that cannot sign in, for example CI
    #[command(after_help = api_key::HELP)]
    ApiKey(api_key::Arguments),
    /// Write a configuration file, or change one
    // Clap's own usage would list all options of the required group in one line of 340 characters.
    #[command(after_help = config::HELP, override_usage = "flyte create config [OPTIONS]")]
    Config(config::Arguments),
    /// Create a project
    Project(project::Arguments),
    /// Create a secret that tasks can read, or credentials of an image registry
    #[command(after_help = secret::HELP)]
    Secret(secret::Arguments),
    /// Trust the OpenID Connect tokens of a CI system, so that it needs no key
    #[command(after_help = trust::HELP)]
    Trust(trust::Arguments),
}

pub(crate) fn run(command: Command, global: Global) -> Result<Exit, Failure> {
    match command {
        Command::ApiKey(arguments) => api_key::run(arguments, &Context::load(global)?),
        // Does not read the effective configuration, because this command may have to repair it.
        Command::Config(arguments) => config::run(arguments),
        Command::Project(arguments) => project::run(arguments, &Context::load(global)?),
        Command::Secret(arguments) => secret::run(arguments, &Context::load(global)?),
        Command::Trust(arguments) => trust::run(arguments, &Context::load(global)?),
    }
}
