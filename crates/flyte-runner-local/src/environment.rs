//! The environment of what runs here: built from nothing, so that nothing of the server's own gets into it.

use std::{collections::BTreeMap, env, path::Path};

use secrecy::ExposeSecret as _;

use super::{authorities, libraries};
use flyte_objects::Objects;
use flyte_settings::Config;
use flyte_store::QueuedAttempt;

/// Where programs are where the server itself is not told.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The organization that the published runtime is told where there is none: it insists on one.
const NO_ORG: &str = "flyte";

/// What every process here has, tasks and apps: where programs are, those of `runner.python` first, a home and a temporary
/// directory of its own, language and time zone.
#[must_use]
pub fn base(config: &Config, objects: &Objects, directory: &Path) -> BTreeMap<String, String> {
    let ours = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let mut path = ours("PATH").unwrap_or_else(|| DEFAULT_PATH.to_owned());
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: String| drop(variables.insert(name.to_owned(), value));
    if let Some(python) = &config.runner.python {
        path = format!("{}:{path}", python.join("bin").display());
        set("VIRTUAL_ENV", python.display().to_string());
    }
    set("PATH", path);
    set("HOME", directory.join("work").display().to_string());
    set("TMPDIR", directory.join("tmp").display().to_string());
    set("LANG", ours("LANG").unwrap_or_else(|| "C.UTF-8".to_owned()));
    if let Some(zone) = ours("TZ") {
        set("TZ", zone);
    }
    // Or else its output is there only when there is much of it.
    set("PYTHONUNBUFFERED", "1".to_owned());
    set("PYTHONPATH", libraries::directory(config).display().to_string());
    for (name, value) in authorities::variables(&config.data_dir) {
        set(name, value);
    }
    // The published runtime writes the inputs of the tasks that it calls into directories which nobody has made.
    set("FSSPEC_FILE", r#"{"auto_mkdir": true}"#.to_owned());
    // Tasks have nothing to do with the keyring of whoever runs the server.
    set("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring".to_owned());
    for (name, value) in objects.environment() {
        set(name, value.expose_secret().to_owned());
    }
    variables
}

/// What the runtime of a task goes by (the published package's `flyte/_bin/runtime.py`).
#[must_use]
pub fn of_attempt(config: &Config, directory: &Path, attempt: &QueuedAttempt) -> Vec<(&'static str, String)> {
    let action = &attempt.action.id;
    let org = if config.org.is_empty() { NO_ORG } else { &config.org };
    let mut variables = vec![
        ("ACTION_NAME", action.name.clone()),
        ("RUN_NAME", action.run.name.clone()),
        ("FLYTE_INTERNAL_EXECUTION_PROJECT", action.run.project.clone()),
        ("FLYTE_INTERNAL_EXECUTION_DOMAIN", action.run.domain.clone()),
        // The runtime counts them from 0.
        ("FLYTE_ATTEMPT_NUMBER", attempt.attempt.saturating_sub(1).to_string()),
        ("_U_ORG_NAME", org.to_owned()),
        ("_U_RUN_BASE", attempt.run.output_base.clone()),
        ("_U_EP_OVERRIDE", endpoint(config)),
        ("_U_USE_ACTIONS", "1".to_owned()),
        // The published runtime puts the inputs of what a task calls into directories that are not there yet.
        ("FSSPEC_FILE_AUTO_MKDIR", "1".to_owned()),
        ("FLYTECTL_CONFIG", directory.join("flyte.yaml").display().to_string()),
    ];
    if config.public_url.scheme() == "http" {
        variables.push(("_U_INSECURE", "true".to_owned()));
    }
    variables
}

/// The server as its clients' configurations name it: `dns:///HOST:PORT`.
#[must_use]
pub fn endpoint(config: &Config) -> String {
    let url = &config.public_url;
    let port = url.port_or_known_default().unwrap_or(443);
    format!("dns:///{}:{port}", url.host_str().unwrap_or("localhost"))
}
