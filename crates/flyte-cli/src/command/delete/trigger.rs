//! `flyte delete trigger`

use clap::Args;
use flyte_client::trigger::TriggerId;

use super::Arguments;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

#[derive(Args, Debug)]
pub(crate) struct TriggerArguments {
    /// Name of the trigger
    name: String,

    /// Full name of its task, for example env.main
    task: String,

    /// Delete without asking
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn run(arguments: TriggerArguments, context: &Context) -> Result<Exit, Failure> {
    let TriggerArguments { name, task, yes } = arguments;
    let id = TriggerId { project_domain: context.project_domain()?, task, name: name.clone() };
    let deletion = Arguments { name, yes };
    deletion.askable("trigger", &id.task)?;
    if !deletion.confirmed(&format!("Delete trigger {} of task {}?", id.name, id.task))? {
        return Ok(Exit::Failure);
    }
    let triggers = context.project_domain_client()?.triggers();
    context.run("Deleting the trigger", async {
        let deleted = triggers.delete(&id).await;
        deleted.map_err(|error| {
            let what = format!("cannot delete trigger {} of task {}", id.name, id.task);
            Failure::resource(what, &error, &format!("trigger {}", id.task))
        })
    })?;
    output::tell(&format!("Deleted trigger {} of task {}.", id.name, id.task));
    Ok(Exit::Success)
}
