//! `flyte create group`

use clap::Args;
use flyte_auth::clock::Clock;

use crate::command::get;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the group
    name: String,

    /// What the group is for
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,

    /// E-mail address or subject of a member; can be repeated
    #[arg(long, value_name = "USER")]
    member: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { name, description, member: members } = arguments;
    let groups = context.client()?.groups();
    let group = context.run("Creating the group", async {
        let created = groups.create(name, description).await;
        let created = created
            .map_err(|error| Failure::resource(format!("cannot create group {name}"), &error, "group"))?;
        for member in members {
            groups.add_member(name, member).await.map_err(|error| {
                Failure::resource(
                    format!("created group {name}, but {member} is not a member"),
                    &error,
                    "user",
                )
            })?;
        }
        Ok(created)
    })?;
    if context.global.format == Format::Table {
        output::tell(&format!("Created group {name}."));
    }
    output::print(context.global.format, &group, |group| get::group::details(group, Clock::default().now()))?;
    Ok(Exit::Success)
}
