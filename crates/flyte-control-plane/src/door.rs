//! Checks every request message at the [door](flyte_access::door) before a service gets it, in every protocol.

use std::sync::Arc;

use connectrpc::{
    CodecFormat, ConnectError, Interceptor, Payload, RequestContext,
    interceptor::{
        Next, NextStream, PayloadStream, StreamRequest, StreamResponse, UnaryRequest, UnaryResponse,
    },
};
use futures_util::StreamExt as _;

use super::{caller, denied};
use crate::ControlPlane;
use flyte_access::{
    Caller,
    door::{Door, Location, Message, Refusal, RequiredScope, Storage, locate_below},
};
use flyte_audit::{Audit, Detail, Event, Kind};
use flyte_objects::Objects;

/// Locates objects for the door.
struct Store<'a>(&'a Objects);

impl Storage for Store<'_> {
    fn locate<'u>(&self, uri: &'u [u8]) -> Location<'u> {
        self.0.below(uri).map_or(Location::Outside, locate_below)
    }
}

/// Checks each request message after decompression and before decoding.
#[derive(Clone)]
pub(super) struct Doorkeeper {
    plane: Arc<ControlPlane>,
}

impl Doorkeeper {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }

    async fn pass(&self, context: &RequestContext, payload: &Payload) -> Result<(), ConnectError> {
        let (door, path) = (Door::published(), context.path().unwrap_or_default());
        // These methods say how to get a token, so they have no caller.
        if door.rpc(path).is_some_and(|rpc| rpc.scope == RequiredScope::None) {
            return Ok(());
        }
        let caller = caller(context)?;
        let message = match payload.format() {
            CodecFormat::Proto => Message::Binary(payload.bytes()),
            CodecFormat::Json => Message::Json(payload.bytes()),
            _ => {
                return Err(ConnectError::unimplemented("requests are read as protobuf or as its JSON form"));
            }
        };
        match door.pass(caller, path, message, &Store(&self.plane.objects)) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refuse(&self.plane.audit, caller, path, refusal).await),
        }
    }
}

/// The error for a rejected call. A denial is recorded in the audit log.
pub(super) async fn refuse(audit: &Audit, caller: &Caller, path: &str, refusal: Refusal) -> ConnectError {
    let event =
        || Event::new(Kind::CallDenied).subject(&caller.subject).client(&caller.client_id).object(path);
    match refusal {
        Refusal::Denied(reason) => {
            audit.record(event().detail(Detail::Reason, &reason)).await;
            denied(reason)
        }
        Refusal::NotFound { message, project, domain } => {
            let mut event = event().detail(Detail::Reason, "outside of the caller's project and domain");
            for (detail, value) in [(Detail::Project, project), (Detail::Domain, domain)] {
                if !value.is_empty() {
                    event = event.detail(detail, value);
                }
            }
            audit.record(event).await;
            ConnectError::not_found(message)
        }
        Refusal::Invalid(message) | Refusal::Malformed(message) => ConnectError::invalid_argument(message),
        refusal @ Refusal::Unknown(_) => ConnectError::unimplemented(refusal.to_string()),
    }
}

#[connectrpc::async_trait]
impl Interceptor for Doorkeeper {
    async fn intercept_unary(
        &self,
        request: UnaryRequest,
        next: Next<'_>,
    ) -> Result<UnaryResponse, ConnectError> {
        self.pass(&request.ctx, &request.payload).await?;
        next.run(request).await
    }

    /// Ends a stream of requests at the first rejected message.
    async fn intercept_streaming(
        &self,
        request: StreamRequest,
        inbound: PayloadStream,
        next: NextStream<'_>,
    ) -> Result<StreamResponse, ConnectError> {
        let (door, context) = (self.clone(), request.ctx.clone());
        let inbound = inbound.then(move |payload| {
            let (door, context) = (door.clone(), context.clone());
            async move {
                let payload = payload?;
                door.pass(&context, &payload).await?;
                Ok(payload)
            }
        });
        next.run(request, Box::pin(inbound)).await
    }
}
