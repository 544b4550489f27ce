//! Triggers that are deployed: they start runs of a task automatically.

use std::collections::BTreeMap;
use std::fmt;

use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::common::TriggerName;
use flyte_idl::flyteidl2::task as task_wire;
use flyte_idl::flyteidl2::task::schedule::Expression;
use flyte_idl::flyteidl2::task::trigger_automation_spec::Automation as WireAutomation;
use flyte_idl::flyteidl2::trigger as wire;
use flyte_idl::flyteidl2::trigger::list_triggers_request::ScopeBy;
use flyte_idl::flyteidl2::trigger::trigger_spec::InputWrapper;
use serde::Serialize;
use serde_json::Value;

use crate::error::ClientError;
use crate::listing::{self, principal_name, unix_time};
use crate::pager::{Page, Pager, Source};
use crate::project_domain::ProjectDomain;
use crate::transport::Transport;

/// The identifier of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerId {
    /// The project and domain of the trigger and its task.
    pub project_domain: ProjectDomain,
    /// Full name of the task.
    pub task: String,
    /// The trigger's name, unique for its task.
    pub name: String,
}

impl TriggerId {
    fn identifier(&self, org: Option<&str>) -> TriggerName {
        TriggerName {
            org: org.unwrap_or_default().to_owned(),
            project: self.project_domain.project.clone(),
            domain: self.project_domain.domain.clone(),
            name: self.name.clone(),
            task_name: self.task.clone(),
            ..Default::default()
        }
    }
}

/// What fires a trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Automation {
    /// A kind that this client does not know.
    #[default]
    Unknown,
    /// Nothing: the trigger is fired by hand.
    None,
    /// A cron expression.
    Cron {
        /// The expression.
        expression: String,
        /// The time zone of the expression.
        timezone: String,
    },
    /// A fixed rate.
    Rate {
        /// The number of units between two runs.
        every: u32,
        /// `minute`, `hour` or `day`.
        unit: &'static str,
        /// The start of the first period, Unix time in seconds; `None` for the time of deployment.
        starts_at: Option<i64>,
    },
    /// A new version of an artifact.
    Artifact {
        /// The artifact's name.
        name: String,
        /// The version that fires the trigger; empty for each version.
        version: String,
        /// The input of the task that gets the artifact; empty for none.
        input: String,
    },
}

impl fmt::Display for Automation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::None => f.write_str("none"),
            Self::Cron { expression, timezone } => write!(f, "cron {expression} ({timezone})"),
            Self::Rate { every: 1, unit, .. } => write!(f, "every {unit}"),
            Self::Rate { every, unit, .. } => write!(f, "every {every} {unit}s"),
            Self::Artifact { name, version, .. } if version.is_empty() => write!(f, "artifact {name}"),
            Self::Artifact { name, version, .. } => write!(f, "artifact {name} {version}"),
        }
    }
}

/// A trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trigger {
    /// The trigger's name, unique for its task.
    pub name: String,
    /// Full name of the task.
    pub task: String,
    /// The project and domain.
    #[serde(flatten)]
    pub project_domain: ProjectDomain,
    /// The number of changes to the trigger.
    pub revision: u64,
    /// Whether the trigger starts runs.
    pub active: bool,
    /// What fires the trigger.
    pub automation: Automation,
    /// The deployment time, Unix time in seconds.
    pub deployed_at: Option<i64>,
    /// The name of the person or machine that deployed the trigger.
    pub deployed_by: String,
    /// The time of the last change, Unix time in seconds.
    pub updated_at: Option<i64>,
    /// The name of the person or machine that made the last change.
    pub updated_by: String,
    /// The time at which the trigger last started a run, Unix time in seconds.
    pub triggered_at: Option<i64>,
}

/// The details of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TriggerDetails {
    /// The trigger.
    #[serde(flatten)]
    pub trigger: Trigger,
    /// The version of the task that the trigger starts.
    pub task_version: String,
    /// The description.
    pub description: String,
    /// The inputs of the runs by name; empty if they are stored at `inputs_uri`.
    pub inputs: BTreeMap<String, Value>,
    /// The URI of the inputs; empty if the trigger contains them.
    pub inputs_uri: String,
    /// The environment variables of the runs.
    pub env: BTreeMap<String, String>,
    /// The labels of the runs.
    pub labels: BTreeMap<String, String>,
}

/// Calls of `flyteidl2.trigger.TriggerService`.
#[derive(Clone)]
pub struct Triggers<T> {
    service: wire::TriggerServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Triggers<T> {
    pub(crate) fn new(
        service: wire::TriggerServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { service, endpoint, org }
    }

    /// Returns one trigger.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it does not exist.
    pub async fn get(&self, id: &TriggerId) -> Result<TriggerDetails, ClientError> {
        let name = id.identifier(self.org.as_deref()).into();
        let request = wire::GetTriggerDetailsRequest { name, ..Default::default() };
        let answer = self.service.get_trigger_details(request).await.map_err(|error| self.error(error))?;
        let trigger = answer.into_owned().trigger.into_option();
        trigger.map(TriggerDetails::from).ok_or_else(|| ClientError::Server {
            code: "internal",
            message: format!("the server's answer does not contain the trigger {}", id.name),
        })
    }

    /// Lists the triggers of a project and domain, or of one task. Pages are fetched as needed.
    pub fn list(
        &self,
        project_domain: ProjectDomain,
        task: Option<String>,
        limit: Option<u32>,
    ) -> Pager<Listing<T>> {
        Pager::new(Listing { triggers: self.clone(), project_domain, task }, limit)
    }

    /// Activates or deactivates a trigger.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it does not exist.
    pub async fn switch(&self, id: &TriggerId, active: bool) -> Result<(), ClientError> {
        let names = vec![id.identifier(self.org.as_deref())];
        let request = wire::UpdateTriggersRequest { names, active, ..Default::default() };
        self.service.update_triggers(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    /// Deletes a trigger. Runs that it started continue.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it does not exist.
    pub async fn delete(&self, id: &TriggerId) -> Result<(), ClientError> {
        let names = vec![id.identifier(self.org.as_deref())];
        let request = wire::DeleteTriggersRequest { names, ..Default::default() };
        self.service.delete_triggers(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The source of a listing of triggers.
pub struct Listing<T> {
    triggers: Triggers<T>,
    project_domain: ProjectDomain,
    task: Option<String>,
}

impl<T: Transport> Source for Listing<T> {
    type Item = Trigger;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Trigger>, ClientError> {
        let org = self.triggers.org.as_deref();
        let scope = match &self.task {
            Some(task) => ScopeBy::TaskName(Box::new(task_wire::TaskName {
                org: org.unwrap_or_default().to_owned(),
                project: self.project_domain.project.clone(),
                domain: self.project_domain.domain.clone(),
                name: task.clone(),
                ..Default::default()
            })),
            None => ScopeBy::ProjectId(Box::new(self.project_domain.identifier(org))),
        };
        let request = wire::ListTriggersRequest {
            request: listing::server_order(limit, token).into(),
            scope_by: Some(scope),
            ..Default::default()
        };
        let answer = self.triggers.service.list_triggers(request).await;
        let answer = answer.map_err(|error| self.triggers.error(error))?.into_owned();
        Ok(Page { items: answer.triggers.into_iter().map(Trigger::from).collect(), next: answer.token })
    }
}

impl From<wire::Trigger> for Trigger {
    fn from(message: wire::Trigger) -> Self {
        let id = message.id.into_option().unwrap_or_default();
        let name = id.name.into_option().unwrap_or_default();
        let metadata = message.metadata.into_option().unwrap_or_default();
        let status = message.status.into_option().unwrap_or_default();
        Self {
            name: name.name,
            task: name.task_name,
            project_domain: ProjectDomain::new(name.project, name.domain),
            revision: id.revision,
            active: message.active,
            automation: message.automation_spec.into_option().unwrap_or_default().into(),
            deployed_at: unix_time(status.deployed_at),
            deployed_by: principal_name(metadata.deployed_by.into_option()),
            updated_at: unix_time(status.updated_at),
            updated_by: principal_name(metadata.updated_by.into_option()),
            triggered_at: unix_time(status.triggered_at),
        }
    }
}

impl From<wire::TriggerDetails> for TriggerDetails {
    fn from(message: wire::TriggerDetails) -> Self {
        let spec = message.spec.into_option().unwrap_or_default();
        let trigger = Trigger::from(wire::Trigger {
            id: message.id,
            metadata: message.metadata,
            status: message.status,
            active: spec.active,
            automation_spec: message.automation_spec,
            ..Default::default()
        });
        let (inputs, inputs_uri) = match spec.input_wrapper {
            Some(InputWrapper::Inputs(inputs)) => (flyte_literal::values(&inputs.literals), String::new()),
            Some(InputWrapper::OffloadedInputData(stored)) => (BTreeMap::new(), stored.uri),
            None => (BTreeMap::new(), String::new()),
        };
        let run = spec.run_spec.into_option().unwrap_or_default();
        let env = run.envs.into_option().unwrap_or_default().values;
        Self {
            trigger,
            task_version: spec.task_version,
            description: message.description.unwrap_or(spec.description),
            inputs,
            inputs_uri,
            env: env.into_iter().map(|pair| (pair.key, pair.value)).collect(),
            labels: run.labels.into_option().unwrap_or_default().values.into_iter().collect(),
        }
    }
}

impl From<task_wire::TriggerAutomationSpec> for Automation {
    fn from(message: task_wire::TriggerAutomationSpec) -> Self {
        use task_wire::{FixedRateUnit, TriggerAutomationSpecType as Kind};
        match message.automation {
            Some(WireAutomation::Artifact(artifact)) => Self::Artifact {
                name: artifact.artifact_name,
                version: artifact.version,
                input: artifact.input_arg,
            },
            Some(WireAutomation::Schedule(schedule)) => match schedule.expression {
                Some(Expression::Cron(cron)) => {
                    let timezone = if cron.timezone.is_empty() { "UTC".to_owned() } else { cron.timezone };
                    Self::Cron { expression: cron.expression, timezone }
                }
                Some(Expression::CronExpression(expression)) => {
                    Self::Cron { expression, timezone: "UTC".to_owned() }
                }
                Some(Expression::Rate(rate)) => Self::Rate {
                    every: rate.value,
                    unit: match rate.unit.as_known() {
                        Some(FixedRateUnit::FIXED_RATE_UNIT_MINUTE) => "minute",
                        Some(FixedRateUnit::FIXED_RATE_UNIT_HOUR) => "hour",
                        Some(FixedRateUnit::FIXED_RATE_UNIT_DAY) => "day",
                        _ => "unknown unit",
                    },
                    starts_at: unix_time(rate.start_time),
                },
                None => Self::Unknown,
            },
            None if message.r#type.as_known() == Some(Kind::TYPE_NONE) => Self::None,
            None => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
