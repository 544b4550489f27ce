//! `flyte get`

pub(crate) mod api_key;
mod audit;
pub(crate) mod project;
pub(crate) mod trust;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show API keys, or one key in detail; never a secret
    #[command(visible_alias = "api-keys")]
    ApiKey(api_key::Arguments),
    /// Show who did what, from where, and when; for administrators
    Audit(audit::Arguments),
    /// Show projects, or one project in detail
    #[command(visible_alias = "projects")]
    Project(project::Arguments),
    /// Show trust rules, or one rule in detail; for administrators
    #[command(visible_alias = "trusts")]
    Trust(trust::Arguments),
}

pub(super) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::ApiKey(arguments) => api_key::run(arguments, context),
        Command::Audit(arguments) => audit::run(arguments, context),
        Command::Project(arguments) => project::run(arguments, context),
        Command::Trust(arguments) => trust::run(arguments, context),
    }
}
