//! `flyteidl2.cluster.ClusterService`: this server is the only cluster.

use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteidl2::cluster::{
    ClusterService, SelectClusterRequest, SelectClusterResponse, select_cluster_request::Operation,
};

pub(super) struct Service;

impl ClusterService for Service {
    /// Returns no endpoint, so that clients continue to use this server.
    async fn select_cluster<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, SelectClusterRequest>,
    ) -> ServiceResult<impl Encodable<SelectClusterResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        match request.operation.as_known() {
            // After this error, the published client puts the inputs into the trigger, where the server reads them.
            Some(Operation::OPERATION_UPLOAD_TRIGGER) => Err(ConnectError::unimplemented(
                "this server does not store the inputs of triggers separately: put them in the trigger's specification",
            )),
            Some(Operation::OPERATION_GET_IMAGE) => Err(ConnectError::unimplemented(
                "this server does not build images: give the name of an existing image in the environment",
            )),
            _ => Response::ok(SelectClusterResponse::default()),
        }
    }
}
