//! Conditions: actions that wait for a signal, for example for a person's approval.

use std::fmt;
use std::str::FromStr;

use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::core::literal_type::Type;
use flyte_idl::flyteidl2::core::{LiteralType, SimpleType};
use flyte_idl::flyteidl2::workflow as wire;
use flyte_idl::flyteidl2::workflow::action_details::{Result as Outcome, Spec as DetailsSpec};
use flyte_idl::flyteidl2::workflow::action_metadata::Spec;
use flyte_idl::flyteidl2::workflow::event_payload::Value as PayloadValue;
use serde::Serialize;

use crate::action::{Action, ActionId, RunId};
use crate::error::ClientError;
use crate::listing::{self, equal, principal_name};
use crate::pager::{Page, Pager, Source};
use crate::phase::Phase;
use crate::transport::Transport;

/// The type of the value that a condition waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum ValueType {
    /// The server does not say, or it says a type that this client does not know.
    #[default]
    #[serde(rename = "unknown")]
    Unknown,
    /// A truth value.
    #[serde(rename = "bool")]
    Boolean,
    /// An integer.
    #[serde(rename = "int")]
    Integer,
    /// A floating-point number.
    #[serde(rename = "float")]
    Float,
    /// A text.
    #[serde(rename = "str")]
    Text,
}

impl ValueType {
    fn of(literal_type: Option<LiteralType>) -> Self {
        let Some(Type::Simple(simple)) = literal_type.and_then(|literal_type| literal_type.r#type) else {
            return Self::Unknown;
        };
        match simple.as_known() {
            Some(SimpleType::BOOLEAN) => Self::Boolean,
            Some(SimpleType::INTEGER) => Self::Integer,
            Some(SimpleType::FLOAT) => Self::Float,
            Some(SimpleType::STRING) => Self::Text,
            _ => Self::Unknown,
        }
    }

    /// Parses a text as a value of this type.
    ///
    /// # Errors
    /// The reason why the text is not a value of the type.
    pub fn parse(self, text: &str) -> Result<Payload, String> {
        fn parsed<V: FromStr>(text: &str, what: &str) -> Result<V, String> {
            text.trim().parse().map_err(|_| format!("{text:?} is not {what}"))
        }
        Ok(match self {
            Self::Boolean => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "y" | "t" => Payload::Boolean(true),
                "false" | "0" | "no" | "n" | "f" => Payload::Boolean(false),
                _ => return Err(format!("{text:?} is not true or false")),
            },
            Self::Integer => Payload::Integer(parsed(text, "an integer")?),
            Self::Float => Payload::Float(parsed(text, "a number")?),
            Self::Text => Payload::Text(text.to_owned()),
            Self::Unknown => {
                return Err("the server does not say which type of value it waits for".to_owned());
            }
        })
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Boolean => "bool",
            Self::Integer => "int",
            Self::Float => "float",
            Self::Text => "str",
        })
    }
}

/// The value of a signal.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// A truth value.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A text.
    Text(String),
}

/// A condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The name that the task gave it.
    pub name: String,
    /// The name of its action, unique in the run.
    pub action: String,
    /// The run's name.
    pub run: String,
    /// The name of the action that waits for it.
    pub parent: String,
    /// The phase of its action: paused until the signal.
    pub phase: Phase,
    /// The type of the value that it waits for.
    #[serde(rename = "type")]
    pub value_type: ValueType,
}

/// The details of a condition.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ConditionDetails {
    /// The condition.
    #[serde(flatten)]
    pub condition: Condition,
    /// The question to a person; empty if there is none.
    pub prompt: String,
    /// The description.
    pub description: String,
    /// The value of the signal; `None` before the signal.
    pub value: Option<serde_json::Value>,
    /// The name of the person or machine that sent the signal.
    pub signalled_by: String,
}

/// Calls of `flyteidl2.workflow.RunService` about conditions.
#[derive(Clone)]
pub struct Conditions<T> {
    service: wire::RunServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Conditions<T> {
    pub(crate) fn new(service: wire::RunServiceClient<T>, endpoint: Endpoint, org: Option<String>) -> Self {
        Self { service, endpoint, org }
    }

    /// Lists the conditions of a run, the oldest first. With `parent`, only those that this action waits for. Pages are fetched as
    /// needed.
    pub fn list(&self, run: RunId, parent: Option<String>) -> Pager<Listing<T>> {
        Pager::new(Listing { conditions: self.clone(), run, parent }, None)
    }

    /// Returns the condition of an action.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the run or the action does not exist, [`ClientError::InvalidArgument`] if the action is not a
    /// condition.
    pub async fn get(&self, id: &ActionId) -> Result<ConditionDetails, ClientError> {
        let action_id = id.identifier(self.org.as_deref()).into();
        let request = wire::GetActionDetailsRequest { action_id, ..Default::default() };
        let answer = self.service.get_action_details(request).await.map_err(|error| self.error(error))?;
        let details = answer.into_owned().details.into_option().unwrap_or_default();
        let Some(DetailsSpec::Condition(spec)) = details.spec else {
            return Err(ClientError::InvalidArgument {
                message: format!("action {} of run {} is not a condition", id.name, id.run.name),
            });
        };
        let mut condition = Condition::from(wire::Action {
            id: details.id,
            metadata: details.metadata,
            status: details.status,
            ..Default::default()
        });
        if condition.value_type == ValueType::Unknown {
            // Some servers say the type only here.
            condition.value_type = ValueType::of(spec.r#type.into_option());
        }
        let signal = match details.result {
            Some(Outcome::SignalInfo(signal)) => *signal,
            _ => wire::SignalInfo::default(),
        };
        Ok(ConditionDetails {
            condition,
            prompt: spec.prompt,
            description: spec.description,
            value: signal.output.as_option().map(flyte_literal::value),
            signalled_by: principal_name(signal.signalled_by.into_option()),
        })
    }

    /// Signals a condition: the task that waits for it continues with this value.
    ///
    /// # Errors
    /// [`ClientError::InvalidArgument`] if it does not wait any more, or for a value of another type.
    pub async fn signal(&self, id: &ActionId, parent: &str, payload: Payload) -> Result<(), ClientError> {
        let value = match payload {
            Payload::Boolean(value) => PayloadValue::BoolValue(value),
            Payload::Integer(value) => PayloadValue::IntValue(value),
            Payload::Float(value) => PayloadValue::FloatValue(value),
            Payload::Text(value) => PayloadValue::StringValue(value),
        };
        let request = wire::SignalEventRequest {
            action_id: id.identifier(self.org.as_deref()).into(),
            parent_action_name: parent.to_owned(),
            payload: wire::EventPayload { value: Some(value), ..Default::default() }.into(),
            ..Default::default()
        };
        self.service.signal_event(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The source of a listing of conditions.
pub struct Listing<T> {
    conditions: Conditions<T>,
    run: RunId,
    parent: Option<String>,
}

impl<T: Transport> Source for Listing<T> {
    type Item = Condition;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Condition>, ClientError> {
        let kind = wire::ActionType::ACTION_TYPE_CONDITION as i32;
        let mut filters = vec![equal("action_type", kind.to_string())];
        filters.extend(self.parent.as_ref().map(|parent| equal("parent_name", parent)));
        let request = wire::ListActionsRequest {
            request: listing::page(limit, token, filters, true).into(),
            run_id: self.run.identifier(self.conditions.org.as_deref()).into(),
            ..Default::default()
        };
        let answer = self.conditions.service.list_actions(request).await;
        let answer = answer.map_err(|error| self.conditions.error(error))?.into_owned();
        Ok(Page { items: answer.actions.into_iter().map(Condition::from).collect(), next: answer.token })
    }
}

impl From<wire::Action> for Condition {
    fn from(message: wire::Action) -> Self {
        let value_type = match message.metadata.as_option().and_then(|metadata| metadata.spec.as_ref()) {
            Some(Spec::Condition(condition)) => ValueType::of(condition.r#type.as_option().cloned()),
            _ => ValueType::Unknown,
        };
        let action = Action::from(message);
        Self {
            name: if action.task.is_empty() { action.name.clone() } else { action.task },
            action: action.name,
            run: action.run,
            parent: action.parent,
            phase: action.phase,
            value_type,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::project_domain::ProjectDomain;
    use crate::testing::{Answer, Server};

    #[test]
    fn texts_are_values_of_the_conditions_type() {
        for (value_type, text, expected) in [
            (ValueType::Boolean, " Yes", Some(Payload::Boolean(true))),
            (ValueType::Boolean, "f", Some(Payload::Boolean(false))),
            (ValueType::Boolean, "maybe", None),
            (ValueType::Integer, "-7", Some(Payload::Integer(-7))),
            (ValueType::Integer, "7.5", None),
            (ValueType::Float, "7.5", Some(Payload::Float(7.5))),
            (ValueType::Float, "much", None),
            (ValueType::Text, " a text ", Some(Payload::Text(" a text ".into()))),
            (ValueType::Unknown, "7", None),
        ] {
            assert_eq!(value_type.parse(text).ok(), expected, "{value_type} {text}");
        }
    }

    #[tokio::test]
    async fn conditions_are_listed_shown_and_signalled() {
        let id =
            json!({"run": {"project": "flytesnacks", "domain": "development", "name": "r1"}, "name": "w1"});
        let of = |typed: bool| {
            let mut condition = json!({"name": "approval"});
            if typed {
                condition["type"] = json!({"simple": "BOOLEAN"});
            }
            json!({"parent": "a0", "condition": condition})
        };
        let status = json!({"phase": "ACTION_PHASE_PAUSED"});
        let action = json!({"id": id, "metadata": of(true), "status": status});
        let action = serde_json::from_value::<wire::Action>(action).unwrap();
        let details = json!({
            "id": id, "metadata": of(false), "status": status,
            "condition": {"name": "approval", "prompt": "Deploy?", "type": {"simple": "BOOLEAN"}},
        });
        let details = serde_json::from_value::<wire::ActionDetails>(details).unwrap();
        let server = Server::default()
            .on("flyteidl2.workflow.RunService/ListActions", move |request: wire::ListActionsRequest| {
                let filters: Vec<_> =
                    request.request.filters.iter().map(|f| (&*f.field, &*f.values[0])).collect();
                assert_eq!(filters, [("action_type", "3"), ("parent_name", "a0")]);
                let actions = vec![action.clone()];
                Ok(Answer::one(&wire::ListActionsResponse { actions, ..Default::default() }))
            })
            .on("flyteidl2.workflow.RunService/GetActionDetails", move |_: wire::GetActionDetailsRequest| {
                let details = details.clone().into();
                Ok(Answer::one(&wire::GetActionDetailsResponse { details, ..Default::default() }))
            })
            .on("flyteidl2.workflow.RunService/SignalEvent", |request: wire::SignalEventRequest| {
                assert_eq!((&*request.action_id.name, &*request.parent_action_name), ("w1", "a0"));
                assert_eq!(request.payload.value, Some(PayloadValue::BoolValue(true)));
                Ok(Answer::one(&wire::SignalEventResponse::default()))
            });
        let run = RunId::new(ProjectDomain::new("flytesnacks", "development"), "r1");
        let conditions = server.client().conditions();
        let found = conditions.list(run.clone(), Some("a0".into())).collect().await.unwrap();
        assert_eq!((found[0].name.as_str(), found[0].action.as_str()), ("approval", "w1"));
        assert_eq!((found[0].phase, found[0].value_type), (Phase::Paused, ValueType::Boolean));
        let one = conditions.get(&run.action("w1")).await.unwrap();
        assert_eq!((one.prompt.as_str(), &one.condition), ("Deploy?", &found[0]));
        let id = run.action("w1");
        conditions.signal(&id, &one.condition.parent, Payload::Boolean(true)).await.unwrap();
    }
}
