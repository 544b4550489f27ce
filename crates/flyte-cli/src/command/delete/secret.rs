//! `flyte delete secret`

use super::Arguments;
use crate::command::get::secret::{described, scope};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let scope = scope(&context.global)?;
    arguments.askable("secret", "")?;
    let (name, place) = (&arguments.name, described(&scope));
    if !arguments.confirmed(&format!("Delete secret {name} of {place}? Tasks that use it will fail."))? {
        return Ok(Exit::Failure);
    }
    let secrets = context.project_domain_client()?.secrets();
    context.run("Deleting the secret", async {
        let deleted = secrets.delete(&scope, name).await;
        deleted.map_err(|error| Failure::resource(format!("cannot delete secret {name}"), &error, "secret"))
    })?;
    output::tell(&format!("Deleted secret {name} of {place}."));
    Ok(Exit::Success)
}
