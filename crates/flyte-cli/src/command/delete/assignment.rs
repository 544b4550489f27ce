//! `flyte delete assignment`

use clap::Args;
use flyte_client::assignment::Assigned;

use crate::command::create::assignment::kind;
use crate::confirm;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::subject::{What, Who, describe};

#[derive(Args, Debug)]
pub(crate) struct AssignmentArguments {
    #[command(flatten)]
    who: Who,

    #[command(flatten)]
    what: What,

    /// Take it without asking
    #[arg(short, long)]
    yes: bool,
}

/// The command that asks nothing.
fn command(who: &Who, assigned: &Assigned) -> String {
    let what = match assigned {
        Assigned::Policy(name) => format!("--policy {name}"),
        Assigned::Role(grant) => {
            let option = |name: &str, value: &str| match value {
                "" => String::new(),
                value => format!(" --{name} {value}"),
            };
            format!(
                "--role {}{}{}",
                grant.role,
                option("project", &grant.project),
                option("domain", &grant.domain)
            )
        }
    };
    format!("flyte delete assignment {} {what} --yes", who.option())
}

pub(super) fn run(arguments: AssignmentArguments, context: &Context) -> Result<Exit, Failure> {
    let (name, assigned) = (arguments.who.name().to_owned(), arguments.what.assigned());
    let described = describe(&assigned);
    if !arguments.yes && !confirm::possible() {
        return Err(Failure::new(format!("{name} keeps {described}"))
            .why("taking it needs a confirmation, and there is no terminal to ask for it")
            .next(format!("To take it without a question: {}", command(&arguments.who, &assigned)))
            .exit(Exit::Usage));
    }
    if !arguments.yes && !confirm::ask(&format!("Take {described} from {name}?"))? {
        output::tell(&format!("{name} keeps {described}."));
        return Ok(Exit::Failure);
    }
    // The command line has one.
    let Some(subject) = arguments.who.subject(context)? else { return Ok(Exit::Usage) };
    let assignments = context.client()?.assignments();
    context.run("Taking the assignment", async {
        let taken = assignments.unassign(&subject, &assigned).await;
        taken.map_err(|error| {
            Failure::resource(format!("cannot take {described} from {name}"), &error, kind(&assigned))
        })
    })?;
    output::tell(&format!("{name} no longer has {described}."));
    Ok(Exit::Success)
}
