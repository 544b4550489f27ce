//! `flyte create api-key`

use std::path::{Path, PathBuf};

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::ClientError;
use flyte_client::api_key::{ApiKeys, IssuedApiKey, Lifetime, NewApiKey};

use crate::command::create::access::{Limits, Role};
use crate::context::Context;
use crate::delivery::Delivery;
use crate::failure::{Exit, Failure};
use crate::key::{self, Issued};
use crate::output;
use crate::public_key;
use crate::time::Expiry;

pub(crate) const HELP: &str = "\
Without --expires the key works for 90 days. For a key that does not expire, or an administrator's key, you must have signed \
in within the last 15 minutes. If you have not, you sign in again.

The key contains the server's address, the client ID and the secret, and gives access without anything else. It is shown once \
and cannot be shown again. Only the key goes to standard output, so you can pipe it. -o names the file to write it \
to; use --output-format for the format of the result.

For example:
  flyte create api-key ci --expires 90d --role contributor | gh secret set FLYTE_API_KEY
  flyte create api-key ci --project flytesnacks --output ci.key
  flyte create api-key ci --pipe-to vault kv put secret/flyte key=-
  flyte create api-key batch --public-key batch.pub.pem
  export FLYTE_API_KEY=\"$(flyte create api-key laptop --expires 7d)\"";

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Name of the key, from which its client ID is derived
    #[arg(id = "key_name", value_name = "NAME", required_unless_present = "name", conflicts_with = "name")]
    key_name: Option<String>,

    /// The name as an option, as in the published client
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// How long the key works, for example 30d, 12h or 1y, or never for no expiry. By default 90 days
    #[arg(long, value_name = "DURATION")]
    expires: Option<Expiry>,

    /// Role of the key. By default contributor; only --role admin creates an administrator's key
    #[arg(long, value_enum)]
    role: Option<Role>,

    #[command(flatten)]
    limits: Limits,

    /// File with the client's public key (PEM, or a JSON Web Key Set). The API key then has no secret, and the client signs with its
    /// private key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["output", "pipe_to"])]
    public_key: Option<PathBuf>,

    #[command(flatten)]
    delivery: Delivery,
}

impl From<Expiry> for Lifetime {
    fn from(expiry: Expiry) -> Self {
        match expiry {
            Expiry::After(period) => Self::For(period.duration()),
            Expiry::Never => Self::NoExpiry,
        }
    }
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let new = NewApiKey {
        name: arguments.name.or(arguments.key_name).unwrap_or_default(),
        access: arguments.limits.with(arguments.role),
        lifetime: arguments.expires.map(Lifetime::from).unwrap_or_default(),
    };
    let name = new.name.clone();
    let unsaid = arguments.expires.is_none();
    if let Some(path) = &arguments.public_key {
        return run_signing(new, unsaid, path, context);
    }
    arguments.delivery.examine()?;
    let session = context.signed_in()?;
    let outlet = arguments.delivery.prepare()?;
    let keys = context.client_of(session)?.api_keys();
    context.run("Creating the API key", async {
        let issued = keys.create(new).await.map_err(|error| failed(&name, &error))?;
        context.progress.clear();
        let client_id = issued.api_key.client_id.clone();
        let ends = issued.api_key.expires_at.is_some();
        let IssuedApiKey { api_key, secret } = issued;
        let handed_over = Issued::new(api_key, &secret, context)
            .and_then(|issued| issued.hand_over(outlet, "created", context, Clock::default().now()));
        match handed_over {
            Ok(()) => {
                report_default_expiry(unsaid && ends);
                Ok(())
            }
            Err(failure) => Err(undo(&keys, &client_id, failure).await),
        }
    })?;
    Ok(Exit::Success)
}

/// Creates a key for a client that signs. It has no secret to deliver.
fn run_signing(new: NewApiKey, unsaid: bool, path: &Path, context: &Context) -> Result<Exit, Failure> {
    let name = new.name.clone();
    let jwks = public_key::read(path)?;
    let keys = context.client_of(context.encrypted_session(false)?)?.api_keys();
    let made = context.run("Creating the API key", async {
        keys.create_signing(new, jwks).await.map_err(|error| failed(&name, &error))
    })?;
    output::tell(&key::describe(&made, "created", Clock::default().now()));
    report_default_expiry(unsaid && made.expires_at.is_some());
    output::tell(&format!(
        "The client signs with its private key. On its machine, run:  flyte create config --endpoint {} --client-id {} \
         --client-private-key-file PRIVATE.pem\n(which sets admin.authType ClientSecret, admin.clientId and \
         admin.clientPrivateKeyLocation)",
        context.endpoint()?.dns(),
        made.client_id
    ));
    output::print(context.global.format, &made, |made| format!("{}\n", made.client_id))?;
    Ok(Exit::Success)
}

/// Informs the user about the default expiry.
fn report_default_expiry(chosen: bool) {
    if chosen {
        output::tell("The default is 90 days. Use --expires for another lifetime, or --expires never.");
    }
}

fn failed(name: &str, error: &ClientError) -> Failure {
    Failure::resource(format!("cannot create API key {name}"), error, "api-key")
}

/// Deletes a key whose secret could not be delivered.
async fn undo<T: flyte_client::Transport>(keys: &ApiKeys<T>, client_id: &str, failure: Failure) -> Failure {
    match keys.delete(client_id).await {
        Ok(()) => failure.next("The key was deleted again. Fix the problem, then create the key again."),
        Err(error) => failure.next(format!(
            "The key was lost, but still exists at the server ({error}). Delete it: flyte delete api-key {client_id} --yes"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::command::create;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = ["flyte", "create", "api-key"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Create(create::Command::ApiKey(arguments)) => Ok(arguments),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn limits_are_requested_only_if_given() {
        let arguments = parse("ci --scope a --scope b,c --role viewer --project p --domain d").unwrap();
        let access = arguments.limits.with(arguments.role);
        assert_eq!(access.scopes, ["a", "b", "c"]);
        assert_eq!((&*access.role, &*access.project, &*access.domain), ("viewer", "p", "d"));
        let arguments = parse("--name ci").unwrap();
        assert_eq!(arguments.limits.with(arguments.role), flyte_client::Access::default());
        assert_eq!(arguments.name.as_deref(), Some("ci"));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, expected) in [
            ("ci --domain d", "--project <NAME>"),
            ("ci --expires 90", "the unit is missing after 90"),
            ("ci --expires 0d", "longer than zero"),
            ("ci --expires soon", "write never for no expiry"),
            ("ci --role owner", "possible values: viewer, contributor, admin"),
            ("ci --name ci", "cannot be used with"),
            ("ci -o json", "Use --output-format json for the format"),
            ("ci --force", "--output <FILE>"),
            ("ci -o f --pipe-to cat", "cannot be used with"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn arguments_after_pipe_to_belong_to_the_command() {
        let arguments = parse("ci --pipe-to gh secret set KEY --repo acme/app -o x").unwrap();
        let shown = format!("{:?}", arguments.delivery);
        assert!(
            shown.contains(r#"["gh", "secret", "set", "KEY", "--repo", "acme/app", "-o", "x"]"#),
            "{shown}"
        );
    }
}
