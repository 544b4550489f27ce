//! `flyte delete`

mod api_key;
mod app;
mod assignment;
mod group;
mod policy;
mod role;
mod secret;
mod trigger;
mod trust;
mod user;

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
    /// Stop and delete an app
    #[command(visible_alias = "apps")]
    App(Arguments),
    /// Take a policy or a role from a user, an API key or a group; for administrators
    // Clap's own usage would list all options of the required group in one line.
    #[command(override_usage = "flyte delete assignment [OPTIONS]")]
    #[command(visible_alias = "assignments", group = clap::ArgGroup::new("subject").required(true).args(crate::subject::OPTIONS))]
    Assignment(assignment::AssignmentArguments),
    /// Delete a group; its members lose what it gave them
    #[command(visible_alias = "groups")]
    Group(Arguments),
    /// Delete a policy; all who have it lose what it gave them
    #[command(visible_alias = "policies")]
    Policy(Arguments),
    /// Delete a role that nothing uses
    #[command(visible_alias = "roles")]
    Role(Arguments),
    /// Delete a secret
    #[command(visible_alias = "secrets", after_help = crate::command::get::secret::HELP)]
    Secret(Arguments),
    /// Delete a trigger; runs that it started continue
    #[command(visible_alias = "triggers")]
    Trigger(trigger::TriggerArguments),
    /// Delete a trust rule; its tokens stop working at once
    #[command(visible_alias = "trusts")]
    Trust(Arguments),
    /// Delete an account; its sessions, API keys and trust rules end at once
    #[command(visible_alias = "users")]
    User(user::UserArguments),
}

/// The arguments of every deletion.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the resource
    name: String,

    /// Delete without asking
    #[arg(short, long)]
    yes: bool,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::ApiKey(arguments) => api_key::run(&arguments, context),
        Command::App(arguments) => app::run(&arguments, context),
        Command::Assignment(arguments) => assignment::run(arguments, context),
        Command::Group(arguments) => group::run(&arguments, context),
        Command::Policy(arguments) => policy::run(&arguments, context),
        Command::Role(arguments) => role::run(&arguments, context),
        Command::Secret(arguments) => secret::run(&arguments, context),
        Command::Trigger(arguments) => trigger::run(arguments, context),
        Command::Trust(arguments) => trust::run(&arguments, context),
        Command::User(arguments) => user::run(arguments, context),
    }
}

impl Arguments {
    /// Fails early if a confirmation is needed and no user can answer.
    ///
    /// `more` has the arguments after the name in the command that needs no confirmation.
    fn askable(&self, kind: &str, more: &str) -> Result<(), Failure> {
        if self.yes || confirm::possible() {
            return Ok(());
        }
        Err(Failure::new(format!("{} was not deleted", self.name))
            .why("deleting needs a confirmation, and there is no terminal to ask for it")
            .next(format!(
                "To delete it without a question: flyte delete {kind} {}{}{more} --yes",
                self.name,
                if more.is_empty() { "" } else { " " }
            ))
            .exit(Exit::Usage))
    }

    /// Whether the user confirms.
    fn confirmed(&self, question: &str) -> Result<bool, Failure> {
        if self.yes || confirm::ask(question)? {
            return Ok(true);
        }
        output::tell(&format!("{} was not deleted.", self.name));
        Ok(false)
    }
}
