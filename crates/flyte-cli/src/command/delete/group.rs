//! `flyte delete group`

use super::Arguments;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    arguments.askable("group", "")?;
    let name = &arguments.name;
    if !arguments.confirmed(&format!("Delete group {name}? Its members lose what it gave them."))? {
        return Ok(Exit::Failure);
    }
    let groups = context.client()?.groups();
    context.run("Deleting the group", async {
        let deleted = groups.delete(name).await;
        deleted.map_err(|error| Failure::resource(format!("cannot delete group {name}"), &error, "group"))
    })?;
    output::tell(&format!("Deleted group {name}."));
    Ok(Exit::Success)
}
