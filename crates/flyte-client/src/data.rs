//! What actions were given and what they returned.

use std::collections::BTreeMap;

use buffa::Message as _;
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::dataproxy::{self, DataProxyServiceClient};
use flyte_idl::flyteidl2::task as wire;
use serde::Serialize;
use serde_json::Value;

use crate::action::ActionId;
use crate::client::Transport;
use crate::error::ClientError;
use crate::literal;
use crate::task::Variable;

/// What a task is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs(pub(crate) wire::Inputs);

impl Inputs {
    /// A `flyteidl2.task.Inputs` as it was encoded.
    ///
    /// # Errors
    /// What makes it none, in words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        wire::Inputs::decode_from_slice(bytes).map(Self).map_err(|error| error.to_string())
    }

    /// What texts stand for, by the names of a task's inputs; inputs that are not given have their defaults.
    ///
    /// # Errors
    /// The name of the input, and why it cannot be that.
    pub fn of_texts(
        inputs: &[Variable],
        mut given: BTreeMap<String, Vec<String>>,
    ) -> Result<Self, (String, String)> {
        let mut literals = Vec::new();
        for input in inputs {
            let value = match given.remove(&input.name) {
                Some(texts) => literal::text::parse_many(&texts, &input.literal_type)
                    .map_err(|why| (input.name.clone(), why))?,
                None => match &input.default_literal {
                    Some(default) => default.clone(),
                    None if input.required => return Err((input.name.clone(), "it is missing".to_owned())),
                    None => continue,
                },
            };
            literals.push(wire::NamedLiteral {
                name: input.name.clone(),
                value: value.into(),
                ..Default::default()
            });
        }
        match given.into_keys().next() {
            Some(name) => Err((name, "there is no such input".to_owned())),
            None => Ok(Self(wire::Inputs { literals, ..Default::default() })),
        }
    }
}

/// What an action was given and what it returned, as JSON has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Data {
    /// What it was given, by name.
    pub inputs: BTreeMap<String, Value>,
    /// What it returned, by name (`o0`, `o1` and so on where the task gives none); empty where it has not ended well.
    pub outputs: BTreeMap<String, Value>,
    /// Where the inputs are; empty where the server does not tell.
    pub inputs_uri: String,
    /// Where the outputs are; empty where the server does not tell.
    pub outputs_uri: String,
}

/// Calls of `flyteidl2.dataproxy.DataProxyService` about inputs and outputs.
#[derive(Clone)]
pub struct ActionData<T> {
    service: DataProxyServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> ActionData<T> {
    pub(crate) fn new(service: DataProxyServiceClient<T>, endpoint: Endpoint, org: Option<String>) -> Self {
        Self { service, endpoint, org }
    }

    /// What an action was given and what it returned.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is no such run or action.
    pub async fn get(&self, id: &ActionId) -> Result<Data, ClientError> {
        let action_id = id.identifier(self.org.as_deref()).into();
        let request = dataproxy::GetActionDataRequest { action_id, ..Default::default() };
        let answer = self.service.get_action_data(request).await;
        let answer = answer.map_err(|error| ClientError::from_connect(error, &self.endpoint))?.into_owned();
        Ok(Data {
            inputs: values(&answer.inputs.into_option().unwrap_or_default().literals),
            outputs: values(&answer.outputs.into_option().unwrap_or_default().literals),
            inputs_uri: answer.inputs_uri,
            outputs_uri: answer.outputs_uri,
        })
    }
}

fn values(literals: &[wire::NamedLiteral]) -> BTreeMap<String, Value> {
    let value = |named: &wire::NamedLiteral| {
        let value = named.value.as_option().map_or(Value::Null, literal::value);
        (named.name.clone(), value)
    };
    literals.iter().map(value).collect()
}
