//! Calls from within this process: the pages of this server read what they show by the same RPCs as every client.

use std::{convert::Infallible, sync::Arc};

use axum::body::Body;
use connectrpc::client::{BoxFuture, ClientBody, ClientTransport};
use http::{Request, Response};
use tower::ServiceExt as _;

use crate::{Services, door};
use flyte_access::Caller;

/// A transport for `connectrpc` clients that calls our own services without a connection. Each call passes the
/// [door](flyte_access::door) as `caller`, and its streams end when the caller loses access.
#[derive(Clone, Debug)]
pub struct Local {
    services: Services,
    caller: Arc<Caller>,
}

impl Local {
    pub(crate) fn new(services: Services, caller: Arc<Caller>) -> Self {
        Self { services, caller }
    }

    /// The caller.
    #[must_use]
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
}

impl ClientTransport for Local {
    type ResponseBody = Body;
    type Error = Infallible;

    fn send(
        &self,
        mut request: Request<ClientBody>,
    ) -> BoxFuture<'static, Result<Response<Body>, Infallible>> {
        let Self { services, caller } = self.clone();
        Box::pin(async move {
            let path = request.uri().path();
            if let Err(refusal) = services.entrance.access.admit(&caller, path) {
                let error = door::refuse(&services.entrance.audit, &caller, path, refusal).await;
                return Ok(error.into_http_response(request.headers()).map(Body::new));
            }
            request.extensions_mut().insert(caller);
            Ok(services.service.oneshot(request).await?.map(Body::new))
        })
    }
}
