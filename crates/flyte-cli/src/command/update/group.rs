//! `flyte update group`

use clap::Args;
use flyte_auth::clock::Clock;

use crate::command::get;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Name or identifier of the group
    #[arg(value_name = "NAME")]
    group: String,

    #[command(flatten)]
    changes: Given,
}

/// What to change.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Given {
    /// New name
    #[arg(long, value_name = "NEW_NAME")]
    name: Option<String>,

    /// New description of what the group is for
    #[arg(long)]
    description: Option<String>,

    /// E-mail address or subject of a user who becomes a member; can be repeated
    #[arg(long, value_name = "USER")]
    add_member: Vec<String>,

    /// E-mail address or subject of a member who leaves; can be repeated
    #[arg(long, value_name = "USER")]
    remove_member: Vec<String>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { group: named, changes } = arguments;
    let Given { name, description, add_member, remove_member } = changes;
    let groups = context.client()?.groups();
    let changed = context.run("Changing the group", async {
        let failed = |error| Failure::resource(format!("cannot change group {named}"), &error, "group");
        // The identifier stays if the name changes.
        let id = groups.get(&named).await.map_err(failed)?.id;
        for user in &add_member {
            groups.add_member(&id, user).await.map_err(|error| {
                Failure::resource(format!("cannot add {user} to group {named}"), &error, "user")
            })?;
        }
        for user in &remove_member {
            groups.remove_member(&id, user).await.map_err(|error| {
                let listing = format!("member --group {named}");
                Failure::resource(format!("cannot remove {user} from group {named}"), &error, &listing)
            })?;
        }
        if name.is_some() || description.is_some() {
            groups.update(&id, name, description).await.map_err(failed)?;
        }
        groups.get(&id).await.map_err(failed)
    })?;
    if context.global.format == Format::Table {
        output::tell(&format!("Changed group {named}."));
    }
    output::print(context.global.format, &changed, |group| {
        get::group::details(group, Clock::default().now())
    })?;
    Ok(Exit::Success)
}
