//! `flyte rotate api-key`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::api_key::Lifetime;

use crate::context::Context;
use crate::delivery::Delivery;
use crate::failure::{Exit, Failure};
use crate::key::Issued;
use crate::time::{Expiry, Period};

pub(crate) const HELP: &str = "\
Replace the old key everywhere during the overlap; then it stops working. `flyte get api-key NAME` shows when.

For example:
  flyte rotate api-key ci --expires 90d | gh secret set FLYTE_API_KEY
  flyte rotate api-key ci --overlap 0 --output ci.key --force";

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// The key's name or client ID
    name: String,

    /// How long the old secret works, for example 24h; 0 ends it at once
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    overlap: Period,

    /// How long the key works from now on, for example 90d, or never for no expiry. By default the expiry does not
    /// change
    #[arg(long, value_name = "DURATION")]
    expires: Option<Expiry>,

    #[command(flatten)]
    delivery: Delivery,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { name, overlap, expires, delivery } = arguments;
    delivery.examine()?;
    let session = context.signed_in()?;
    let outlet = delivery.prepare()?;
    let keys = context.client_of(session)?.api_keys();
    let issued = context.run("Rotating the API key", async {
        let rotated = keys.rotate(&name, overlap.duration(), expires.map(Lifetime::from)).await;
        rotated.map_err(|error| Failure::resource(format!("cannot rotate API key {name}"), &error, "api-key"))
    })?;
    Issued::new(issued.api_key, &issued.secret, context)
        .and_then(|issued| issued.hand_over(outlet, "rotated", context, Clock::default().now()))
        .map_err(|failure| failure.next(lost(&name, overlap)))?;
    Ok(Exit::Success)
}

/// The advice if the new secret could not be delivered. During an overlap, the server allows only a rotation without an overlap.
fn lost(name: &str, overlap: Period) -> String {
    let retry = format!("flyte rotate api-key {name} --overlap 0");
    if overlap.duration().is_zero() {
        return format!(
            "The new secret was lost, and the old one no longer works. Fix the problem, then rotate again: {retry}"
        );
    }
    format!(
        "The new secret was lost. The old one works until its overlap ends (`flyte get api-key {name}` shows when). Fix the problem, \
         and when you can replace the key everywhere, run: {retry}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_secret_is_replaced_without_an_overlap() {
        let hint = lost("ci", "24h".parse().unwrap());
        assert!(hint.contains("works until its overlap ends") && hint.ends_with("--overlap 0"), "{hint}");
        let hint = lost("ci", "0".parse().unwrap());
        assert!(hint.contains("no longer works") && hint.ends_with("--overlap 0"), "{hint}");
    }
}
