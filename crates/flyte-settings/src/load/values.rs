//! The values that were set, and the [`Config`] that they make together with the defaults.

use std::{collections::BTreeMap, path::PathBuf};

use url::Url;

use super::{Environment, Origin};
use crate::{
    AccessConfig, AdminConfig, ApiKeyConfig, AuditConfig, Config, ConfigError, HttpConfig, KubernetesConfig,
    LogConfig, ObjectsConfig, PasswordsConfig, ProjectsConfig, ProviderConfig, PublicClientConfig,
    RunnerConfig, TlsConfig, TlsSource, TokenConfig, TrustConfig, UpstreamConfig, UpstreamIdentity,
    app_hosts::check_backends,
    setting::{Default, Setting},
    settings as s,
    value::{TlsMode, Value},
};

/// The values that were set; each has been checked.
pub(super) struct Values<'a>(pub(super) &'a BTreeMap<&'static str, (String, Origin)>);

impl Values<'_> {
    pub(super) fn optional<T: Value>(&self, setting: &Setting<T>) -> Result<Option<T>, ConfigError> {
        let (text, origin) = match (self.0.get(setting.key), setting.default) {
            (Some((text, origin)), _) => (text.as_str(), origin.clone()),
            (None, Default::Value(text)) => (text, Origin::Default),
            (None, Default::Depends(_)) => return Ok(None),
        };
        setting.parse(text).map(Some).map_err(|reason| {
            let (key, value) = (setting.key.to_owned(), text.to_owned());
            ConfigError::Invalid { origin, key, value, reason }
        })
    }

    pub(super) fn value<T: Value>(&self, setting: &Setting<T>) -> Result<T, ConfigError> {
        let missing = || ConfigError::Conflict(format!("{:?} has no value", setting.key));
        self.optional(setting)?.ok_or_else(missing)
    }
}

/// Makes the configuration of the values.
///
/// # Errors
/// A setting that contradicts another one.
pub(super) fn build(
    values: &Values<'_>,
    environment: &Environment,
    providers: Vec<ProviderConfig>,
) -> Result<Config, ConfigError> {
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
        device_match: values.value(&s::DEVICE_MATCH)?,
        signing_algorithm: values.value(&s::SIGNING_ALGORITHM)?.show(),
        key_rotation_interval: values.value(&s::KEY_ROTATION_INTERVAL)?.0,
    };
    if tokens.refresh_token_ttl < tokens.access_token_ttl {
        return Err(ConfigError::Conflict(
            "\"tokens.refresh-token-ttl\" is shorter than \"tokens.access-token-ttl\": refreshing would always fail"
                .to_owned(),
        ));
    }
    let passwords = values.value(&s::SESSION_PASSWORDS)?;
    if !passwords && providers.is_empty() {
        return Err(ConfigError::Conflict(
            "\"session.passwords\" is false, but there is no other way to sign in: add a section [providers.NAME]"
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
        passwords,
        password_rules: PasswordsConfig {
            min_length: values.value(&s::PASSWORDS_MIN_LENGTH)?,
            breached_file: values.optional(&s::PASSWORDS_BREACHED_FILE)?,
        },
        providers,
        access: AccessConfig { default_role: values.value(&s::ACCESS_DEFAULT_ROLE)? },
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
            keep_alive_interval: values.value(&s::KEEP_ALIVE_INTERVAL)?.0,
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
        kubernetes: kubernetes(values)?,
        upstream: upstream(values)?,
        objects: ObjectsConfig {
            url: values.optional(&s::OBJECTS_URL)?,
            endpoint: values.optional(&s::OBJECTS_ENDPOINT)?,
            region: values.optional(&s::OBJECTS_REGION)?,
            credentials_file: values.optional(&s::OBJECTS_CREDENTIALS_FILE)?,
            max_upload_size: values.value(&s::OBJECTS_MAX_UPLOAD_SIZE)?.0,
        },
        projects: projects(values)?,
        runner: runner(values, environment)?,
        audit: AuditConfig { retention: values.value(&s::AUDIT_RETENTION)?.0 },
        trust: TrustConfig { ca_file: values.optional(&s::TRUST_CA_FILE)? },
        log: LogConfig { filter: values.value(&s::LOG_FILTER)?, format: values.value(&s::LOG_FORMAT)? },
    })
}

fn upstream(values: &Values<'_>) -> Result<Option<UpstreamConfig>, ConfigError> {
    let conflict = |why: String| Err(ConfigError::Conflict(why));
    // The environment may have settings for all servers of an image or a machine.
    let set = |sections: &[&str]| {
        let on_purpose = values.0.iter().filter(|(_, (_, origin))| !matches!(origin, Origin::Environment(_)));
        on_purpose.map(|(key, _)| *key).find(|key| sections.iter().any(|section| key.starts_with(section)))
    };
    let Some(url) = values.optional(&s::UPSTREAM_URL)? else {
        return match set(&["upstream.", "projects."]) {
            Some(key) => conflict(format!("{key:?} is set, but no backend: set \"upstream.url\" too")),
            None => Ok(None),
        };
    };
    if let Some(key) = set(&["objects.", "runner."]) {
        return conflict(format!(
            "{key:?} is set, but the backend at {url} runs the tasks and stores their objects: remove one of the two settings"
        ));
    }
    let files = (values.optional(&s::UPSTREAM_CERTIFICATE_FILE)?, values.optional(&s::UPSTREAM_KEY_FILE)?);
    let identity = match files {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(UpstreamIdentity { certificate, key }),
        _ => {
            return conflict(
                "\"upstream.certificate-file\" and \"upstream.key-file\" belong together: set both or none"
                    .to_owned(),
            );
        }
    };
    let clusters = values.value(&s::UPSTREAM_CLUSTERS)?;
    let apps = values.value(&s::UPSTREAM_APPS)?;
    if let Err(why) = check_backends(&apps, &clusters) {
        return conflict(why);
    }
    let authority_file = values.optional(&s::UPSTREAM_AUTHORITY_FILE)?;
    let is_plain = |url: &Url| url.scheme() == "http";
    let is_plain = is_plain(&url) && clusters.iter().all(|cluster| is_plain(&cluster.url));
    if is_plain && (identity.is_some() || authority_file.is_some()) {
        return conflict(format!(
            "certificates are set for the connection to {url}, which is not encrypted: write https://, or remove them"
        ));
    }
    Ok(Some(UpstreamConfig {
        clusters,
        authority_file,
        identity,
        connect_timeout: values.value(&s::UPSTREAM_CONNECT_TIMEOUT)?.0,
        request_timeout: values.value(&s::UPSTREAM_REQUEST_TIMEOUT)?.0,
        health_path: values.value(&s::UPSTREAM_HEALTH_PATH)?,
        health_interval: values.value(&s::UPSTREAM_HEALTH_INTERVAL)?.0,
        keep_alive_interval: values.value(&s::UPSTREAM_KEEP_ALIVE_INTERVAL)?.0,
        max_concurrent_requests: values.value(&s::UPSTREAM_MAX_CONCURRENT_REQUESTS)?,
        max_message_size: values.value(&s::UPSTREAM_MAX_MESSAGE_SIZE)?.0,
        subject_header: values.optional(&s::UPSTREAM_SUBJECT_HEADER)?,
        email_header: values.optional(&s::UPSTREAM_EMAIL_HEADER)?,
        console_url: values.optional(&s::UPSTREAM_CONSOLE_URL)?,
        apps,
        url,
    }))
}

fn projects(values: &Values<'_>) -> Result<ProjectsConfig, ConfigError> {
    Ok(ProjectsConfig {
        storage: values.value(&s::PROJECTS_STORAGE)?,
        service_accounts: values.value(&s::PROJECTS_SERVICE_ACCOUNTS)?,
        pod_security: values.value(&s::PROJECTS_POD_SECURITY)?,
        pod_templates: values.value(&s::PROJECTS_POD_TEMPLATES)?,
        secret_groups: values.value(&s::PROJECTS_SECRET_GROUPS)?,
        config_maps: values.value(&s::PROJECTS_CONFIG_MAPS)?,
        volume_claims: values.value(&s::PROJECTS_VOLUME_CLAIMS)?,
        token_audiences: values.value(&s::PROJECTS_TOKEN_AUDIENCES)?,
        registries: values.value(&s::PROJECTS_REGISTRIES)?,
        task_types: values.value(&s::PROJECTS_TASK_TYPES)?,
        bind_administrators: values.value(&s::PROJECTS_BIND_ADMINISTRATORS)?,
    })
}

fn kubernetes(values: &Values<'_>) -> Result<Option<KubernetesConfig>, ConfigError> {
    if !values.value(&s::KUBERNETES_ENABLED)? {
        let other = values.0.keys().find(|key| key.starts_with("kubernetes."));
        return match other.filter(|_| !values.0.contains_key(s::KUBERNETES_ENABLED.key)) {
            Some(key) => Err(ConfigError::Conflict(format!(
                "{key:?} is set, but pods are not callers: set \"kubernetes.enabled\" too"
            ))),
            None => Ok(None),
        };
    }
    if values.optional(&s::UPSTREAM_URL)?.is_none() {
        return Err(ConfigError::Conflict(
            "\"kubernetes.enabled\" is set, but no backend whose tasks run in pods: set \"upstream.url\" too"
                .to_owned(),
        ));
    }
    Ok(Some(KubernetesConfig {
        namespaces: values.optional(&s::KUBERNETES_NAMESPACES)?.unwrap_or_default(),
        audience: values.optional(&s::KUBERNETES_AUDIENCE)?,
        issuer: values.optional(&s::KUBERNETES_ISSUER)?,
        kubeconfig: values.optional(&s::KUBERNETES_KUBECONFIG)?,
        verification: values.value(&s::KUBERNETES_VERIFICATION)?,
        max_token_age: values.value(&s::KUBERNETES_MAX_TOKEN_AGE)?.0,
    }))
}

fn runner(values: &Values<'_>, environment: &Environment) -> Result<RunnerConfig, ConfigError> {
    // Most tasks wait most of the time: for subtasks, for services, for data.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let tasks = || processors.saturating_mul(4).max(8);
    // If a virtual environment is active, tasks run in it.
    let active = || environment.get("VIRTUAL_ENV").map(PathBuf::from).filter(|path| path.is_absolute());
    let size = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    Ok(RunnerConfig {
        max_tasks: values.optional(&s::RUNNER_MAX_TASKS)?.unwrap_or_else(tasks),
        max_starting: values
            .optional(&s::RUNNER_MAX_STARTING)?
            .unwrap_or_else(|| processors.saturating_mul(2)),
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
