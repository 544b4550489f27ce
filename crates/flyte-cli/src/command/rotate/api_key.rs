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
Put the new key everywhere within the overlap; then the old one ends by itself. `flyte get api-key NAME` tells when.

For example:
  flyte rotate api-key ci --expires 90d | gh secret set FLYTE_API_KEY
  flyte rotate api-key ci --overlap 0 --output ci.key --force";

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// The key's name or client ID
    name: String,

    /// How long the secret in use now works on, such as 24h; 0 ends it at once
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    overlap: Period,

    /// How long the key works from now on, such as 90d, or never for as long as it is not deleted. Its end stays as it is
    /// without it
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
        rotated.map_err(|error| {
            Failure::resource(format!("cannot rotate the API key {name}"), &error, "api-key")
        })
    })?;
    Issued::new(issued.api_key, &issued.secret, context)
        .and_then(|issued| issued.hand_over(outlet, "rotated", context, Clock::default().now()))
        .map_err(|failure| failure.next(lost(&name, overlap)))?;
    Ok(Exit::Success)
}

/// What to do about a new secret that nobody got. The server rotates no key whose overlap still runs, but at once.
fn lost(name: &str, overlap: Period) -> String {
    let mend = format!("flyte rotate api-key {name} --overlap 0");
    if overlap.duration().is_zero() {
        return format!(
            "Nobody has the new secret, and the old one has ended. Mend it, then rotate again: {mend}"
        );
    }
    format!(
        "Nobody has the new secret. The old one works until its overlap ends (`flyte get api-key {name}` tells when): mend it, \
         and once those who use the key can be switched, run: {mend}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_secret_is_replaced_without_an_overlap() {
        let told = lost("ci", "24h".parse().unwrap());
        assert!(told.contains("works until its overlap ends") && told.ends_with("--overlap 0"), "{told}");
        let told = lost("ci", "0".parse().unwrap());
        assert!(told.contains("has ended") && told.ends_with("--overlap 0"), "{told}");
    }
}
