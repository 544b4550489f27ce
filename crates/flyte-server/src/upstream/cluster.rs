//! `flyteidl2.cluster.ClusterService`: clients talk to this server, whatever its backend calls itself.

use connectrpc::{Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteidl2::cluster::{ClusterService, SelectClusterRequest, SelectClusterResponse};

pub(super) struct Service;

impl ClusterService for Service {
    /// Returns no endpoint, so that clients continue to use the address that they have. A backend would return what it takes for
    /// its own.
    async fn select_cluster<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, SelectClusterRequest>,
    ) -> ServiceResult<impl Encodable<SelectClusterResponse> + Send + use<'a>> {
        Response::ok(SelectClusterResponse::default())
    }
}
