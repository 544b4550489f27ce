//! Settings of organizations, domains and projects for runs. A narrow scope inherits from the wider ones.

use std::collections::BTreeMap;
use std::fmt;

use flyte_config::Endpoint;
use flyte_idl::flyteidl2::settings as wire;
use flyte_idl::flyteidl2::settings::SettingState;
use serde::{Serialize, Serializer};

use crate::error::ClientError;
use crate::transport::Transport;

/// The text for a setting that is cleared, as in the published client.
pub const UNSET: &str = "~unset";

/// Whose settings they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum Scope {
    /// Those of the organization.
    Org,
    /// Those of a domain.
    Domain {
        /// The domain's identifier.
        domain: String,
    },
    /// Those of a domain of a project.
    Project {
        /// The domain's identifier.
        domain: String,
        /// The project's identifier.
        project: String,
    },
}

impl From<wire::SettingsKey> for Scope {
    fn from(key: wire::SettingsKey) -> Self {
        let wire::SettingsKey { domain, project, .. } = key;
        match (domain.is_empty(), project.is_empty()) {
            (true, true) => Self::Org,
            (false, true) => Self::Domain { domain },
            (_, false) => Self::Project { domain, project },
        }
    }
}

impl fmt::Display for Scope {
    /// The notation of the published client.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Org => f.write_str("ORG"),
            Self::Domain { domain } => write!(f, "DOMAIN({domain})"),
            Self::Project { domain, project } => write!(f, "PROJECT({domain}/{project})"),
        }
    }
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Cleared: the scope has no value, even if a wider scope has one.
    Unset,
    /// A text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A truth value.
    Boolean(bool),
    /// Texts by name. Those of narrower scopes are added to those of wider ones.
    Map(BTreeMap<String, String>),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unset => serializer.serialize_str(UNSET),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Boolean(truth) => serializer.serialize_bool(*truth),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

/// The settings of one scope, without those that it inherits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Level {
    /// The scope.
    #[serde(flatten)]
    pub scope: Scope,
    /// The number of changes.
    pub version: u64,
    /// The values by the names of the settings, for example `run.default_queue`.
    pub settings: BTreeMap<&'static str, Value>,
}

/// The settings of a scope and of those that it inherits from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// The requested scope.
    pub scope: Scope,
    /// The levels that have settings, the widest first.
    pub levels: Vec<Level>,
}

/// Calls of `flyteidl2.settings.SettingsService`.
#[derive(Clone)]
pub struct SettingsCalls<T> {
    service: wire::SettingsServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> SettingsCalls<T> {
    pub(crate) fn new(
        service: wire::SettingsServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { service, endpoint, org }
    }

    /// Returns the settings of a scope.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the domain or the project does not exist.
    pub async fn get(&self, scope: Scope) -> Result<Settings, ClientError> {
        let (domain, project) = match scope.clone() {
            Scope::Org => (String::new(), String::new()),
            Scope::Domain { domain } => (domain, String::new()),
            Scope::Project { domain, project } => (domain, project),
        };
        let org = self.org.clone().unwrap_or_default();
        let key = wire::SettingsKey { org, domain, project, ..Default::default() };
        let request = wire::GetSettingsForEditRequest { key: key.into(), ..Default::default() };
        let answer = self.service.get_settings_for_edit(request).await;
        let answer = answer.map_err(|error| ClientError::from_connect(error, &self.endpoint))?;
        let levels = answer.into_owned().levels.into_iter().map(|record| Level {
            scope: record.key.into_option().unwrap_or_default().into(),
            version: record.version,
            settings: values(record.settings.into_option().unwrap_or_default()),
        });
        Ok(Settings { scope, levels: levels.collect() })
    }
}

/// Whether a setting has a value here, and which.
fn value(state: Option<SettingState>, value: impl FnOnce() -> Value) -> Option<Value> {
    match state {
        Some(SettingState::SETTING_STATE_UNSET) => Some(Value::Unset),
        Some(SettingState::SETTING_STATE_VALUE) => Some(value()),
        _ => None,
    }
}

/// The settings that have a value in this scope.
fn values(settings: wire::Settings) -> BTreeMap<&'static str, Value> {
    let text = |setting: &wire::StringSetting| {
        value(setting.state.as_known(), || Value::Text(setting.string_value.clone()))
    };
    let truth =
        |setting: &wire::BoolSetting| value(setting.state.as_known(), || Value::Boolean(setting.bool_value));
    let quantity = |setting: &wire::QuantitySetting| {
        value(setting.state.as_known(), || Value::Text(setting.quantity_value.clone()))
    };
    let map = |setting: &wire::StringMapSetting| {
        value(setting.state.as_known(), || {
            Value::Map(
                setting.map_value.entries.iter().map(|(name, text)| (name.clone(), text.clone())).collect(),
            )
        })
    };
    let wire::Settings { run, security, storage, task_resource, app, .. } = &settings;
    let (min, max) = (&task_resource.min, &task_resource.max);
    let concurrency = &run.max_action_concurrency;
    let accelerator = &task_resource.default_accelerator;
    let all = [
        ("run.default_queue", text(&run.default_queue)),
        (
            "run.max_action_concurrency",
            value(concurrency.state.as_known(), || Value::Integer(concurrency.int_value)),
        ),
        ("run.run_base_dir", text(&run.run_base_dir)),
        ("security.service_account", text(&security.service_account)),
        ("storage.raw_data_path", text(&storage.raw_data_path)),
        ("task_resource.min.cpu", quantity(&min.cpu)),
        ("task_resource.min.gpu", quantity(&min.gpu)),
        ("task_resource.min.memory", quantity(&min.memory)),
        ("task_resource.min.storage", quantity(&min.storage)),
        ("task_resource.max.cpu", quantity(&max.cpu)),
        ("task_resource.max.gpu", quantity(&max.gpu)),
        ("task_resource.max.memory", quantity(&max.memory)),
        ("task_resource.max.storage", quantity(&max.storage)),
        ("task_resource.mirror_limits_request", truth(&task_resource.mirror_limits_request)),
        (
            "task_resource.default_accelerator",
            value(accelerator.state.as_known(), || Value::Text(accelerator.accelerator_value.device.clone())),
        ),
        ("labels", map(&settings.labels)),
        ("annotations", map(&settings.annotations)),
        ("environment_variables", map(&settings.environment_variables)),
        ("app.disallow_anonymous", truth(&app.disallow_anonymous)),
        ("app.app_dns_strategy", text(&app.app_dns_strategy)),
        ("pod_template_name", text(&settings.pod_template_name)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, Server};

    #[tokio::test]
    async fn levels_have_the_values_that_are_set() {
        let answer = json!({"levels": [
            {"key": {"org": "acme"}, "version": "2", "settings": {
                "run": {"defaultQueue": {"state": "SETTING_STATE_VALUE", "stringValue": "gpu"},
                        "maxActionConcurrency": {"state": "SETTING_STATE_INHERIT", "intValue": "9"}},
                "labels": {"state": "SETTING_STATE_VALUE", "mapValue": {"entries": {"team": "ml"}}},
                "taskResource": {"min": {"cpu": {"state": "SETTING_STATE_VALUE", "quantityValue": "500m"}}}}},
            {"key": {"org": "acme", "domain": "production"}, "version": "1", "settings": {
                "run": {"defaultQueue": {"state": "SETTING_STATE_UNSET"}},
                "app": {"disallowAnonymous": {"state": "SETTING_STATE_VALUE", "boolValue": true}}}},
        ]});
        let answer = serde_json::from_value::<wire::GetSettingsForEditResponse>(answer).unwrap();
        let server = Server::default().on(
            "flyteidl2.settings.SettingsService/GetSettingsForEdit",
            move |request: wire::GetSettingsForEditRequest| {
                assert_eq!(
                    (&*request.key.org, &*request.key.domain, &*request.key.project),
                    ("acme", "production", "")
                );
                Ok(Answer::one(&answer))
            },
        );
        let scope = Scope::Domain { domain: "production".into() };
        let found = server.client().settings().get(scope).await.unwrap();
        assert_eq!(
            serde_json::to_value(&found.levels).unwrap(),
            json!([
                {"scope": "org", "version": 2, "settings": {
                    "labels": {"team": "ml"}, "run.default_queue": "gpu", "task_resource.min.cpu": "500m"}},
                {"scope": "domain", "domain": "production", "version": 1, "settings": {
                    "run.default_queue": "~unset", "app.disallow_anonymous": true}},
            ])
        );
    }
}
