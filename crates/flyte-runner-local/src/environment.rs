//! The environment of tasks and apps. It starts empty, so that it contains no secrets of the server.

use std::{collections::BTreeMap, env, path::Path};

use secrecy::ExposeSecret as _;

use super::{authorities, libraries};
use flyte_objects::Objects;
use flyte_settings::Config;
use flyte_store::QueuedAttempt;

/// The `PATH` of tasks and apps if the server has none.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The organization for the published runtime if the server has none. The runtime requires one.
const DEFAULT_ORG: &str = "flyte";

/// The variables of every task and app: a `PATH` that begins with the programs of `runner.python`, its own home and temporary
/// directory, language and time zone.
#[must_use]
pub fn base(config: &Config, objects: &Objects, directory: &Path) -> BTreeMap<String, String> {
    let own = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let mut path = own("PATH").unwrap_or_else(|| DEFAULT_PATH.to_owned());
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: String| drop(variables.insert(name.to_owned(), value));
    if let Some(python) = &config.runner.python {
        path = format!("{}:{path}", python.join("bin").display());
        set("VIRTUAL_ENV", python.display().to_string());
    }
    set("PATH", path);
    set("HOME", directory.join("work").display().to_string());
    set("TMPDIR", directory.join("tmp").display().to_string());
    set("LANG", own("LANG").unwrap_or_else(|| "C.UTF-8".to_owned()));
    if let Some(zone) = own("TZ") {
        set("TZ", zone);
    }
    // Without this variable, Python buffers the output and the log is late.
    set("PYTHONUNBUFFERED", "1".to_owned());
    set("PYTHONPATH", libraries::directory(config).display().to_string());
    for (name, value) in authorities::variables(&config.data_dir) {
        set(name, value);
    }
    // The published runtime writes the inputs of subtasks to directories that do not exist yet.
    set("FSSPEC_FILE", r#"{"auto_mkdir": true}"#.to_owned());
    // Tasks must not use the keyring of the server's administrator.
    set("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring".to_owned());
    for (name, value) in objects.environment() {
        set(name, value.expose_secret().to_owned());
    }
    variables
}

/// The variables that the runtime of a task reads (`flyte/_bin/runtime.py` in the published package).
#[must_use]
pub fn of_attempt(config: &Config, directory: &Path, attempt: &QueuedAttempt) -> Vec<(&'static str, String)> {
    let action = &attempt.action.id;
    let org = if config.org.is_empty() { DEFAULT_ORG } else { &config.org };
    let mut variables = vec![
        ("ACTION_NAME", action.name.clone()),
        ("RUN_NAME", action.run.name.clone()),
        ("FLYTE_INTERNAL_EXECUTION_PROJECT", action.run.project.clone()),
        ("FLYTE_INTERNAL_EXECUTION_DOMAIN", action.run.domain.clone()),
        // The runtime counts attempts from 0.
        ("FLYTE_ATTEMPT_NUMBER", attempt.attempt.saturating_sub(1).to_string()),
        ("_U_ORG_NAME", org.to_owned()),
        ("_U_RUN_BASE", attempt.run.output_base.clone()),
        ("_U_EP_OVERRIDE", endpoint(config)),
        ("_U_USE_ACTIONS", "1".to_owned()),
        // The published runtime writes the inputs of subtasks to directories that do not exist yet.
        ("FSSPEC_FILE_AUTO_MKDIR", "1".to_owned()),
        ("FLYTECTL_CONFIG", directory.join("flyte.yaml").display().to_string()),
    ];
    if config.public_url.scheme() == "http" {
        variables.push(("_U_INSECURE", "true".to_owned()));
    }
    variables
}

/// The endpoint of the server in the configuration of clients: `dns:///HOST:PORT`.
#[must_use]
pub fn endpoint(config: &Config) -> String {
    let url = &config.public_url;
    let port = url.port_or_known_default().unwrap_or(443);
    format!("dns:///{}:{port}", url.host_str().unwrap_or("localhost"))
}
