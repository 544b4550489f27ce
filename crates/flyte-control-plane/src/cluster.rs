//! `flyteidl2.cluster.ClusterService`: this server is the only cluster that there is.

use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteidl2::cluster::{
    ClusterService, SelectClusterRequest, SelectClusterResponse, select_cluster_request::Operation,
};

pub(super) struct Service;

impl ClusterService for Service {
    /// Clients stay with the server that they asked where no endpoint is named.
    async fn select_cluster<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, SelectClusterRequest>,
    ) -> ServiceResult<impl Encodable<SelectClusterResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        match request.operation.as_known() {
            // The published client then keeps a trigger's inputs in the trigger, which is where they are looked for.
            Some(Operation::OPERATION_UPLOAD_TRIGGER) => Err(ConnectError::unimplemented(
                "the inputs of triggers are not kept apart: leave them in the trigger's specification",
            )),
            Some(Operation::OPERATION_GET_IMAGE) => Err(ConnectError::unimplemented(
                "this server builds no images: give the environment's image by its name",
            )),
            _ => Response::ok(SelectClusterResponse::default()),
        }
    }
}
