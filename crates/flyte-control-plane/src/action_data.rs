//! Reads the inputs and outputs of actions.

use buffa::Message;
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::task::{Inputs, Outputs};

use super::data_error;
use crate::ControlPlane;
use flyte_runs::data::outputs_uri;
use flyte_store::Action;

/// The inputs of the action; empty if it has none.
///
/// # Errors
/// `not_found` if the inputs do not exist. The message has the word `inputs`, which the published client looks for.
pub(super) async fn inputs(plane: &ControlPlane, action: &Action) -> Result<Inputs, ConnectError> {
    match action.input_uri.as_str() {
        "" => Ok(Inputs::default()),
        uri => read(plane, action, uri, "inputs").await?.ok_or_else(|| {
            ConnectError::not_found(format!("the inputs of the action are no longer at {uri}"))
        }),
    }
}

/// The outputs of the action; empty if it has none, or none yet.
pub(super) async fn outputs(plane: &ControlPlane, action: &Action) -> Result<Outputs, ConnectError> {
    match outputs_uri(action) {
        // A task without outputs need not write any.
        Some(uri) => Ok(read(plane, action, &uri, "outputs").await?.unwrap_or_default()),
        None => Ok(Outputs::default()),
    }
}

/// The message at a native URL; `None` if there is no object. A client may have named the URL, so it must be in the project and
/// domain of the action.
async fn read<M: Message>(
    plane: &ControlPlane,
    action: &Action,
    uri: &str,
    what: &str,
) -> Result<Option<M>, ConnectError> {
    let elsewhere = || {
        ConnectError::failed_precondition(format!(
            "the {what} of the action are at {uri}, which is outside of its project and domain"
        ))
    };
    let key = plane.objects.key_of(uri).map_err(|_| elsewhere())?;
    if !key.is_in(&action.id.run.project, &action.id.run.domain) {
        return Err(elsewhere());
    }
    let message = plane.objects.decode(uri).await;
    message.map_err(|error| data_error(error, &format!("the {what} of the action"), uri))
}
