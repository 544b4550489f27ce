//! Merges the file, the environment and the command line into a [`Config`]. Later sources override earlier ones.

use std::{
    collections::BTreeMap,
    env, fmt,
    path::{Path, PathBuf},
};

use url::Url;

use super::{
    AdminConfig, ApiKeyConfig, AuditConfig, Config, ConfigError, HttpConfig, LogConfig, ObjectsConfig,
    PublicClientConfig, RunnerConfig, TlsConfig, TlsSource, TokenConfig, TrustConfig, file,
    setting::{AnySetting, Default, Setting},
    settings::{self as s, ALL},
    value::{TlsMode, Value},
};

/// The source of a setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The default: the setting is not set.
    Default,
    /// The configuration file.
    File {
        /// The file's path.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// Environment variables, as a parameter.
#[derive(Clone, Debug, std::default::Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Returns the variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        // Variables that are not Unicode are not settings.
        Self(
            env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// Returns a variable. An empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the variables that have the prefix of settings but are not settings. They are not errors: a container
    /// platform sets `FLYTE_SERVER_PORT` for a service with that name.
    #[must_use]
    pub fn unknown_settings(&self) -> Vec<&str> {
        let known = |name: &str| name == "FLYTE_SERVER_CONFIG" || ALL.iter().any(|s| s.variable() == name);
        let names = self.0.keys().map(String::as_str);
        names.filter(|name| name.starts_with("FLYTE_SERVER_") && !known(name)).collect()
    }

    /// Returns the directory that the XDG base directory specification defines for `variable`. If the variable is not
    /// set, this is a directory below the home directory. The specification says to ignore relative paths.
    fn base_directory(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let given = self.get(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        given.or_else(|| self.get("HOME").map(|home| Path::new(home).join(below_home)))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}

/// The settings and the file on the command line.
#[derive(Clone, Debug, std::default::Default)]
pub struct Flags {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Key and value of each setting that is on the command line.
    pub settings: BTreeMap<&'static str, String>,
}

/// The configuration, and the source of each setting.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The effective settings.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    given: BTreeMap<&'static str, (String, Origin)>,
}

/// Reads all sources and merges them.
///
/// # Errors
/// All errors, not only the first.
pub fn load(flags: &Flags, environment: &Environment) -> Result<Loaded, Vec<ConfigError>> {
    let mut given = BTreeMap::new();
    let mut errors = Vec::new();

    let explicit = flags.file.clone().or_else(|| environment.get("FLYTE_SERVER_CONFIG").map(PathBuf::from));
    let required = explicit.is_some();
    let usual = || Some(environment.base_directory("XDG_CONFIG_HOME", ".config")?.join("flyte-server.toml"));
    let mut file = explicit.or_else(usual).map(|path| std::path::absolute(&path).unwrap_or(path));
    match file.as_deref().map(|path| file::read(path, required)) {
        Some(Ok(Some(entries))) => {
            for entry in entries {
                let path = file.clone().unwrap_or_default();
                given.insert(entry.key, (entry.text, Origin::File { path, line: entry.line }));
            }
        }
        Some(Ok(None)) | None => file = None,
        Some(Err(found)) => errors.extend(found),
    }
    for setting in ALL {
        let name = setting.variable();
        let variable = environment.get(&name).map(|text| (text.to_owned(), Origin::Environment(name)));
        let flag = setting.flag().zip(flags.settings.get(setting.key()));
        let flag = flag.map(|(name, text)| (text.clone(), Origin::Flag(name)));
        for (text, origin) in [variable, flag].into_iter().flatten() {
            match setting.canonical(&text) {
                Ok(_) => {
                    given.insert(setting.key(), (text, origin));
                }
                Err(reason) => {
                    errors.push(ConfigError::Invalid { origin, key: setting.key(), value: text, reason });
                }
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut config = build(&Values(&given), environment).map_err(|error| vec![error])?;
    config.file.clone_from(&file);
    Ok(Loaded { config, file, given })
}

impl Loaded {
    /// Returns each setting's effective value and its origin. The value is empty if it depends on the environment.
    #[must_use]
    pub fn effective(&self) -> Vec<(&'static dyn AnySetting, String, Origin)> {
        ALL.iter()
            .map(|setting| {
                let setting: &'static dyn AnySetting = *setting;
                let given = self.given.get(setting.key()).cloned();
                let (text, origin) = given.unwrap_or_else(|| (String::new(), Origin::Default));
                let text = match (&origin, setting.default()) {
                    (Origin::Default, Default::Value(value)) => value.to_owned(),
                    (Origin::Default, Default::Depends(_)) => match setting.key() {
                        key if key == s::PUBLIC_URL.key => self.config.public_url.to_string(),
                        key if key == s::DATA_DIR.key => self.config.data_dir.display().to_string(),
                        key if key == s::RUNNER_MAX_TASKS.key => self.config.runner.max_tasks.to_string(),
                        key if key == s::RUNNER_PYTHON.key => {
                            let python = self.config.runner.python.as_ref();
                            python.map(|path| path.display().to_string()).unwrap_or_default()
                        }
                        _ => String::new(),
                    },
                    _ => setting.canonical(&text).unwrap_or(text),
                };
                (setting, text, origin)
            })
            .collect()
    }
}

/// The values that were set; each has been checked.
struct Values<'a>(&'a BTreeMap<&'static str, (String, Origin)>);

impl Values<'_> {
    fn optional<T: Value>(&self, setting: &Setting<T>) -> Result<Option<T>, ConfigError> {
        let (text, origin) = match (self.0.get(setting.key), setting.default) {
            (Some((text, origin)), _) => (text.as_str(), origin.clone()),
            (None, Default::Value(text)) => (text, Origin::Default),
            (None, Default::Depends(_)) => return Ok(None),
        };
        setting.parse(text).map(Some).map_err(|reason| {
            let (key, value) = (setting.key, text.to_owned());
            ConfigError::Invalid { origin, key, value, reason }
        })
    }

    fn value<T: Value>(&self, setting: &Setting<T>) -> Result<T, ConfigError> {
        let missing = || ConfigError::Conflict(format!("{:?} has no value", setting.key));
        self.optional(setting)?.ok_or_else(missing)
    }
}

fn build(values: &Values<'_>, environment: &Environment) -> Result<Config, ConfigError> {
    let listen = values.value(&s::LISTEN)?;
    let data_dir = match values.optional(&s::DATA_DIR)? {
        Some(path) => path,
        None => environment
            .base_directory("XDG_DATA_HOME", ".local/share")
            .ok_or(ConfigError::NoHome)?
            .join("flyte-server"),
    };
    let tls = tls(values)?;
    if tls.source == TlsSource::Off && !listen.ip().is_loopback() && !tls.allow_plaintext {
        return Err(ConfigError::Conflict(format!(
            "TLS is off, and other machines can reach {listen}: passwords and tokens would cross the network in the \
             clear. Listen on 127.0.0.1, or pass --allow-plaintext if a proxy in front of the server encrypts"
        )));
    }
    let public_url = match values.optional(&s::PUBLIC_URL)? {
        Some(url) => url,
        None => {
            let scheme = if tls.source == TlsSource::Off { "http" } else { "https" };
            let url = format!("{scheme}://localhost:{}/", listen.port());
            url.parse::<Url>().map_err(|error| ConfigError::Conflict(error.to_string()))?
        }
    };
    if public_url.scheme() == "http" && tls.source != TlsSource::Off {
        return Err(ConfigError::Conflict(format!(
            "\"public-url\" is {public_url}, but the server encrypts: write https://, or turn encryption off with \
             --tls off"
        )));
    }
    let tokens = TokenConfig {
        access_token_ttl: values.value(&s::ACCESS_TOKEN_TTL)?.0,
        refresh_token_ttl: values.value(&s::REFRESH_TOKEN_TTL)?.0,
        refresh_token_grace: values.value(&s::REFRESH_TOKEN_GRACE)?.0,
        authorization_code_ttl: values.value(&s::AUTHORIZATION_CODE_TTL)?.0,
        device_code_ttl: values.value(&s::DEVICE_CODE_TTL)?.0,
        device_poll_interval: values.value(&s::DEVICE_POLL_INTERVAL)?.0,
        signing_algorithm: values.value(&s::SIGNING_ALGORITHM)?.show(),
        key_rotation_interval: values.value(&s::KEY_ROTATION_INTERVAL)?.0,
    };
    if tokens.refresh_token_ttl < tokens.access_token_ttl {
        return Err(ConfigError::Conflict(
            "\"tokens.refresh-token-ttl\" is shorter than \"tokens.access-token-ttl\": refreshing would always fail"
                .to_owned(),
        ));
    }
    Ok(Config {
        file: None,
        public_url,
        listen,
        data_dir,
        org: values.value(&s::ORG)?,
        tokens,
        session_ttl: values.value(&s::SESSION_TTL)?.0,
        api_keys: ApiKeyConfig { default_lifetime: values.value(&s::API_KEYS_DEFAULT_LIFETIME)?.0 },
        public_client: PublicClientConfig {
            client_id: values.value(&s::CLIENT_ID)?,
            redirect_uri: values.value(&s::CLIENT_REDIRECT_URI)?,
            scopes: values.value(&s::CLIENT_SCOPES)?,
        },
        tls,
        http: HttpConfig {
            max_connections: values.value(&s::MAX_CONNECTIONS)?,
            max_concurrent_requests: values.value(&s::MAX_CONCURRENT_REQUESTS)?,
            max_streams: values.value(&s::MAX_STREAMS)?,
            max_body_size: values.value(&s::MAX_BODY_SIZE)?.0,
            header_timeout: values.value(&s::HEADER_TIMEOUT)?.0,
            request_timeout: values.value(&s::REQUEST_TIMEOUT)?.0,
            trusted_proxies: values.value(&s::TRUSTED_PROXIES)?,
            drain_delay: values.value(&s::DRAIN_DELAY)?.0,
            drain_timeout: values.value(&s::DRAIN_TIMEOUT)?.0,
        },
        admin: AdminConfig {
            email: values.value(&s::ADMIN_EMAIL)?,
            password_file: values.optional(&s::ADMIN_PASSWORD_FILE)?,
        },
        objects: ObjectsConfig {
            url: values.optional(&s::OBJECTS_URL)?,
            endpoint: values.optional(&s::OBJECTS_ENDPOINT)?,
            region: values.optional(&s::OBJECTS_REGION)?,
            credentials_file: values.optional(&s::OBJECTS_CREDENTIALS_FILE)?,
            max_upload_size: values.value(&s::OBJECTS_MAX_UPLOAD_SIZE)?.0,
        },
        runner: runner(values, environment)?,
        audit: AuditConfig { retention: values.value(&s::AUDIT_RETENTION)?.0 },
        trust: TrustConfig { ca_file: values.optional(&s::TRUST_CA_FILE)? },
        log: LogConfig { filter: values.value(&s::LOG_FILTER)?, format: values.value(&s::LOG_FORMAT)? },
    })
}

fn runner(values: &Values<'_>, environment: &Environment) -> Result<RunnerConfig, ConfigError> {
    // Most tasks wait most of the time: for subtasks, for services, for data.
    let tasks = || std::thread::available_parallelism().map_or(1, usize::from).saturating_mul(4).max(8);
    // If a virtual environment is active, tasks run in it.
    let active = || environment.get("VIRTUAL_ENV").map(PathBuf::from).filter(|path| path.is_absolute());
    let size = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    Ok(RunnerConfig {
        max_tasks: values.optional(&s::RUNNER_MAX_TASKS)?.unwrap_or_else(tasks),
        python: values.optional(&s::RUNNER_PYTHON)?.or_else(active),
        sandbox: values.value(&s::RUNNER_SANDBOX)?,
        allow_root: values.value(&s::RUNNER_ALLOW_ROOT)?,
        max_runtime: values.optional(&s::RUNNER_MAX_RUNTIME)?.map(|limit| limit.0.unsigned_abs()),
        max_memory: values.optional(&s::RUNNER_MAX_MEMORY)?.map(|limit| size(limit.0)),
        max_log_size: size(values.value(&s::RUNNER_MAX_LOG_SIZE)?.0),
        grace_period: values.value(&s::RUNNER_GRACE_PERIOD)?.0.unsigned_abs(),
    })
}

fn tls(values: &Values<'_>) -> Result<TlsConfig, ConfigError> {
    let mode = values.value(&s::TLS_MODE)?;
    let files = (values.optional(&s::TLS_CERTIFICATE_FILE)?, values.optional(&s::TLS_KEY_FILE)?);
    let source = match (mode, files) {
        (TlsMode::Off, (None, None)) => TlsSource::Off,
        (TlsMode::Off, _) => {
            return Err(ConfigError::Conflict(
                "TLS is off, but a certificate or key file is set: remove one of the two settings".to_owned(),
            ));
        }
        (TlsMode::On, (None, None)) => TlsSource::LocalAuthority,
        (TlsMode::On, (Some(certificate), Some(key))) => TlsSource::Files { certificate, key },
        (TlsMode::On, _) => {
            return Err(ConfigError::Conflict(
                "\"tls.certificate-file\" and \"tls.key-file\" belong together: set both or none".to_owned(),
            ));
        }
    };
    Ok(TlsConfig {
        source,
        host_names: values.value(&s::TLS_HOST_NAMES)?,
        allow_plaintext: values.value(&s::TLS_ALLOW_PLAINTEXT)?,
    })
}

#[cfg(any(test, feature = "testing"))]
impl Config {
    /// Returns the default settings of a server that keeps its data in `data_dir`.
    ///
    /// # Panics
    /// Never: the defaults are valid.
    #[expect(clippy::unwrap_used, reason = "for tests")]
    #[must_use]
    pub fn for_test(data_dir: &Path) -> Self {
        let settings = BTreeMap::from([(s::DATA_DIR.key, data_dir.display().to_string())]);
        let mut config = load(&Flags { file: None, settings }, &Environment::default()).unwrap().config;
        // Tests may run as root.
        config.runner.allow_root = true;
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(settings: &[(&'static str, &str)]) -> Flags {
        Flags { file: None, settings: settings.iter().map(|(k, v)| (*k, (*v).to_owned())).collect() }
    }

    fn home() -> Environment {
        Environment::from([("HOME", "/home/ada")])
    }

    fn message(result: Result<Loaded, Vec<ConfigError>>) -> String {
        result.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn without_settings_the_defaults_apply() {
        let config = load(&Flags::default(), &home()).unwrap().config;
        assert_eq!(config.public_url.as_str(), "https://localhost:8443/");
        assert_eq!(config.listen.to_string(), "127.0.0.1:8443");
        assert_eq!(config.data_dir, Path::new("/home/ada/.local/share/flyte-server"));
        assert_eq!(config.tls.source, TlsSource::LocalAuthority);
        assert_eq!(config.tokens.access_token_ttl, 3600);
    }

    #[test]
    fn every_default_is_a_valid_value() {
        for setting in ALL {
            if let Default::Value(text) = setting.default() {
                let canonical = setting.canonical(text).unwrap();
                assert_eq!(setting.canonical(&canonical), Ok(canonical), "{}", setting.key());
            }
        }
    }

    #[test]
    fn flags_override_the_environment_which_overrides_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.toml");
        std::fs::write(&path, "org = \"file\"\nlisten = \"127.0.0.1:1\"\ndata-dir = \"data\"\n").unwrap();
        let environment = Environment::from([
            ("HOME", "/home/ada"),
            ("FLYTE_SERVER_ORG", "environment"),
            ("FLYTE_SERVER_LISTEN", "127.0.0.1:2"),
            ("FLYTE_SERVER_SESSION_TTL", ""),
        ]);
        let mut flags = flags(&[("listen", "127.0.0.1:3")]);
        flags.file = Some(path.clone());
        let loaded = load(&flags, &environment).unwrap();
        assert_eq!(loaded.config.org, "environment");
        assert_eq!(loaded.config.listen.port(), 3);
        assert_eq!(loaded.config.public_url.as_str(), "https://localhost:3/");
        assert_eq!(loaded.config.data_dir, directory.path().join("data"));
        let origin = |key| loaded.effective().into_iter().find(|(s, ..)| s.key() == key).unwrap().2;
        assert_eq!(origin("listen"), Origin::Flag("listen"));
        assert_eq!(origin("org"), Origin::Environment("FLYTE_SERVER_ORG".to_owned()));
        assert_eq!(origin("data-dir"), Origin::File { path, line: 3 });
        assert_eq!(origin("session.ttl"), Origin::Default);
    }

    #[test]
    fn a_requested_file_must_exist() {
        let flags = Flags { file: Some("/nowhere/s.toml".into()), ..Flags::default() };
        assert!(message(load(&flags, &home())).starts_with("/nowhere/s.toml: cannot read"));
    }

    #[test]
    fn plaintext_on_a_public_address_needs_permission() {
        let open = flags(&[("tls.mode", "off"), ("listen", "0.0.0.0:80")]);
        assert!(message(load(&open, &home())).contains("--allow-plaintext"));
        let mut allowed = open;
        allowed.settings.insert("tls.allow-plaintext", "true".to_owned());
        assert!(load(&allowed, &home()).is_ok());
        let local = load(&flags(&[("tls.mode", "off")]), &home()).unwrap();
        assert_eq!(local.config.public_url.as_str(), "http://localhost:8443/");
    }

    #[test]
    fn contradictions_are_rejected() {
        for settings in [
            &[("tls.certificate-file", "/c.pem")][..],
            &[("tls.mode", "off"), ("tls.key-file", "/k.pem")],
            &[("public-url", "http://localhost:8443/")],
            &[("tokens.access-token-ttl", "2h"), ("tokens.refresh-token-ttl", "1h")],
        ] {
            // Some of these settings have no flag, so all come from the environment here.
            let variables = settings.iter().map(|(key, value)| {
                let setting = ALL.iter().find(|setting| setting.key() == *key).unwrap();
                (setting.variable(), (*value).to_owned())
            });
            let mut environment = home();
            environment.0.extend(variables);
            assert!(load(&Flags::default(), &environment).is_err(), "{settings:?}");
        }
    }

    #[test]
    fn a_public_url_is_an_origin() {
        for url in
            ["ftp://a/", "https://a/flyte", "https://a/?q", "http://flyte.example.org/", "https://u:p@a/"]
        {
            assert!(message(load(&flags(&[("public-url", url)]), &home())).contains("--public-url"), "{url}");
        }
    }
}
