//! The configuration and the clients that all commands share.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use flyte_auth::api_key::ApiKey;
use flyte_auth::{Approval, AuthError, Session, SessionOptions, Transport, state_dir};
use flyte_client::{Client, ProjectDomain};
use flyte_config::{AuthType, Config, Endpoint, Environment};
use tracing_subscriber::EnvFilter;

use crate::confirm;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::logging::LogFormat;
use crate::output::{self, Format};
use crate::person::Terminal;
use crate::progress::Progress;

/// How long a server can take to say where to sign in, if there is another message to show anyway.
const PATIENCE: Duration = Duration::from_secs(5);

/// The effective configuration, and what is built from it on demand.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) config: Config,
    pub(crate) environment: Environment,
    /// The control plane of the configuration, before a key or the command line replaced it.
    pub(crate) configured: Option<Endpoint>,
    /// The key in `FLYTE_API_KEY`, if it is used.
    api_key: Option<ApiKey>,
    pub(crate) progress: Progress,
}

impl Context {
    /// Reads the configuration and applies the command line to it.
    pub(crate) fn load(global: Global) -> Result<Self, Failure> {
        log(&global);
        let environment = environment()?;
        let config = Config::load(global.config.as_deref(), &environment)
            .map_err(|error| Failure::config("cannot use the configuration", &error))?;
        let api_key = api_key(&global, &environment)?;
        Ok(Self::with(global, config, environment, api_key))
    }

    /// Applies an API key and the command line to a configuration.
    pub(crate) fn with(
        global: Global,
        mut config: Config,
        environment: Environment,
        api_key: Option<ApiKey>,
    ) -> Self {
        match &config.source {
            Some(path) => tracing::info!(path = %path.display(), "configuration read"),
            None => tracing::info!("no configuration file"),
        }
        for unknown in &config.unknown_keys {
            // Keys of other tools are normal. Misspelled keys and secrets need a warning.
            if unknown.meant().is_some() || unknown.names_a_secret() {
                tracing::warn!("{unknown}");
            } else {
                tracing::info!("{unknown}");
            }
        }
        let configured = config.admin.endpoint.clone();
        let admin = &mut config.admin;
        if let Some(key) = &api_key {
            tracing::info!(endpoint = %key.endpoint, client = %key.client_id, "using FLYTE_API_KEY");
            // As in the published client, the key names its server; the file's address may be another server's.
            admin.endpoint = Some(key.endpoint.clone());
            admin.insecure = false;
            admin.auth_type = AuthType::ClientSecret;
            config.task.org = key.org.clone().or(config.task.org.take());
        }
        admin.insecure |= global.insecure;
        if let Some(address) = &global.endpoint {
            admin.endpoint = Some(address.endpoint.clone());
        }
        admin.endpoint = admin.endpoint.take().map(|endpoint| endpoint.with_insecure(admin.insecure));
        if let Some(auth_type) = global.auth_type {
            admin.auth_type = auth_type;
            admin.auth_type_chosen = true;
        }
        if global.headless && !admin.auth_type.is_for_people() {
            admin.auth_type = AuthType::DeviceFlow;
        }
        for (option, value) in [
            (&global.org, &mut config.task.org),
            (&global.project, &mut config.task.project),
            (&global.domain, &mut config.task.domain),
        ] {
            if let Some(option) = option {
                *value = Some(option.clone());
            }
        }
        let progress = Progress::new(global.logging.no_progress);
        Self { global, config, environment, configured, api_key, progress }
    }

    /// The control plane.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, Failure> {
        self.config.admin.endpoint.clone().ok_or_else(|| {
            let why = match &self.config.source {
                Some(path) => format!("{} has no admin.endpoint", path.display()),
                None => "there is no configuration file".to_owned(),
            };
            Failure::new("no control plane is configured")
                .why(why)
                .next("Run `flyte create config --endpoint HOST`, or give --endpoint HOST.")
        })
    }

    /// Asks the user to approve settings that came with a checkout, before they take effect.
    fn approve(&self) -> Result<(), Failure> {
        let Some(approval) = Approval::needed(&self.config, state_dir(&self.environment).as_deref()) else {
            return Ok(());
        };
        let file = approval.file().display();
        let what = format!(
            "{file} was found here. It decides who gets your tokens, or which command runs as you:\n\n{}\n",
            approval.settings()
        );
        let refused = Failure::new(format!("{file} is not used before you have approved it"))
            .next(format!("Name it if you trust it: --config {file} (or FLYTECTL_CONFIG={file})."));
        if !confirm::possible() {
            return Err(refused.why(format!("{what}\nThere is no terminal to ask you.")));
        }
        self.progress.clear();
        output::tell(&what);
        if !confirm::ask("Use these settings from now on?")? {
            return Err(refused.why("you said no"));
        }
        if let Err(error) = approval.record() {
            // The answer counts for this command, although it cannot be stored.
            self.progress
                .tell(&format!("You will be asked again, because the approval cannot be stored ({error})."));
        }
        Ok(())
    }

    /// The login of the control plane. `asked` says that the user asked to sign in.
    pub(crate) fn session(&self, asked: bool) -> Result<Arc<Session>, Failure> {
        let person = Terminal::new(self.progress.clone(), asked || self.global.headless);
        let person = if self.global.format == Format::Json { person.with_events() } else { person };
        self.session_of(person)
    }

    fn session_of(&self, person: Terminal) -> Result<Arc<Session>, Failure> {
        self.approve()?;
        let headless = self.global.headless;
        let person = Arc::new(person);
        let mut options =
            SessionOptions::from_config(self.endpoint()?, &self.config, &self.environment, person);
        options.headless = headless;
        options.match_number = self.global.match_number;
        Ok(Session::new(self.with_key(options)))
    }

    /// Where the credentials come from, in words.
    pub(crate) fn credentials(&self) -> String {
        let admin = &self.config.admin;
        match admin.auth_type {
            _ if self.api_key.is_some() => format!("{} in the environment", flyte_auth::api_key::VARIABLE),
            auth_type if auth_type.is_for_people() => "your login".to_owned(),
            AuthType::ClientSecret => match (&admin.client_secret_env_var, &admin.client_secret_location) {
                (Some(name), _) if self.environment.variable(name).is_some() => {
                    format!("{name} in the environment (admin.clientSecretEnvVar)")
                }
                (_, Some(path)) => format!("{} (admin.clientSecretLocation)", path.display()),
                _ => "the client of the configuration".to_owned(),
            },
            AuthType::ExternalCommand => "the configured command (admin.command)".to_owned(),
            AuthType::TokenExchange => "the token of this CI job".to_owned(),
            _ => "none: authType Passthrough is for programs that set the headers of each call".to_owned(),
        }
    }

    /// The options with the API key, if it is used.
    pub(crate) fn with_key(&self, options: SessionOptions) -> SessionOptions {
        match &self.api_key {
            // With --insecure, no credentials are sent.
            Some(key) if !options.endpoint.is_insecure() => options.with_api_key(key.clone()),
            _ => options,
        }
    }

    /// The login, if the endpoint uses TLS.
    pub(crate) fn encrypted_session(&self, asked: bool) -> Result<Arc<Session>, Failure> {
        self.refuse_plain_http()?;
        self.session(asked)
    }

    /// The login for `flyte auth login`, which the user asked for.
    pub(crate) fn login_session(&self, selects_account: bool) -> Result<Arc<Session>, Failure> {
        self.refuse_plain_http()?;
        let person = Terminal::new(self.progress.clone(), true);
        self.session_of(person.of_login(selects_account, self.global.format == Format::Json))
    }

    fn refuse_plain_http(&self) -> Result<(), Failure> {
        let endpoint = self.endpoint()?;
        if endpoint.is_insecure() {
            let what = format!("cannot sign in to {endpoint}");
            // It has no sign-in over TLS either.
            let session = self.session(false)?;
            if let Some(error) = self.no_sign_in(&session)? {
                return Err(Failure::auth(what, &error));
            }
            return Err(Failure::new(what)
                .why("the connection is plain HTTP (admin.insecure or --insecure), and credentials are never sent over it")
                .next(format!("Run `flyte create config --endpoint {}` if the server has TLS.", endpoint.authority()))
                .exit(Exit::Authentication));
        }
        Ok(())
    }

    /// The reason if the control plane has no sign-in; `None` if it has one, or if this is unknown.
    pub(crate) fn no_sign_in(&self, session: &Session) -> Result<Option<AuthError>, Failure> {
        self.run("Asking where to sign in", async {
            Ok(match tokio::time::timeout(PATIENCE, session.provider()).await {
                Ok(Err(error @ AuthError::NoSignIn { .. })) => Some(error),
                _ => None,
            })
        })
    }

    /// The login with a token, for commands that create something before they call the server. If the user cancels the
    /// sign-in, nothing was created. A control plane without a sign-in needs no token.
    pub(crate) fn signed_in(&self) -> Result<Arc<Session>, Failure> {
        let session = self.encrypted_session(false)?;
        if self.config.admin.auth_type != AuthType::Passthrough {
            self.run("Signing in", async {
                match session.token().await {
                    Err(AuthError::NoSignIn { .. }) if session.options().auth_type.is_for_people() => Ok(()),
                    outcome => outcome.map(drop).map_err(|error| Failure::auth("cannot sign in", &error)),
                }
            })?;
        }
        Ok(session)
    }

    /// A client of the control plane.
    pub(crate) fn client(&self) -> Result<Client<Transport>, Failure> {
        self.client_of(self.session(false)?)
    }

    /// A client that uses an existing session.
    pub(crate) fn client_of(&self, session: Arc<Session>) -> Result<Client<Transport>, Failure> {
        let client = Client::new(Transport::new(session), self.endpoint()?)
            .map_err(|error| Failure::client("cannot talk to the control plane", &error))?;
        // As in the published client, an organization is sent only if the user names one: the server knows the caller's.
        Ok(client.with_org(self.global.org.clone()))
    }

    /// A client for resources of a project and domain. Their identifiers have the configured organization, as those of the published
    /// client's do.
    pub(crate) fn project_domain_client(&self) -> Result<Client<Transport>, Failure> {
        Ok(self.client()?.with_org(self.config.task.org.clone()))
    }

    /// The project and domain to work in.
    pub(crate) fn project_domain(&self) -> Result<ProjectDomain, Failure> {
        let chosen = |value: &Option<String>, name: &str, example: &str| {
            value.clone().filter(|value| !value.is_empty()).ok_or_else(|| {
                let why = match &self.config.source {
                    Some(path) => format!("{} has no task.{name}, and there is no --{name}", path.display()),
                    None => format!("there is no configuration file, and no --{name}"),
                };
                Failure::new(format!("no {name} is chosen")).why(why).exit(Exit::Usage).next(format!(
                    "Give --{name} {example}, or store one: flyte create config --endpoint HOST --project flytesnacks --domain \
                     development"
                ))
            })
        };
        let task = &self.config.task;
        let project = chosen(&task.project, "project", "flytesnacks")?;
        Ok(ProjectDomain::new(project, chosen(&task.domain, "domain", "development")?))
    }

    /// Runs a future that needs the network, and shows `doing` meanwhile.
    pub(crate) fn run<T>(
        &self,
        doing: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new("cannot start").why(error))?;
        self.progress.show(doing);
        let result = runtime.block_on(work);
        self.progress.clear();
        // Do not wait for threads that look up a host name or open a browser.
        runtime.shutdown_background();
        result
    }
}

/// The key in `FLYTE_API_KEY`, unless the user asked for another way to sign in. It takes precedence over the file, like every variable.
pub(crate) fn api_key(global: &Global, environment: &Environment) -> Result<Option<ApiKey>, Failure> {
    if global.headless || global.auth_type.is_some_and(|auth_type| auth_type != AuthType::ClientSecret) {
        return Ok(None);
    }
    let key = ApiKey::from_environment(environment).map_err(|error| {
        Failure::new("cannot use FLYTE_API_KEY").why(&error).hint(&error).exit(Exit::Authentication)
    })?;
    if let (Some(key), Some(address)) = (&key, &global.endpoint)
        && key.endpoint.url() != address.endpoint.url()
    {
        // The secret must not go to that address.
        return Err(Failure::new(format!("FLYTE_API_KEY is not for {}", address.endpoint))
            .why(format!("it is for {}, and its secret is sent only there", key.endpoint))
            .next("Remove --endpoint, or run: unset FLYTE_API_KEY")
            .exit(Exit::Authentication));
    }
    Ok(key)
}

/// The environment of the process.
pub(crate) fn environment() -> Result<Environment, Failure> {
    Environment::current().map_err(|error| {
        Failure::new("cannot find the working directory")
            .why(error)
            .next("Change to a directory that exists: cd ~")
    })
}

/// Sends log lines to standard error; `RUST_LOG` takes precedence over `-v`.
pub(crate) fn log(global: &Global) {
    let verbose = global.verbose;
    let level = match verbose {
        0 => "warn",
        1 => "warn,flyte=info,flyte_auth=info,flyte_cli=info,flyte_client=info",
        2 => "info,flyte_auth=debug,flyte_cli=debug,flyte_client=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let format =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // Only a test can have set another subscriber.
    let _ = match global.logging.log_format {
        Some(LogFormat::Json) => format.json().try_init(),
        Some(LogFormat::Console) | None => format.without_time().with_target(verbose > 1).try_init(),
    };
}
