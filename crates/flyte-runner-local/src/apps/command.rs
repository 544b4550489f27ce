//! Translates an app's container into a command, an environment and limits. The image is not used.

use std::{collections::BTreeMap, path::Path};

use buffa::Message as _;
use flyte_idl::flyteidl2::{
    app::{Spec as AppSpec, spec::AppPayload},
    core::Container,
};

use crate::{
    State,
    container::{memory_limit, sandbox},
    environment,
    process::{Limits, Spec},
    template::fill,
};
use flyte_settings::Config;
use flyte_store::{AppId, AppRecord};

/// The container of an app. The error is a message for the user.
pub(super) fn container(record: &AppRecord) -> Result<Container, String> {
    let spec = AppSpec::decode_from_slice(&record.spec)
        .map_err(|error| format!("cannot read the app's specification: {error}"))?;
    match spec.app_payload {
        Some(AppPayload::Container(container)) => Ok(*container),
        _ => Err("the app has no container".to_owned()),
    }
}

/// The port that the app declares.
pub(super) fn declared_port(container: &Container) -> Option<u16> {
    container.ports.first().and_then(|port| u16::try_from(port.container_port).ok())
}

/// Builds the specification of the process. The error is a message for the user.
pub(super) fn build_spec(
    state: &State,
    id: &AppId,
    container: &Container,
    port: u16,
    directory: &Path,
) -> Result<Spec, String> {
    let config = &state.config;
    let raw = state
        .objects
        .native_url(&id.project, &id.domain, &format!("apps/{}", id.name))
        .map_err(|error| format!("cannot choose a storage location for the app's data: {error}"))?;
    let value = |name: &str| match name {
        "rawoutputdataprefix" => Some(raw.clone()),
        "port" => Some(port.to_string()),
        "appname" => Some(id.name.clone()),
        "executionproject" => Some(id.project.clone()),
        "executiondomain" => Some(id.domain.clone()),
        _ => None,
    };
    let mut variables = environment::base(config, &state.objects, directory);
    for variable in &container.env {
        variables.insert(variable.key.clone(), fill(&variable.value, value));
    }
    variables.extend(own_variables(config, id, port, declared_port(container)));
    if let Some(name) = variables.iter().find_map(|(name, value)| {
        (name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')).then_some(name)
    }) {
        return Err(format!("{name:?} cannot be an environment variable: its name or value is not valid"));
    }
    let own = memory_limit(container).map_err(|failure| failure.message)?;
    let objects = state.objects.directory_of(&id.project, &id.domain);
    Ok(Spec {
        command: container.command.iter().chain(&container.args).map(|text| fill(text, value)).collect(),
        environment: variables,
        limits: Limits {
            seconds: None,
            memory: [own, config.runner.max_memory].into_iter().flatten().min(),
            log: config.runner.max_log_size,
            grace: config.runner.grace_period,
        },
        sandbox: sandbox(state, objects.as_deref()),
    })
}

/// The variables that describe the app to itself.
fn own_variables(config: &Config, id: &AppId, port: u16, declared: Option<u16>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::from(
        [
            ("PORT", port.to_string()),
            ("HOST", "127.0.0.1".to_owned()),
            ("FLYTE_APP_NAME", id.name.clone()),
            ("FLYTE_INTERNAL_EXECUTION_PROJECT", id.project.clone()),
            ("FLYTE_INTERNAL_EXECUTION_DOMAIN", id.domain.clone()),
            ("_U_EP_OVERRIDE", environment::endpoint(config)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if !config.org.is_empty() {
        variables.insert("_U_ORG_NAME".to_owned(), config.org.clone());
    }
    // Apps of the published package listen on their declared port unless these variables assign another one. So two apps with
    // the same declared port can both run here.
    if declared != Some(port) {
        variables.insert("_F_APPLE_SILICON_ON_HOST".to_owned(), "1".to_owned());
        variables.insert("_F_APPLE_SILICON_HOST_PORT".to_owned(), port.to_string());
    }
    variables
}
