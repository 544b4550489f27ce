//! `flyte delete app`

use flyte_client::app::AppId;

use super::Arguments;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let project_domain = context.project_domain()?;
    arguments.askable("app", "")?;
    let name = &arguments.name;
    if !arguments.confirmed(&format!("Delete app {name} in {project_domain}? It stops at once."))? {
        return Ok(Exit::Failure);
    }
    let apps = context.project_domain_client()?.apps();
    context.run("Deleting the app", async {
        let deleted = apps.delete(&AppId::new(project_domain, name)).await;
        deleted.map_err(|error| Failure::resource(format!("cannot delete app {name}"), &error, "app"))
    })?;
    output::tell(&format!("Deleted app {name}."));
    Ok(Exit::Success)
}
