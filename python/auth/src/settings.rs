//! The configuration, for `flyte.config`.

use std::path::Path;

use flyte_config::{Config, StoreKind};
use pyo3::prelude::*;
use serde_json::json;

use crate::failure::Failure;
use crate::options::environment;

/// Reads the configuration in effect and returns it as JSON: sections and keys as in the file, absent ones null, and `source`.
///
/// Raises `CallError` if a named file is missing or malformed.
#[pyfunction]
#[pyo3(signature = (path=None))]
pub(crate) fn config(path: Option<&str>) -> PyResult<String> {
    let environment = environment()?;
    let config = Config::load(path.map(Path::new), &environment).map_err(|error| Failure::from(&error))?;
    Ok(text(&config))
}

/// The configuration as JSON. A proxy's URL may hold a password and is left out.
pub(crate) fn text(config: &Config) -> String {
    let Config { admin, console, task, image, local, source, .. } = config;
    json!({
        "source": source,
        "admin": {
            "endpoint": admin.endpoint.as_ref().map(ToString::to_string),
            "insecure": admin.insecure,
            "insecureSkipVerify": admin.insecure_skip_verify,
            "caCertFilePath": admin.ca_cert_file_path,
            "authType": admin.auth_type.as_str(),
            "command": admin.command,
            "proxyCommand": admin.proxy_command,
            "clientId": admin.client_id,
            "scopes": admin.scopes,
            "tokenStore": admin.token_store.map(flyte_config::StoreKind::as_str),
            "disableKeyring": admin.store_kind() == Some(StoreKind::Memory),
        },
        "console": {"endpoint": console.endpoint.as_ref().map(ToString::to_string)},
        "task": {"org": task.org, "project": task.project, "domain": task.domain},
        "image": {"builder": image.builder, "registry": image.registry, "image_refs": image.image_refs},
        "local": {
            "persistence": local.persistence,
            "tracked": local.tracked,
            "tracked_strict": local.tracked_strict,
        },
    })
    .to_string()
}
