//! All settings of the server.
//!
//! To add a setting: define it in the module of its section, add it to [`ALL`], read it in `load/values.rs`, and write
//! the output of `flyte-server config-reference` to `docs/reference/server-config.md`. A test compares that page.

mod access;
mod admin;
mod api_keys;
mod audit;
mod check;
mod client;
mod general;
mod http;
mod kubernetes;
mod log;
mod objects;
mod passwords;
mod projects;
mod providers;
mod runner;
mod session;
mod tls;
mod tokens;
mod trust;
mod upstream;

pub use self::{
    access::*, admin::*, api_keys::*, audit::*, client::*, general::*, http::*, kubernetes::*, log::*,
    objects::*, passwords::*, projects::*, providers::*, runner::*, session::*, tls::*, tokens::*, trust::*,
    upstream::*,
};
use super::setting::AnySetting;

/// The settings, in the order of the reference page.
pub static ALL: &[&(dyn AnySetting + Sync)] = &[
    &PUBLIC_URL,
    &LISTEN,
    &DATA_DIR,
    &ORG,
    &TLS_MODE,
    &TLS_CERTIFICATE_FILE,
    &TLS_KEY_FILE,
    &TLS_HOST_NAMES,
    &TLS_ALLOW_PLAINTEXT,
    &ADMIN_EMAIL,
    &ADMIN_PASSWORD_FILE,
    &ACCESS_TOKEN_TTL,
    &REFRESH_TOKEN_TTL,
    &REFRESH_TOKEN_GRACE,
    &AUTHORIZATION_CODE_TTL,
    &DEVICE_CODE_TTL,
    &DEVICE_POLL_INTERVAL,
    &DEVICE_MATCH,
    &SIGNING_ALGORITHM,
    &KEY_ROTATION_INTERVAL,
    &SESSION_TTL,
    &SESSION_PASSWORDS,
    &PASSWORDS_MIN_LENGTH,
    &PASSWORDS_BREACHED_FILE,
    &ACCESS_DEFAULT_ROLE,
    &API_KEYS_DEFAULT_LIFETIME,
    &CLIENT_ID,
    &CLIENT_REDIRECT_URI,
    &CLIENT_SCOPES,
    &MAX_CONNECTIONS,
    &MAX_CONCURRENT_REQUESTS,
    &MAX_STREAMS,
    &MAX_BODY_SIZE,
    &KEEP_ALIVE_INTERVAL,
    &HEADER_TIMEOUT,
    &REQUEST_TIMEOUT,
    &TRUSTED_PROXIES,
    &DRAIN_DELAY,
    &DRAIN_TIMEOUT,
    &UPSTREAM_URL,
    &UPSTREAM_CLUSTERS,
    &UPSTREAM_AUTHORITY_FILE,
    &UPSTREAM_CERTIFICATE_FILE,
    &UPSTREAM_KEY_FILE,
    &UPSTREAM_CONNECT_TIMEOUT,
    &UPSTREAM_REQUEST_TIMEOUT,
    &UPSTREAM_HEALTH_PATH,
    &UPSTREAM_HEALTH_INTERVAL,
    &UPSTREAM_KEEP_ALIVE_INTERVAL,
    &UPSTREAM_MAX_CONCURRENT_REQUESTS,
    &UPSTREAM_MAX_MESSAGE_SIZE,
    &UPSTREAM_SUBJECT_HEADER,
    &UPSTREAM_EMAIL_HEADER,
    &UPSTREAM_CONSOLE_URL,
    &UPSTREAM_APPS,
    &KUBERNETES_ENABLED,
    &KUBERNETES_NAMESPACES,
    &KUBERNETES_AUDIENCE,
    &KUBERNETES_ISSUER,
    &KUBERNETES_KUBECONFIG,
    &KUBERNETES_VERIFICATION,
    &KUBERNETES_MAX_TOKEN_AGE,
    &OBJECTS_URL,
    &OBJECTS_ENDPOINT,
    &OBJECTS_REGION,
    &OBJECTS_CREDENTIALS_FILE,
    &OBJECTS_MAX_UPLOAD_SIZE,
    &PROJECTS_STORAGE,
    &PROJECTS_SERVICE_ACCOUNTS,
    &PROJECTS_POD_SECURITY,
    &PROJECTS_POD_TEMPLATES,
    &PROJECTS_SECRET_GROUPS,
    &PROJECTS_CONFIG_MAPS,
    &PROJECTS_VOLUME_CLAIMS,
    &PROJECTS_TOKEN_AUDIENCES,
    &PROJECTS_REGISTRIES,
    &PROJECTS_TASK_TYPES,
    &PROJECTS_BIND_ADMINISTRATORS,
    &RUNNER_MAX_TASKS,
    &RUNNER_MAX_STARTING,
    &RUNNER_PYTHON,
    &RUNNER_SANDBOX,
    &RUNNER_ALLOW_ROOT,
    &RUNNER_MAX_RUNTIME,
    &RUNNER_MAX_MEMORY,
    &RUNNER_MAX_LOG_SIZE,
    &RUNNER_GRACE_PERIOD,
    &AUDIT_RETENTION,
    &TRUST_CA_FILE,
    &LOG_FILTER,
    &LOG_FORMAT,
];

/// The titles of the file's sections, for the reference page and `--help`.
pub const SECTIONS: [(&str, &str); 19] = [
    ("", "General"),
    ("tls", "Encryption"),
    ("admin", "First administrator"),
    ("tokens", "Tokens and signing keys"),
    ("device", "Devices"),
    ("session", "Sign-in sessions"),
    ("passwords", "New passwords"),
    ("access", "Access"),
    ("api-keys", "API keys"),
    ("client", "The flyte command"),
    ("http", "HTTP"),
    ("upstream", "A Flyte 2 backend behind this server"),
    ("kubernetes", "Pods as callers"),
    ("objects", "Objects of tasks"),
    ("projects", "Projects of a backend"),
    ("runner", "Running tasks"),
    ("audit", "Audit log"),
    ("trust", "Trusted issuers (keyless CI)"),
    ("log", "Log"),
];
