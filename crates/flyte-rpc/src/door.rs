//! Checks every request message at the [door](flyte_access::door) before a service gets it, in every protocol.

use std::sync::Arc;

use connectrpc::{
    CodecFormat, ConnectError, ErrorDetail, Interceptor, Payload, RequestContext,
    interceptor::{
        Next, NextStream, PayloadStream, StreamRequest, StreamResponse, UnaryRequest, UnaryResponse,
    },
};
use futures_util::StreamExt as _;

use crate::{Entrance, error::denied, is_anonymous};
use flyte_access::{
    Caller,
    door::{Door, ERROR_INFO, Message, Refusal},
    policy::Denied,
};
use flyte_audit::Audit;

/// Checks each request message after decompression and before decoding.
#[derive(Clone)]
pub(crate) struct Doorkeeper {
    entrance: Arc<Entrance>,
}

impl Doorkeeper {
    pub(crate) fn new(entrance: Arc<Entrance>) -> Self {
        Self { entrance }
    }

    async fn pass(&self, context: &RequestContext, payload: &Payload) -> Result<(), ConnectError> {
        let path = context.path().unwrap_or_default();
        // These methods say how to get a token, so they have no caller.
        if is_anonymous(path) {
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
        match Door::published().pass(caller, path, message, &*self.entrance.storage) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refuse(&self.entrance.audit, caller, path, refusal).await),
        }
    }
}

/// The caller, which authentication has added.
///
/// # Errors
/// `unauthenticated` if the call has none.
pub fn caller(context: &RequestContext) -> Result<&Arc<Caller>, ConnectError> {
    context
        .extensions()
        .get::<Arc<Caller>>()
        .ok_or_else(|| ConnectError::unauthenticated("this call needs an access token"))
}

/// Returns the verdict on a call as an error in the caller's protocol. A denial is recorded in the audit log.
///
/// # Errors
/// `permission_denied`, or `unauthenticated` with a challenge if a recent sign-in is missing (RFC 9470).
pub async fn allow(
    audit: &Audit,
    context: &RequestContext,
    verdict: Result<(), Denied>,
) -> Result<(), ConnectError> {
    match verdict {
        Ok(()) => Ok(()),
        Err(denied) => {
            let path = context.path().unwrap_or_default();
            Err(refuse(audit, caller(context)?, path, denied.into()).await)
        }
    }
}

/// The error for a rejected call, with the rule that decided as a detail. A denial is recorded in the audit log.
pub(crate) async fn refuse(audit: &Audit, caller: &Caller, path: &str, refusal: Refusal) -> ConnectError {
    refusal.record(audit, caller, path).await;
    let info = ErrorDetail::from_message(ERROR_INFO, &refusal.error_info(path));
    let error = match refusal {
        Refusal::Denied(reason) => denied(reason),
        Refusal::NotFound { message, .. } => ConnectError::not_found(message),
        Refusal::Invalid(message) | Refusal::Malformed(message) => ConnectError::invalid_argument(message),
        refusal @ Refusal::Unknown(_) => ConnectError::unimplemented(refusal.to_string()),
    };
    error.with_detail(info)
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
