//! `flyte delete role`

use super::Arguments;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    arguments.askable("role", "")?;
    let name = &arguments.name;
    if !arguments.confirmed(&format!("Delete role {name}?"))? {
        return Ok(Exit::Failure);
    }
    let roles = context.client()?.roles();
    context.run("Deleting the role", async {
        let deleted = roles.delete(name).await;
        deleted.map_err(|error| Failure::resource(format!("cannot delete role {name}"), &error, "role"))
    })?;
    output::tell(&format!("Deleted role {name}."));
    Ok(Exit::Success)
}
