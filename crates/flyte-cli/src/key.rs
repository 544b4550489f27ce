//! Delivers and describes a newly issued API key.

use flyte_auth::api_key;
use flyte_auth::oauth::ClientId;
use flyte_client::api_key::ApiKey;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::command::get;
use crate::context::Context;
use crate::delivery::Outlet;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::time;

/// A key with its secret, as one string.
pub(crate) struct Issued {
    api_key: ApiKey,
    key: SecretString,
    portable: bool,
}

impl Issued {
    /// The key for the control plane in effect.
    pub(crate) fn new(api_key: ApiKey, secret: &SecretString, context: &Context) -> Result<Self, Failure> {
        let unusable = || Failure::new(format!("cannot write the API key {} as one string", api_key.name));
        let client_id = ClientId::parse(&api_key.client_id)
            .ok_or_else(|| unusable().why("the server gave it no client ID"))?;
        let parts = api_key::ApiKey {
            endpoint: context.endpoint()?,
            client_id,
            client_secret: secret.clone(),
            org: context.global.org.clone(),
        };
        let key = parts.encode().map_err(|error| unusable().why(error))?;
        Ok(Self { api_key, key, portable: parts.is_portable() })
    }

    /// Delivers the key and describes it to the user; `done` is what happened to it.
    pub(crate) fn hand_over(
        &self,
        outlet: Outlet,
        done: &str,
        context: &Context,
        now: i64,
    ) -> Result<(), Failure> {
        let format = context.global.format;
        let (to_stdout, place) = (outlet.is_stdout(), outlet.place());
        outlet.hand_over(&self.key, &self.result(format)?)?;
        // The key is delivered; the rest only describes it.
        output::tell(&describe(&self.api_key, done, now));
        if to_stdout {
            output::tell("The key is shown only once. To use it: export FLYTE_API_KEY=KEY");
        } else {
            output::tell(&format!("Wrote the key to {place}. It cannot be shown again."));
            // The key is delivered. A later failure must not delete it.
            if format != Format::Table
                && let Err(failure) = output::print(format, &self.api_key, |_| String::new())
            {
                output::tell(&format!("The key was delivered, but {}", failure.summary()));
            }
        }
        if !self.portable {
            output::tell(
                "Note: the published Python client can read a key only if its server has port 443 and no IPv6 address.",
            );
        }
        Ok(())
    }

    /// The text for standard output, if the key goes there.
    fn result(&self, format: Format) -> Result<SecretString, Failure> {
        let key = self.key.expose_secret();
        let text = match format {
            Format::Table => format!("{key}\n"),
            format => {
                let value = serde_json::json!({ "key": key, "api_key": self.api_key });
                output::written(format, &value)?
            }
        };
        Ok(SecretString::from(Zeroizing::new(text).as_str()))
    }
}

/// Describes the key and what happened to it, in one line.
pub(crate) fn describe(api_key: &ApiKey, done: &str, now: i64) -> String {
    let ApiKey { name, expires_at, previous_secret_expires_at, .. } = api_key;
    let mut line = match expires_at {
        Some(at) => format!("API key {name} {done}; it works until {}", time::moment(*at, now)),
        None => format!("API key {name} {done}; it works until it is deleted"),
    };
    let limits = get::api_key::limits(&api_key.access);
    if !limits.is_empty() {
        line.push_str(&format!(", with {limits}"));
    }
    line.push('.');
    if let Some(at) = previous_secret_expires_at.filter(|at| *at > now) {
        line.push_str(&format!(" The old secret works until {}.", time::moment(at, now)));
    }
    line
}

#[cfg(test)]
mod tests {
    use flyte_client::Access;

    use super::*;

    fn issued(expires_at: Option<i64>, access: Access) -> Issued {
        let api_key = ApiKey { name: "ci".into(), expires_at, access, ..ApiKey::default() };
        Issued { api_key, key: SecretString::from("a2V5"), portable: true }
    }

    #[test]
    fn description_does_not_contain_the_key() {
        assert_eq!(
            describe(&issued(None, Access::default()).api_key, "created", 0),
            "API key ci created; it works until it is deleted."
        );
        let access =
            Access { role: "viewer".into(), project: "p".into(), domain: "d".into(), scopes: Vec::new() };
        let mut issued = issued(Some(86_400 * 3), access);
        issued.api_key.previous_secret_expires_at = Some(7200);
        assert_eq!(
            describe(&issued.api_key, "rotated", 0),
            "API key ci rotated; it works until 1970-01-04 00:00:00 UTC (in 3 days), with role viewer, project p, domain d. \
             The old secret works until 1970-01-01 02:00:00 UTC (in 2 hours)."
        );
    }

    #[test]
    fn result_is_the_key_or_json() {
        let issued = issued(None, Access::default());
        assert_eq!(issued.result(Format::Table).unwrap().expose_secret(), "a2V5\n");
        let json = issued.result(Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(json.expose_secret()).unwrap();
        assert_eq!((&value["key"], &value["api_key"]["name"]), (&"a2V5".into(), &"ci".into()));
    }
}
