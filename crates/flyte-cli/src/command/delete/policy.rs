//! `flyte delete policy`

use super::Arguments;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    arguments.askable("policy", "")?;
    let name = &arguments.name;
    if !arguments.confirmed(&format!("Delete policy {name}? All who have it lose what it gave them."))? {
        return Ok(Exit::Failure);
    }
    let policies = context.client()?.policies();
    context.run("Deleting the policy", async {
        let deleted = policies.delete(name).await;
        deleted.map_err(|error| Failure::resource(format!("cannot delete policy {name}"), &error, "policy"))
    })?;
    output::tell(&format!("Deleted policy {name}."));
    Ok(Exit::Success)
}
