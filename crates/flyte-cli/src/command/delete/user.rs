//! `flyte delete user`

use clap::Args;

use super::Arguments;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

#[derive(Args, Debug)]
pub(crate) struct UserArguments {
    /// Subject or e-mail address of the account
    subject: String,

    /// Delete without asking
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn run(arguments: UserArguments, context: &Context) -> Result<Exit, Failure> {
    let deletion = Arguments { name: arguments.subject, yes: arguments.yes };
    deletion.askable("user", "")?;
    let name = &deletion.name;
    let users = context.client()?.users();
    let failed = |error| Failure::resource(format!("cannot delete account {name}"), &error, "user");
    let user = context.run("Fetching the account", async { users.get(name).await.map_err(failed) })?;
    let question = format!(
        "Delete the account of {} ({})? Its sessions, API keys and trust rules end at once.",
        user.email, user.name
    );
    if !deletion.confirmed(&question)? {
        return Ok(Exit::Failure);
    }
    context.run("Deleting the account", async { users.delete(&user.subject).await.map_err(failed) })?;
    output::tell(&format!("Deleted account {}.", user.email));
    Ok(Exit::Success)
}
