//! `flyte update trigger`

use clap::Args;
use flyte_client::trigger::TriggerId;

use super::Switch;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Name of the trigger
    name: String,

    /// Full name of its task, for example env.main
    task: String,

    #[command(flatten)]
    switch: Switch,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { name, task, switch } = arguments;
    let id = TriggerId { project_domain: context.project_domain()?, task, name };
    let triggers = context.project_domain_client()?.triggers();
    let verb = if switch.activate { "activate" } else { "deactivate" };
    context.run("Changing the trigger", async {
        let changed = triggers.switch(&id, switch.activate).await;
        changed.map_err(|error| {
            let what = format!("cannot {verb} trigger {} of task {}", id.name, id.task);
            Failure::resource(what, &error, &format!("trigger {}", id.task))
        })
    })?;
    let done = if switch.activate { "Activated" } else { "Deactivated" };
    output::tell(&format!("{done} trigger {} of task {}.", id.name, id.task));
    Ok(Exit::Success)
}
