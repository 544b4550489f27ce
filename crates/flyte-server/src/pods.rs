//! The pods of backends' tasks as callers.

use std::sync::Arc;

use crate::app::{App, Backend};
use flyte_kubernetes::{ApiError, Cluster};

/// Accepts the pods of the cluster in the settings, and watches them for as long as the server runs. The API server may be away.
///
/// # Errors
/// [`ApiError::Settings`] if the connection to the API server is not set up.
pub(crate) async fn accept(app: &App) -> Result<(), ApiError> {
    let (Some(config), Backend::Upstream(gateway)) = (&app.config.kubernetes, &app.backend) else {
        return Ok(());
    };
    let cluster = Arc::new(Cluster::new(config, app.config.issuer(), app.clock.clone()).await?);
    app.access.accept_workloads(Arc::clone(&cluster) as _, Arc::clone(gateway) as _);
    let access = Arc::clone(&app.access);
    tokio::spawn(cluster.follow(Arc::new(move |id| access.end_workload(id))));
    Ok(())
}
