//! `flyte update app`

use clap::Args;
use flyte_client::app::AppId;

use super::Switch;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Name of the app
    name: String,

    #[command(flatten)]
    switch: Switch,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { name, switch } = arguments;
    let id = AppId::new(context.project_domain()?, name);
    let apps = context.project_domain_client()?.apps();
    let verb = if switch.activate { "activate" } else { "deactivate" };
    context.run("Changing the app", async {
        let changed = apps.switch(&id, switch.activate).await;
        changed.map_err(|error| Failure::resource(format!("cannot {verb} app {}", id.name), &error, "app"))
    })?;
    let done = if switch.activate { "Activated" } else { "Deactivated" };
    output::tell(&format!("{done} app {}.", id.name));
    Ok(Exit::Success)
}
