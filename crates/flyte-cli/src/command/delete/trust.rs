//! `flyte delete trust`

use super::Arguments;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    arguments.askable("trust", "")?;
    let name = &arguments.name;
    let question = format!("Delete trust rule {name}? Its tokens stop working at once.");
    if !arguments.confirmed(&question)? {
        return Ok(Exit::Failure);
    }
    let trusts = context.client()?.trusts();
    context.run("Deleting the trust rule", async {
        let deleted = trusts.delete(name).await;
        deleted
            .map_err(|error| Failure::resource(format!("cannot delete trust rule {name}"), &error, "trust"))
    })?;
    output::tell(&format!("Deleted trust rule {name}."));
    Ok(Exit::Success)
}
