//! `flyte create config`

use std::path::{Path, PathBuf};

use clap::Args;
use flyte_auth::{Approval, state_dir};
use flyte_config::key::{self, Key};
use flyte_config::{AuthType, Config, ConfigError, Document, Endpoint, Environment, Setting, search};

use super::interview;
use super::sign_in::SignIn;
use crate::failure::{Exit, Failure};
use crate::global::{AUTH_TYPE_HELP, Address, ImageBuilder};
use crate::output::{self, Format};
use crate::{confirm, context};

pub(crate) const HELP: &str = "\
Without options, the command asks for the control plane at a terminal.

An existing file is changed in place: comments, other settings and their order stay. With --endpoint, the way to \
sign in becomes that of --auth-type, or the default (pkce), and plain HTTP is turned off unless --insecure \
is given.

The file holds no secrets, so that it can be kept in source control.

For example:
  flyte create config --endpoint flyte.example.com --project flytesnacks --domain development
  flyte create config --endpoint flyte.example.com --auth-type headless --force
  flyte create config --endpoint localhost:8443 --ca-cert-file ca.pem";

const DEVBOX_ENDPOINT: &str = "localhost:30080";
const DEVBOX_PROJECT: &str = "flytesnacks";
const DEVBOX_DOMAIN: &str = "development";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Control plane: host, host:port, https://host or dns:///host. `http://` works too, but only --insecure
    /// turns TLS off
    #[arg(long, value_name = "HOST")]
    pub(crate) endpoint: Option<Address>,

    /// Talk plain HTTP, without credentials
    #[arg(long)]
    pub(crate) insecure: bool,

    /// How to sign in
    #[arg(long, value_name = "TYPE", help = AUTH_TYPE_HELP)]
    pub(crate) auth_type: Option<AuthType>,

    /// ID of the client that signs in, with --auth-type client-secret
    #[arg(long, value_name = "ID")]
    pub(super) client_id: Option<String>,

    /// File with the client's secret; implies --auth-type client-secret
    #[arg(long, value_name = "FILE")]
    pub(super) client_secret_file: Option<PathBuf>,

    /// Environment variable with the client's secret; implies --auth-type client-secret
    #[arg(long, value_name = "NAME", group = "content", conflicts_with = "client_secret_file")]
    pub(super) client_secret_env_var: Option<String>,

    /// PEM file of the client's private key, instead of a secret; implies --auth-type client-secret
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["client_secret_file", "client_secret_env_var"])]
    pub(super) client_private_key_file: Option<PathBuf>,

    /// Command that prints the access token, as one quoted argument; implies --auth-type external-command
    #[arg(long, value_name = "LINE")]
    pub(super) command: Option<String>,

    /// Organization. By default the first label of a host name with three labels or more
    #[arg(long, value_name = "NAME")]
    pub(crate) org: Option<String>,

    /// Project to work in
    #[arg(short, long, value_name = "NAME")]
    pub(crate) project: Option<String>,

    /// Domain to work in, for example development
    #[arg(short, long, value_name = "NAME")]
    pub(crate) domain: Option<String>,

    /// For a devbox on this machine: --endpoint localhost:30080 --insecure --project flytesnacks --domain development
    #[arg(long, conflicts_with = "endpoint")]
    devbox: bool,

    /// PEM file of the certificate authorities to trust instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_cert_file: Option<PathBuf>,

    /// Accept any certificate. An attacker on the network can then read everything
    #[arg(long)]
    insecure_skip_verify: bool,

    /// What builds images [default: local]
    #[arg(long, visible_alias = "builder", value_name = "BUILDER", value_enum)]
    image_builder: Option<ImageBuilder>,

    /// Registry for built images, for example ghcr.io/my-org
    #[arg(long, value_name = "REGISTRY")]
    registry: Option<String>,

    /// Keep a record of local runs
    #[arg(long)]
    local_persistence: bool,

    /// Report local runs to the control plane
    #[arg(long)]
    local_tracked: bool,

    /// File to write. By default .flyte/config.yaml of the project that you are in (a directory with .flyte, or a git
    /// repository), or else ~/.flyte/config.yaml
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Change an existing file without asking
    #[arg(long)]
    force: bool,

    /// Replaces the global option of that name, because its short form names the file here.
    #[arg(id = "format", long = "output-format", hide = true, value_enum, default_value_t)]
    _format: Format,

    /// Replaces the global option, which is another spelling of --output here.
    #[arg(short, long, hide = true, conflicts_with = "output")]
    config: Option<PathBuf>,
}

impl Arguments {
    /// Whether no option names the control plane or how to use it.
    fn says_nothing(&self) -> bool {
        let Self {
            endpoint,
            insecure,
            auth_type,
            client_id,
            client_secret_file,
            client_secret_env_var,
            client_private_key_file,
            command,
            org,
            project,
            domain,
            devbox,
            ca_cert_file,
            insecure_skip_verify,
            image_builder: _,
            registry: _,
            local_persistence,
            local_tracked,
            output: _,
            force: _,
            _format,
            config: _,
        } = self;
        let values = [client_id, client_secret_env_var, command, org, project, domain];
        let files = [client_secret_file, client_private_key_file, ca_cert_file];
        let flags = [insecure, devbox, insecure_skip_verify, local_persistence, local_tracked];
        endpoint.is_none()
            && auth_type.is_none()
            && values.iter().all(|value| value.is_none())
            && files.iter().all(|file| file.is_none())
            && !flags.iter().any(|flag| **flag)
    }
}

pub(super) fn run(mut arguments: Arguments) -> Result<Exit, Failure> {
    let asks = arguments.says_nothing();
    if asks && !confirm::possible() {
        return Err(interview::impossible());
    }
    let environment = context::environment()?;
    let path = target(&arguments, &environment);
    let ca_cert_file =
        arguments.ca_cert_file.as_deref().map(|file| readable(&environment.directory.join(file)));
    let mut ca_cert_file = ca_cert_file.transpose()?;
    let sign_in = SignIn::of(&arguments, &environment)?;
    let exists = path.exists();
    if exists && !arguments.force && !consent(&path, &retry_line())? {
        return Ok(Exit::Success);
    }
    if asks {
        let address = interview::endpoint(&path, &environment)?;
        let known = Document::open(&path).ok().filter(|_| exists);
        let known = known.as_ref().and_then(|document| authority_of(document, &address.endpoint));
        ca_cert_file = interview::authority(&address.endpoint, known, &environment)?;
        arguments.endpoint = Some(address);
    }
    let arguments = &arguments;
    let unusable = |error: &ConfigError| Failure::config(format!("cannot change {}", path.display()), error);
    let mut document = Document::open(&path).map_err(|error| unusable(&error))?;
    let authority = document.get(key::CA_CERT_FILE_PATH).map(str::to_owned);
    fill_in(&mut document, arguments, &sign_in, ca_cert_file.as_deref(), exists)
        .map_err(|error| unusable(&error))?;
    // Settings that came with the file still need approval. Those of this command line are the user's own.
    let approved = !exists || approval(&path, &environment).is_none();
    document.save().map_err(|error| {
        let failure = Failure::config(format!("cannot write {}", path.display()), &error);
        if exists {
            failure
                .next("Check that the disk is not full and that the directory is writable. The file was not changed.")
        } else {
            failure
        }
    })?;
    output::write(&format!("Config file written to {}\n", path.display()))?;
    if approved && let Some(Err(error)) = approval(&path, &environment).map(|approval| approval.record()) {
        output::tell(&format!("note: the next command will ask whether to use its settings: {error}"));
    }
    if let Some(file) = authority
        && document.get(key::CA_CERT_FILE_PATH).is_none()
    {
        output::tell(&format!(
            "note: removed admin.caCertFilePath, which belonged to the other server. To trust it here too, add --ca-cert-file {file}."
        ));
    }
    if arguments.endpoint.as_ref().is_some_and(|address| address.plain_http) && !arguments.insecure {
        output::tell(
            "note: the connection uses TLS, although the address begins with http://. For plain HTTP, add --insecure.",
        );
    }
    match search::find(None, &environment) {
        Ok(Some(found)) if !same_file(&found, &path) => output::tell(&format!(
            "note: {} takes precedence in this directory. To use the new file: --config {}",
            found.display(),
            path.display()
        )),
        _ => {}
    }
    Ok(Exit::Success)
}

/// The settings of the file that need approval before commands that find it here use them.
fn approval(path: &Path, environment: &Environment) -> Option<Approval> {
    let config = Config::load(None, environment).ok()?;
    let found = config.source.as_deref().is_some_and(|found| same_file(found, path));
    if found { Approval::needed(&config, state_dir(environment).as_deref()) } else { None }
}

/// Sets the values of the command line. For a new file, keys are set in sorted order.
fn fill_in(
    document: &mut Document,
    arguments: &Arguments,
    sign_in: &SignIn,
    ca_cert_file: Option<&str>,
    exists: bool,
) -> Result<(), ConfigError> {
    let devbox = arguments.devbox;
    let given = match &arguments.endpoint {
        Some(address) => Some(address.endpoint.clone()),
        // A valid literal. If it did not parse, no endpoint would be written.
        None => devbox.then(|| DEVBOX_ENDPOINT.parse().ok()).flatten(),
    };
    let old: Option<Endpoint> = document.get(key::ENDPOINT).and_then(|text| text.parse().ok());
    let moved =
        given.as_ref().is_some_and(|new| old.as_ref().is_none_or(|old| old.authority() != new.authority()));
    let text = |document: &mut Document, key: &Key, value: Option<&str>| match value {
        Some(value) => document.set(key, Setting::Text(value)),
        None => Ok(()),
    };
    let flag = |document: &mut Document, key: &Key, on: bool| match on {
        true => document.set(key, Setting::Boolean(true)),
        false => Ok(()),
    };

    match sign_in.auth_type {
        Some(auth_type) => document.set(key::AUTH_TYPE, Setting::Text(auth_type.as_str()))?,
        None if given.is_some() => {
            clear(document, key::AUTH_TYPE, Setting::Text(AuthType::default().as_str()))?;
        }
        None => {}
    }
    sign_in.fill_in(document, given.is_some())?;
    match ca_cert_file {
        Some(file) => document.set(key::CA_CERT_FILE_PATH, Setting::Text(file))?,
        // The authority of one server must not be trusted for another.
        None if moved => clear(document, key::CA_CERT_FILE_PATH, Setting::Text(""))?,
        None => {}
    }
    text(document, key::ENDPOINT, given.as_ref().map(Endpoint::dns).as_deref())?;
    match arguments.insecure || devbox {
        true => document.set(key::INSECURE, Setting::Boolean(true))?,
        false if given.is_some() => clear(document, key::INSECURE, Setting::Boolean(false))?,
        false => {}
    }
    match arguments.insecure_skip_verify {
        true => document.set(key::INSECURE_SKIP_VERIFY, Setting::Boolean(true))?,
        // Accepting any certificate was meant for the other server only.
        false if moved => clear(document, key::INSECURE_SKIP_VERIFY, Setting::Boolean(false))?,
        false => {}
    }
    let builder = arguments.image_builder.or((!exists).then_some(ImageBuilder::Local));
    text(document, key::IMAGE_BUILDER, builder.map(ImageBuilder::as_str))?;
    text(document, key::IMAGE_REGISTRY, arguments.registry.as_deref())?;
    flag(document, key::PERSISTENCE, arguments.local_persistence)?;
    flag(document, key::TRACKED, arguments.local_tracked)?;
    text(document, key::DOMAIN, arguments.domain.as_deref().or(devbox.then_some(DEVBOX_DOMAIN)))?;
    let implied = given.as_ref().filter(|_| moved).map(|endpoint| endpoint.default_org().map(str::to_owned));
    match (&arguments.org, implied) {
        (Some(org), _) => document.set(key::ORG, Setting::Text(org))?,
        (None, Some(Some(org))) => document.set(key::ORG, Setting::Text(&org))?,
        // The organization implied by the old address does not belong to the new one.
        (None, Some(None)) if old.as_ref().and_then(Endpoint::default_org) == document.get(key::ORG) => {
            clear(document, key::ORG, Setting::Text(""))?;
        }
        _ => {}
    }
    text(document, key::PROJECT, arguments.project.as_deref().or(devbox.then_some(DEVBOX_PROJECT)))
}

/// The file of the certificate authority that a document names for an endpoint.
fn authority_of<'a>(document: &'a Document, endpoint: &Endpoint) -> Option<&'a str> {
    let named: Endpoint = document.get(key::ENDPOINT)?.parse().ok()?;
    document.get(key::CA_CERT_FILE_PATH).filter(|_| named.authority() == endpoint.authority())
}

/// Removes a key, or sets it to its default if it cannot be removed without other changes.
fn clear(document: &mut Document, key: &Key, default: Setting<'_>) -> Result<(), ConfigError> {
    document.remove(key).or_else(|_| document.set(key, default))
}

fn target(arguments: &Arguments, environment: &Environment) -> PathBuf {
    match arguments.output.as_ref().or(arguments.config.as_ref()) {
        Some(path) => {
            let path = environment.directory.join(path);
            if path.is_dir() { path.join("config.yaml") } else { path }
        }
        None => search::default_target(environment),
    }
}

/// Returns the path as text, if it is a certificate file.
pub(super) fn readable(path: &Path) -> Result<String, Failure> {
    let unusable = |why: &dyn std::fmt::Display| {
        Failure::new(format!("cannot use the CA file {}", path.display()))
            .why(why)
            .next("Give the PEM file of the certificate authority with --ca-cert-file FILE.")
    };
    let content = std::fs::read_to_string(path).map_err(|error| unusable(&error))?;
    if !content.contains("-----BEGIN CERTIFICATE-----") {
        return Err(unusable(&"it contains no certificate in PEM format"));
    }
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| unusable(&"its name is not Unicode, so it cannot be written to the file"))
}

/// Asks whether to change an existing file. Without a terminal, this is an error.
fn consent(path: &Path, retry: &str) -> Result<bool, Failure> {
    if !confirm::possible() {
        return Err(Failure::new(format!("{} already exists", path.display()))
            .why("it was not changed, because there is no terminal to ask for confirmation")
            .next(format!("To change it in place and keep its other settings: {retry}")));
    }
    let yes = confirm::ask(&format!("{} exists. Change it in place?", path.display()))?;
    if !yes {
        output::tell(&format!("{} was not changed.", path.display()));
    }
    Ok(yes)
}

/// The command line with --force.
fn retry_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    let words = std::env::args().skip(1).map(|word| {
        let quoted = !word.is_empty() && word.chars().all(plain);
        if quoted { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    });
    let words: Vec<_> =
        std::iter::once("flyte".to_owned()).chain(words).chain(["--force".to_owned()]).collect();
    words.join(" ")
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests;
