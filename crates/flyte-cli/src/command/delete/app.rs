//! `flyte delete app`

use flyte_client::app::AppId;

use super::Arguments;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let place = context.place()?;
    arguments.askable("app")?;
    let name = &arguments.name;
    if !arguments.confirmed(&format!("Delete app {name} in {place}? It stops at once."))? {
        return Ok(Exit::Failure);
    }
    let apps = context.place_client()?.apps();
    context.run("Deleting the app", async {
        let deleted = apps.delete(&AppId::new(place, name)).await;
        deleted.map_err(|error| Failure::resource(format!("cannot delete app {name}"), &error, "app"))
    })?;
    output::tell(&format!("Deleted app {name}."));
    Ok(Exit::Success)
}
