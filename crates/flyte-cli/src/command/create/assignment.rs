//! `flyte create assignment`

use clap::Args;

use crate::command::get;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::subject::{What, Who, describe};

pub(crate) const HELP: &str = "\
For example:
  flyte create assignment --email ada@example.com --policy team
  flyte create assignment --email ada@example.com --role contributor --project alpha
  flyte create assignment --creds-subject ci --role viewer
  flyte create assignment --group ml --policy team";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    who: Who,

    #[command(flatten)]
    what: What,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let (name, assigned) = (arguments.who.name().to_owned(), arguments.what.assigned());
    // The command line has one.
    let Some(subject) = arguments.who.subject(context)? else { return Ok(Exit::Usage) };
    let assignments = context.client()?.assignments();
    let described = describe(&assigned);
    let assignment = context.run("Assigning", async {
        let failed =
            |error| Failure::resource(format!("cannot give {described} to {name}"), &error, kind(&assigned));
        assignments.assign(&subject, &assigned).await.map_err(failed)?;
        assignments.get(&subject).await.map_err(|error| {
            Failure::resource(
                format!("{name} has {described}; the rest cannot be shown"),
                &error,
                "assignment",
            )
        })
    })?;
    if context.global.format == Format::Table {
        output::tell(&format!("{name} has {described}."));
    }
    output::print(context.global.format, &assignment, get::assignment::details)?;
    Ok(Exit::Success)
}

/// The kind of resource that is given or taken, as its word in commands.
pub(crate) fn kind(assigned: &flyte_client::assignment::Assigned) -> &'static str {
    match assigned {
        flyte_client::assignment::Assigned::Policy(_) => "policy",
        flyte_client::assignment::Assigned::Role(_) => "role",
    }
}
