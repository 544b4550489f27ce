//! Reads and checks the app in a request.

use buffa::Message as _;
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::app::{
    App as Message, Meta,
    spec::{AppPayload, DesiredState},
};

use super::{
    super::{actor, invalid, project_domain},
    id,
};
use crate::ControlPlane;
use flyte_access::Caller;
use flyte_store::NewApp;

/// The longest reason for a change, in characters.
const MAX_REASON: usize = 1024;

/// Returns the app, and the revision that the request changes: 0 if the request does not say.
pub(super) async fn read(
    plane: &ControlPlane,
    caller: &Caller,
    message: Option<&Message>,
    reason: &str,
) -> Result<(NewApp, u64), ConnectError> {
    let message = message.ok_or_else(|| invalid("app", "is missing"))?;
    let metadata = message.metadata.as_option().ok_or_else(|| invalid("app.metadata", "is missing"))?;
    let id = id(plane, "app.metadata.id", metadata.id.as_option()).await?;
    project_domain::check_name("app.metadata.id.name", &id.name)?;
    let spec = message.spec.as_option().ok_or_else(|| invalid("app.spec", "is missing"))?;
    match &spec.app_payload {
        Some(AppPayload::Container(container)) => {
            if container.command.iter().chain(&container.args).all(String::is_empty) {
                return Err(invalid("app.spec.container.command", "is missing: there is nothing to run"));
            }
        }
        Some(AppPayload::Pod(_)) => {
            return Err(invalid(
                "app.spec.pod",
                "is not supported: this server runs apps as processes on its own machine. Leave out the pod template",
            ));
        }
        None => return Err(invalid("app.spec.container", "is missing")),
    }
    let wanted = match spec.desired_state.as_known() {
        Some(DesiredState::DESIRED_STATE_STOPPED) => false,
        Some(
            DesiredState::DESIRED_STATE_UNSPECIFIED
            | DesiredState::DESIRED_STATE_STARTED
            | DesiredState::DESIRED_STATE_ACTIVE,
        ) => true,
        None => return Err(invalid("app.spec.desired_state", "is not a known state")),
    };
    if wanted && let Some(why) = plane.apps.refusal() {
        return Err(ConnectError::failed_precondition(why));
    }
    let new = NewApp {
        metadata: Meta { id: Default::default(), revision: 0, ..metadata.clone() }.encode_to_vec(),
        spec: spec.encode_to_vec(),
        wanted,
        reason: reason.chars().take(MAX_REASON).collect(),
        by: actor::of(caller),
        at: plane.clock.now(),
        id,
    };
    Ok((new, metadata.revision))
}
