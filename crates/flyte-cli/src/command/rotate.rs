//! `flyte rotate`

mod api_key;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::{Exit, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give an API key a new secret; the old one works for a while
    #[command(visible_alias = "api-keys", after_help = api_key::HELP)]
    ApiKey(api_key::Arguments),
}

pub(crate) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::ApiKey(arguments) => api_key::run(arguments, context),
    }
}
