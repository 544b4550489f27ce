//! An API key that was just issued: how it is handed over and told about.

use flyte_auth::api_key;
use flyte_client::api_key::ApiKey;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::command::get;
use crate::context::Context;
use crate::delivery::Outlet;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::time;

/// A key with its secret, as the one string that is used everywhere.
pub(crate) struct Issued {
    api_key: ApiKey,
    key: SecretString,
    portable: bool,
}

impl Issued {
    /// The key for the control plane in effect.
    pub(crate) fn new(api_key: ApiKey, secret: &SecretString, context: &Context) -> Result<Self, Failure> {
        let parts = api_key::ApiKey {
            endpoint: context.endpoint()?,
            client_id: api_key.client_id.clone(),
            client_secret: secret.clone(),
            org: context.global.org.clone(),
        };
        let key = parts.encode().map_err(|error| {
            Failure::new(format!("cannot write the API key {} as one string", api_key.name)).why(error)
        })?;
        Ok(Self { api_key, key, portable: parts.is_portable() })
    }

    /// Hands the key over, and tells the person about it; `done` is what was done to it.
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
        // The key is where it belongs; what follows only tells about it.
        output::tell(&told(&self.api_key, done, now));
        if to_stdout {
            output::tell("The key is shown this once. To use it: export FLYTE_API_KEY=KEY");
        } else {
            output::tell(&format!("The key went to {place}; it cannot be shown again."));
            // Whoever has the key has it, whatever becomes of the rest: it must not be taken back because of that.
            if format != Format::Table
                && let Err(failure) = output::print(format, &self.api_key, |_| String::new())
            {
                output::tell(&format!("The key is in its place, but {}", failure.summary()));
            }
        }
        if !self.portable {
            output::tell(
                "Note: the published Python client reads no key of a server on a port other than 443, nor of an IPv6 address.",
            );
        }
        Ok(())
    }

    /// What goes to standard output where the key does.
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

/// One line about what was done.
pub(crate) fn told(api_key: &ApiKey, done: &str, now: i64) -> String {
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
        line.push_str(&format!(" The key before works until {}.", time::moment(at, now)));
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
    fn the_person_is_told_what_the_key_is_without_the_key() {
        assert_eq!(
            told(&issued(None, Access::default()).api_key, "created", 0),
            "API key ci created; it works until it is deleted."
        );
        let access =
            Access { role: "viewer".into(), project: "p".into(), domain: "d".into(), scopes: Vec::new() };
        let mut issued = issued(Some(86_400 * 3), access);
        issued.api_key.previous_secret_expires_at = Some(7200);
        assert_eq!(
            told(&issued.api_key, "rotated", 0),
            "API key ci rotated; it works until 1970-01-04 00:00:00 UTC (in 3 days), with role viewer, project p, domain d. \
             The key before works until 1970-01-01 02:00:00 UTC (in 2 hours)."
        );
    }

    #[test]
    fn the_result_is_the_key_alone_or_a_value_for_programs() {
        let issued = issued(None, Access::default());
        assert_eq!(issued.result(Format::Table).unwrap().expose_secret(), "a2V5\n");
        let json = issued.result(Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(json.expose_secret()).unwrap();
        assert_eq!((&value["key"], &value["api_key"]["name"]), (&"a2V5".into(), &"ci".into()));
    }
}
