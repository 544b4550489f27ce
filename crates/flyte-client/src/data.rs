//! Inputs and outputs of actions.

use std::collections::BTreeMap;

use buffa::Message as _;
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::dataproxy::{self, DataProxyServiceClient};
use flyte_idl::flyteidl2::task as wire;
use serde::Serialize;
use serde_json::Value;

use crate::action::ActionId;
use crate::error::ClientError;
use crate::literal;
use crate::task::Variable;
use crate::transport::Transport;

/// The inputs of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs(pub(crate) wire::Inputs);

impl Inputs {
    /// Decodes a `flyteidl2.task.Inputs`.
    ///
    /// # Errors
    /// The reason why the bytes are not encoded inputs.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        wire::Inputs::decode_from_slice(bytes).map(Self).map_err(|error| error.to_string())
    }

    /// Parses the texts of `given`, which has the names of the task's inputs. Inputs without a text have their defaults.
    ///
    /// # Errors
    /// The name of the input and the reason why the text is not a value of its type.
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

/// The inputs and outputs of an action, as JSON values.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Data {
    /// The inputs by name.
    pub inputs: BTreeMap<String, Value>,
    /// The outputs by name. Outputs without a name are `o0`, `o1` and so on. Empty if the action has not succeeded.
    pub outputs: BTreeMap<String, Value>,
    /// The URI of the inputs; empty if the server does not say.
    pub inputs_uri: String,
    /// The URI of the outputs; empty if the server does not say.
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

    /// Returns the inputs and outputs of an action.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the run or the action does not exist.
    pub async fn get(&self, id: &ActionId) -> Result<Data, ClientError> {
        let action_id = id.identifier(self.org.as_deref()).into();
        let request = dataproxy::GetActionDataRequest { action_id, ..Default::default() };
        let answer = self.service.get_action_data(request).await;
        let answer = answer.map_err(|error| ClientError::from_connect(error, &self.endpoint))?.into_owned();
        Ok(Data {
            inputs: flyte_literal::values(&answer.inputs.into_option().unwrap_or_default().literals),
            outputs: flyte_literal::values(&answer.outputs.into_option().unwrap_or_default().literals),
            inputs_uri: answer.inputs_uri,
            outputs_uri: answer.outputs_uri,
        })
    }
}
