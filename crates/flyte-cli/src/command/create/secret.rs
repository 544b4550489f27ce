//! `flyte create secret`

mod registry;

use std::convert::Infallible;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use flyte_client::secret::Kind;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use self::registry::Registry;
use crate::command::get::secret::{described, scope};
use crate::confirm;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

pub(crate) const HELP: &str = "\
The value is asked for without showing it. Without a terminal, it is read from standard input, without the line end. \
--from-file - reads standard input unchanged. A value in --value or --password can be seen by other users of this machine while \
the command runs, and stays in the history of the shell.

Without --project and --domain, the secret belongs to the organization, regardless of the configuration.

For example:
  flyte create secret my-token
  flyte create secret my-token --from-file token.txt --project flytesnacks --domain development
  pass show my-token | flyte create secret my-token
  flyte create secret my-registry --type image-pull --registry ghcr.io --username ada
  flyte create secret my-registry --type image-pull --from-docker-config --registries ghcr.io";

/// The largest value, in bytes. Kubernetes has this limit.
const MAX_VALUE_BYTES: u64 = 1 << 20;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the secret
    name: String,

    /// The value. Other users of this machine can see it while the command runs
    #[arg(long, value_name = "TEXT", value_parser = hidden, allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["from_file", "from_docker_config", "registry"])]
    value: Option<SecretString>,

    /// File with the value, unchanged; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from_docker_config", "registry"])]
    from_file: Option<PathBuf>,

    /// What the secret is for
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t = Type::Regular)]
    kind: Type,

    #[command(flatten)]
    registry: Registry,
}

/// The kind of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Type {
    /// A value that tasks read
    Regular,
    /// Credentials of an image registry
    #[value(alias = "image_pull")]
    ImagePull,
}

/// A secret on the command line.
fn hidden(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.into())
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { name, value, from_file, kind, registry } = arguments;
    let scope = scope(&context.global)?;
    let what = format!("cannot create secret {name}");
    if kind == Type::ImagePull && !(scope.project.is_empty() && scope.domain.is_empty()) {
        return Err(Failure::new(what)
            .why("credentials of an image registry belong to the organization")
            .next("Leave out --project and --domain.")
            .exit(Exit::Usage));
    }
    if kind == Type::Regular && registry.is_used() {
        return Err(Failure::new(what)
            .why("options about registries are for image-pull secrets")
            .next("Add --type image-pull, or leave them out.")
            .exit(Exit::Usage));
    }
    if value.is_some() || registry.has_password() {
        output::tell(
            "Other users of this machine can see a secret in the command line. Leave it out to be asked for it.",
        );
    }
    // Before a sign-in, so that nothing else reads what the user types.
    let value = match (value, from_file) {
        (Some(value), _) => value.expose_secret().as_bytes().to_vec().into(),
        (None, Some(file)) => read(&file, &what)?,
        (None, None) if kind == Type::ImagePull => registry.credentials(&context.environment, &what)?,
        (None, None) => ask(&format!("Value of {name}: "), &what)?,
    };
    if value.expose_secret().is_empty() {
        return Err(Failure::new(what)
            .why("the value is empty")
            .next("Type it when you are asked, or use --from-file FILE.")
            .exit(Exit::Usage));
    }
    let kind = match kind {
        Type::Regular => Kind::Regular,
        Type::ImagePull => Kind::ImagePull,
    };
    let secrets = context.project_domain_client()?.secrets();
    context.run("Creating the secret", async {
        let created = secrets.create(&scope, &name, kind, &value).await;
        created.map_err(|error| Failure::resource(what, &error, "secret"))
    })?;
    output::tell(&format!("Created secret {name} of {}.", described(&scope)));
    Ok(Exit::Success)
}

/// Reads a value from a file.
fn read(file: &Path, what: &str) -> Result<SecretSlice<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(MAX_VALUE_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_VALUE_BYTES + 1).read_to_end(&mut bytes))
    };
    let value = SecretSlice::from(bytes);
    let failed = |why: String| Failure::new(what.to_owned()).why(why).exit(Exit::Usage);
    match read {
        Err(error) => Err(failed(format!("cannot read {}: {error}", file.display()))),
        Ok(read) if read as u64 > MAX_VALUE_BYTES => {
            Err(failed(format!("{} is larger than 1 MiB, which is the limit for secrets", file.display())))
        }
        Ok(_) => Ok(value),
    }
}

/// Asks the user for a value without showing it, or reads it from a pipe.
fn ask(question: &str, what: &str) -> Result<SecretSlice<u8>, Failure> {
    if !io::stdin().is_terminal() {
        let value = read(Path::new("-"), what)?;
        let bytes = value.expose_secret();
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        return Ok(text.strip_suffix(b"\r").unwrap_or(text).to_vec().into());
    }
    if !confirm::possible() {
        return Err(Failure::new(what.to_owned())
            .why("the value is missing, and there is no terminal to ask for it")
            .next("Use --from-file FILE, or send it to standard input.")
            .exit(Exit::Usage));
    }
    let typed = rpassword::prompt_password(question);
    let typed =
        typed.map_err(|error| Failure::new(what.to_owned()).why(format!("cannot ask for it: {error}")))?;
    Ok(typed.into_bytes().into())
}
