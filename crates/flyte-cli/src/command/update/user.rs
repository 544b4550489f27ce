//! `flyte update user`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::user::Changes;

use crate::command::get;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Subject or e-mail address of the account
    user: String,

    #[command(flatten)]
    changes: Given,
}

/// What to change.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Given {
    /// New full name
    #[arg(long)]
    name: Option<String>,

    /// Disable the account: its sessions and API keys end at once
    #[arg(long, conflicts_with = "enable")]
    disable: bool,

    /// Enable the account again
    #[arg(long)]
    enable: bool,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { user, changes: Given { name, disable, enable } } = arguments;
    let changes = Changes { name, enabled: (disable || enable).then_some(enable) };
    let users = context.client()?.users();
    let changed = context.run("Changing the account", async {
        let changed = users.update(&user, changes).await;
        changed.map_err(|error| Failure::resource(format!("cannot change account {user}"), &error, "user"))
    })?;
    if context.global.format == Format::Table {
        output::tell(&format!("Changed account {user}."));
    }
    output::print(context.global.format, &changed, |user| get::user::details(user, Clock::default().now()))?;
    Ok(Exit::Success)
}
