//! What every stream of the control plane passes, whatever service it is of: there are so many at a time, and each
//! ends with its caller's rights.

use std::sync::Arc;

use connectrpc::{
    ConnectError, Interceptor,
    interceptor::{NextStream, PayloadStream, StreamRequest, StreamResponse},
};
use futures_util::{StreamExt as _, stream};

use super::caller;
use crate::ControlPlane;
use flyte_access::{Caller, OpenStream, StreamEnd, TooManyStreams};

/// Refuses streams beyond the limits and ends each, in its own protocol, as soon as its caller would no longer be let in.
pub(super) struct Guard {
    plane: Arc<ControlPlane>,
}

impl Guard {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }
}

#[connectrpc::async_trait]
impl Interceptor for Guard {
    async fn intercept_streaming(
        &self,
        request: StreamRequest,
        inbound: PayloadStream,
        next: NextStream<'_>,
    ) -> Result<StreamResponse, ConnectError> {
        let caller = caller(&request.ctx)?;
        let open = self.plane.access.open_stream(caller, request.ctx.headers());
        let open = open.map_err(|why| refused(why, caller))?;
        let response = next.run(request, inbound).await?;
        Ok(response.map_body(|body| guarded(body, open)))
    }
}

/// The messages of `body` up to the end of `open`. Nothing is told after that, even if it has been there before.
fn guarded(body: PayloadStream, open: OpenStream) -> PayloadStream {
    Box::pin(stream::unfold(Some((body, open)), |rest| async {
        let (mut body, mut open) = rest?;
        let message = tokio::select! {
            biased;
            why = open.ended() => Err(why),
            message = body.next() => Ok(message?),
        };
        match message {
            Ok(message) => Some((message, Some((body, open)))),
            Err(why) => Some((Err(error(why)), None)),
        }
    }))
}

fn refused(why: TooManyStreams, caller: &Caller) -> ConnectError {
    tracing::warn!(subject = %caller.subject, "a stream was refused: {why}");
    ConnectError::resource_exhausted(why.to_string())
}

fn error(why: StreamEnd) -> ConnectError {
    match why {
        StreamEnd::Unauthenticated(_) => ConnectError::unauthenticated(why.to_string()),
        StreamEnd::Unchecked => ConnectError::unavailable(why.to_string()),
    }
}
