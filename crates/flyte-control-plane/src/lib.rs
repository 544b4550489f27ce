//! The control plane: one module for each flyteidl2 service, over Connect, gRPC and gRPC-Web alike.
//!
//! What every call passes before a service, authentication and the door, is in `flyte-rpc`.
#![forbid(unsafe_code)]

mod action_data;
mod actions;
mod actor;
mod app;
mod app_logs;
mod cache_key;
mod cluster;
mod dataproxy;
mod filter;
mod list_request;
mod logs;
pub mod objects;
mod project;
mod project_domain;
mod run;
mod secret;
mod settings;
mod state;
mod task;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timestamp;
mod trigger;
mod unsupported;
mod visible;

pub use self::state::ControlPlane;
pub use self::unsupported::router as unsupported;

use std::sync::Arc;

use connectrpc::ConnectError;
use flyte_idl::flyteidl2::{
    actions::ActionsServiceExt as _,
    app::{AppLogsServiceExt as _, AppServiceExt as _},
    cluster::ClusterServiceExt as _,
    dataproxy::DataProxyServiceExt as _,
    project::ProjectServiceExt as _,
    secret::SecretServiceExt as _,
    settings::SettingsServiceExt as _,
    task::TaskServiceExt as _,
    trigger::TriggerServiceExt as _,
    workflow::{RunLogsServiceExt as _, RunServiceExt as _},
};

use flyte_access::door::{Location, Storage, locate_below};
use flyte_objects::{ObjectError, Objects};
use flyte_rpc::{caller, invalid, store_error};

/// Adds the services to `services`.
#[must_use]
pub fn register(plane: &Arc<ControlPlane>, services: connectrpc::Router) -> connectrpc::Router {
    let services = Arc::new(app::Service::new(Arc::clone(plane))).register(services);
    let services = Arc::new(app_logs::Service::new(Arc::clone(plane))).register(services);
    let services = Arc::new(cluster::Service).register(services);
    let services = Arc::new(dataproxy::Service::new(Arc::clone(plane))).register(services);
    let services = Arc::new(logs::Service::new(Arc::clone(plane))).register(services);
    let services = Arc::new(project::Service::new(Arc::clone(plane))).register(services);
    let services = Arc::new(secret::Service).register(services);
    let services = Arc::new(settings::Service::new(Arc::clone(plane))).register(services);
    let services = Arc::new(task::Service::new(Arc::clone(plane))).register(services);
    let services = Arc::new(actions::Service::new(Arc::clone(plane))).register(services);
    let services = Arc::new(run::Service::new(Arc::clone(plane))).register(services);
    Arc::new(trigger::Service::new(Arc::clone(plane))).register(services)
}

/// Locates the server's objects for the door.
#[derive(Debug)]
pub struct LocatedObjects(pub Arc<Objects>);

impl Storage for LocatedObjects {
    fn locate<'u>(&self, uri: &'u [u8]) -> Location<'u> {
        self.0.below(uri).map_or(Location::Outside, locate_below)
    }
}

/// Converts an error of the object store. The details go to the log, not to the caller.
fn object_error(error: ObjectError) -> ConnectError {
    match error {
        ObjectError::Io(_) | ObjectError::Bucket(_) => {
            tracing::error!(%error, "a call failed");
            ConnectError::unavailable("the server's object store failed; try again later")
        }
        ObjectError::Taken => ConnectError::already_exists(error.to_string()),
        ObjectError::TooLarge { .. } => ConnectError::resource_exhausted(error.to_string()),
        ObjectError::Undecodable(_) => ConnectError::data_loss(error.to_string()),
        ObjectError::Elsewhere(..) | ObjectError::Key(_) => ConnectError::invalid_argument(error.to_string()),
    }
}

/// The error if the object at `uri` cannot be returned. `what` names its content.
fn data_error(error: ObjectError, what: &str, uri: &str) -> ConnectError {
    match error {
        ObjectError::TooLarge { length, most } => ConnectError::resource_exhausted(format!(
            "{what} at {uri} are {length} bytes, and a response has at most {most}; download the file instead"
        )),
        ObjectError::Undecodable(error) => {
            ConnectError::data_loss(format!("{what} at {uri} cannot be read: {error}"))
        }
        error => object_error(error),
    }
}
