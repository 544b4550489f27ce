//! What a session is made of: the parameters of `flyte.init` and its siblings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flyte_auth::api_key::ApiKey;
use flyte_auth::flows::client_credentials::{ClientCredentials, CredentialSource};
use flyte_auth::oauth::ClientId;
use flyte_auth::{Approval, SessionOptions, state_dir};
use flyte_config::{AuthType, Config, Endpoint, Environment, StoreKind};
use secrecy::SecretString;
use serde::Deserialize;

use crate::failure::Failure;
use crate::prompt::Prompt;

/// The parameters; what is left out is the configuration's. Secrets are not among them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Parameters {
    /// Whether to search a configuration file. Without one, only variables are read, if `environment` is set.
    use_config: bool,
    /// The file, if the caller names one.
    config: Option<PathBuf>,
    /// Whether environment variables (for example `FLYTE_AUTH_TYPE`) replace missing parameters if there is no file.
    environment: bool,
    /// Whether `FLYTE_API_KEY` counts.
    environment_key: bool,
    endpoint: Option<String>,
    insecure: bool,
    insecure_skip_verify: bool,
    ca_cert_file_path: Option<String>,
    auth_type: Option<String>,
    headless: bool,
    command: Option<Vec<String>>,
    proxy_command: Option<Vec<String>>,
    client_id: Option<String>,
    scopes: Option<Vec<String>>,
    http_proxy_url: Option<String>,
    token_store: Option<String>,
    disable_keyring: bool,
    org: Option<String>,
    project: Option<String>,
    domain: Option<String>,
}

/// Secrets among the parameters.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    pub(crate) api_key: Option<SecretString>,
    pub(crate) client_secret: Option<SecretString>,
}

/// What came of them.
pub(crate) struct Settings {
    pub(crate) options: SessionOptions,
    pub(crate) config: Config,
}

impl Parameters {
    /// Joins the parameters with the configuration; parameters come first.
    pub(crate) fn settings(self, secrets: Secrets, prompt: Arc<Prompt>) -> Result<Settings, Failure> {
        let environment = environment()?;
        let mut config = match (self.use_config, self.environment) {
            (true, _) => {
                Config::load(self.config.as_deref(), &environment).map_err(|error| Failure::from(&error))?
            }
            (false, true) => without_file(&environment)?,
            (false, false) => Config::default(),
        };
        let key = self.key(&secrets, &environment)?;
        self.override_config(&mut config, key.as_ref(), &environment)?;
        let endpoint = config.admin.endpoint.clone().ok_or_else(|| no_endpoint(&config))?;
        approve(&config, &environment)?;

        let mut options = SessionOptions::from_config(endpoint, &config, &environment, prompt);
        options.headless = self.headless;
        if let Some(secret) = secrets.client_secret {
            let client_id = config.admin.client_id.as_deref().and_then(ClientId::parse);
            let source = CredentialSource::Secret(secret);
            options.credentials.client = Some(ClientCredentials { client_id, source });
        }
        let options = match key {
            // Over plain HTTP nothing is sent along.
            Some(key) if !options.endpoint.is_insecure() => options.with_api_key(key),
            _ => options,
        };
        Ok(Settings { options, config })
    }

    /// The API key: the one given, else the environment's unless another way to sign in was asked for.
    fn key(&self, secrets: &Secrets, environment: &Environment) -> Result<Option<ApiKey>, Failure> {
        use secrecy::ExposeSecret as _;
        let bad = |error: flyte_auth::api_key::ApiKeyError| Failure::from(&error);
        if let Some(key) = &secrets.api_key {
            return ApiKey::decode(key.expose_secret()).map(Some).map_err(bad);
        }
        if !self.environment_key || self.headless || self.auth_type.is_some() {
            return Ok(None);
        }
        let key = ApiKey::from_environment(environment).map_err(bad)?;
        if let (Some(key), Some(endpoint)) = (&key, &self.endpoint)
            && parse_endpoint(endpoint)?.url() != key.endpoint.url()
        {
            // The secret must not go to that address.
            return Err(Failure::new(
                "unauthenticated",
                format!(
                    "FLYTE_API_KEY is not for {endpoint}: it is for {}, and its secret is sent only there",
                    key.endpoint
                ),
                "Leave the endpoint out, or run: unset FLYTE_API_KEY",
            ));
        }
        Ok(key)
    }

    fn override_config(
        &self,
        config: &mut Config,
        key: Option<&ApiKey>,
        environment: &Environment,
    ) -> Result<(), Failure> {
        let admin = &mut config.admin;
        if let Some(key) = key {
            // As in the published client, the key names its server; the file's address may be another server's.
            admin.endpoint = Some(key.endpoint.clone());
            admin.insecure = false;
            admin.auth_type = AuthType::ClientSecret;
            admin.auth_type_chosen = true;
            config.task.org = key.org.clone().or(config.task.org.take());
        }
        admin.insecure |= self.insecure;
        if let Some(endpoint) = &self.endpoint {
            let endpoint = parse_endpoint(endpoint)?;
            if let Some(key) = key
                && endpoint.url() != key.endpoint.url()
            {
                return Err(Failure::new(
                    "unauthenticated",
                    format!("the API key is for {}, not for {endpoint}", key.endpoint),
                    "Remove the endpoint: the key contains it.",
                ));
            }
            admin.endpoint = Some(endpoint);
        }
        admin.endpoint = admin.endpoint.take().map(|endpoint| endpoint.with_insecure(admin.insecure));
        admin.insecure_skip_verify |= self.insecure_skip_verify;
        if let Some(kind) = &self.token_store {
            let kind = kind.parse().map_err(|error| Failure::argument(format!("token_store: {error}")))?;
            admin.token_store = Some(kind);
        } else if self.disable_keyring {
            admin.token_store = Some(StoreKind::Memory);
        } else if let (None, Some(kind)) = (admin.token_store, environment.variable("FLYTE_TOKEN_STORE")) {
            // Even if no file is read, because it describes this machine.
            let kind =
                kind.parse().map_err(|error| Failure::argument(format!("FLYTE_TOKEN_STORE: {error}")))?;
            admin.token_store = Some(kind);
        }
        if let Some(path) = &self.ca_cert_file_path {
            admin.ca_cert_file_path = Some(environment.resolve(path));
        }
        if let Some(auth_type) = &self.auth_type {
            admin.auth_type = auth_type
                .parse()
                .map_err(|error| Failure::new("configuration", format!("auth_type: {error}"), ""))?;
            admin.auth_type_chosen = true;
        }
        if self.headless && !admin.auth_type.is_for_people() {
            admin.auth_type = AuthType::DeviceFlow;
        }
        if let Some(url) = &self.http_proxy_url {
            // The text may hold a password, so that the error does not repeat it.
            let url = url.parse().map_err(|error| {
                Failure::argument(format!("http_proxy_url is not a URL such as http://proxy:3128 ({error})"))
            })?;
            admin.http_proxy_url = Some(url);
        }
        for (given, setting) in [
            (&self.command, &mut admin.command),
            (&self.proxy_command, &mut admin.proxy_command),
            (&self.scopes, &mut admin.scopes),
        ] {
            if let Some(given) = given {
                setting.clone_from(given);
            }
        }
        let task = &mut config.task;
        for (given, setting) in [
            (&self.client_id, &mut admin.client_id),
            (&self.org, &mut task.org),
            (&self.project, &mut task.project),
            (&self.domain, &mut task.domain),
        ] {
            if given.is_some() {
                setting.clone_from(given);
            }
        }
        Ok(())
    }
}

/// What the process was started with.
pub(crate) fn environment() -> Result<Environment, Failure> {
    Environment::current().map_err(|error| {
        Failure::new(
            "configuration",
            format!("cannot find the working directory: {error}"),
            "Change to one that exists.",
        )
    })
}

/// The configuration that variables make alone.
fn without_file(environment: &Environment) -> Result<Config, Failure> {
    let mut variables = environment.variables.clone();
    variables.retain(|name, _| name != "UCTL_CONFIG" && name != "FLYTECTL_CONFIG");
    // A path below a file cannot contain a file.
    let nowhere = Environment { variables, directory: PathBuf::from("/dev/null"), home: None };
    Config::load(None, &nowhere).map_err(|error| Failure::from(&error))
}

fn parse_endpoint(text: &str) -> Result<Endpoint, Failure> {
    text.parse().map_err(|error| {
        Failure::new(
            "configuration",
            format!("endpoint: {error}"),
            "Give it like this: https://flyte.example.com",
        )
    })
}

fn no_endpoint(config: &Config) -> Failure {
    let why = match &config.source {
        Some(path) => format!("{} has no admin.endpoint", path.display()),
        None => "there is no configuration file".to_owned(),
    };
    Failure::new(
        "no_endpoint",
        format!("no control plane is configured: {why}"),
        "Run `flyte create config --endpoint HOST`, or call flyte.init(endpoint=\"HOST\").",
    )
}

/// Refuses settings that came with a checkout until the person has approved them.
fn approve(config: &Config, environment: &Environment) -> Result<(), Failure> {
    let Some(approval) = Approval::needed(config, state_dir(environment).as_deref()) else { return Ok(()) };
    let file: &Path = approval.file();
    Err(Failure::new(
        "approval",
        format!(
            "{} was found here. It decides who gets your tokens, or which command runs as you, and you have not approved it:\n\n{}\n",
            file.display(),
            approval.settings()
        ),
        format!(
            "If you trust it, run `flyte auth status` here and say yes, or name it: flyte.init_from_config({:?}).",
            file.display().to_string()
        ),
    ))
}
