//! The verbs; one module each.

pub(crate) mod abort;
pub(crate) mod auth;
pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod deploy;
pub(crate) mod generate;
pub(crate) mod get;
pub(crate) mod rotate;
pub(crate) mod run;
mod whoami;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Runs what the command line asks for.
pub(crate) fn run(cli: Cli) -> Result<Exit, Failure> {
    let global = cli.global.settled();
    match cli.command {
        Command::Abort(command) => abort::run(command, &Context::load(global)?),
        Command::Auth(command) => auth::run(command, global),
        Command::Create(command) => create::run(command, global),
        Command::Delete(command) => delete::run(command, &Context::load(global)?),
        Command::Deploy(arguments) => deploy::run(&arguments, &Context::load(global)?),
        Command::Get(command) => get::run(command, &Context::load(global)?),
        Command::Rotate(command) => rotate::run(command, &Context::load(global)?),
        Command::Run(arguments) => run::run(arguments, &Context::load(global)?),
        Command::Whoami => whoami::run(&Context::load(global)?),
        Command::Completion(arguments) => completion::run(&arguments),
        Command::Gen(command) => generate::run(&command),
    }
}
