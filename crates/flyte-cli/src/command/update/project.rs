//! `flyte update project`

use clap::Args;
use flyte_client::project::Changes;

use crate::command::get;
use crate::command::get::run::label;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Identifier of the project
    id: String,

    #[command(flatten)]
    changes: Given,
}

/// What to change.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Given {
    /// New name for display
    #[arg(long)]
    name: Option<String>,

    /// New description of what the project is for
    #[arg(long)]
    description: Option<String>,

    /// Label; can be repeated. The labels replace all present ones
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = label)]
    label: Option<Vec<(String, String)>>,

    /// Archive the project: lists leave it out
    #[arg(long, conflicts_with = "unarchive")]
    archive: bool,

    /// Take the project out of the archive
    #[arg(long)]
    unarchive: bool,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { id, changes: Given { name, description, label, archive, unarchive } } = arguments;
    let changes = Changes {
        name,
        description,
        labels: label.map(|labels| labels.into_iter().collect()),
        archived: (archive || unarchive).then_some(archive),
    };
    let projects = context.client()?.projects();
    let changed = context.run("Changing the project", async {
        let changed = projects.update(&id, changes).await;
        changed.map_err(|error| Failure::resource(format!("cannot change project {id}"), &error, "project"))
    })?;
    if context.global.format == Format::Table {
        output::tell(&format!("Changed project {id}."));
    }
    output::print(context.global.format, &changed, get::project::details)?;
    Ok(Exit::Success)
}
