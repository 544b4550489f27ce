//! `flyte delete api-key`

use flyte_auth::clock::Clock;

use super::Arguments;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{output, time};

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    arguments.askable("api-key", "")?;
    let name = &arguments.name;
    let failed = |error| Failure::resource(format!("cannot delete API key {name}"), &error, "api-key");
    let keys = context.client()?.api_keys();
    if !arguments.yes {
        let key = context.run("Fetching the API key", async { keys.get(name).await.map_err(failed) })?;
        let used = match key.last_used_at {
            Some(at) => format!("last used {}", time::relative(at, Clock::default().now())),
            None if key.created_at.is_some() => "never used".to_owned(),
            None => format!("client ID {}", key.client_id),
        };
        let question = format!("Delete API key {} ({used})? It stops working at once.", key.name);
        if !arguments.confirmed(&question)? {
            return Ok(Exit::Failure);
        }
    }
    context.run("Deleting the API key", async { keys.delete(name).await.map_err(failed) })?;
    output::tell(&format!("Deleted API key {name}."));
    Ok(Exit::Success)
}
