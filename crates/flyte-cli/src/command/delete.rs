//! `flyte delete`

mod api_key;
mod app;
mod trust;

use clap::{Args, Subcommand};

use crate::confirm;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Delete an API key; it and its tokens stop working at once
    #[command(visible_alias = "api-keys")]
    ApiKey(Arguments),
    /// Delete an app, which stops it
    #[command(visible_alias = "apps")]
    App(Arguments),
    /// Delete a trust rule; it gives no more tokens, and those that it gave stop working at once
    #[command(visible_alias = "trusts")]
    Trust(Arguments),
}

/// What every deletion is told.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of what to delete
    name: String,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::ApiKey(arguments) => api_key::run(&arguments, context),
        Command::App(arguments) => app::run(&arguments, context),
        Command::Trust(arguments) => trust::run(&arguments, context),
    }
}

impl Arguments {
    /// Fails where the person would have to be asked and cannot be; before anything is done.
    fn askable(&self, kind: &str) -> Result<(), Failure> {
        if self.yes || confirm::possible() {
            return Ok(());
        }
        Err(Failure::new(format!("{} was not deleted", self.name))
            .why("deleting has to be confirmed, and nobody can be asked here")
            .next(format!("If you are sure: flyte delete {kind} {} --yes", self.name))
            .exit(Exit::Usage))
    }

    /// Whether to go on.
    fn confirmed(&self, question: &str) -> Result<bool, Failure> {
        if self.yes || confirm::ask(question)? {
            return Ok(true);
        }
        output::tell(&format!("{} was not deleted.", self.name));
        Ok(false)
    }
}
