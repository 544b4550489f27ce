//! Limits the number of open streams of all services, and ends a stream when its caller loses access.

use std::sync::Arc;

use connectrpc::{
    ConnectError, Interceptor,
    interceptor::{NextStream, PayloadStream, StreamRequest, StreamResponse},
};
use futures_util::{StreamExt as _, stream};

use crate::{Entrance, caller};
use flyte_access::{Caller, OpenStream, StreamEnd, TooManyStreams};

/// Rejects streams above the limits, and ends each stream in its protocol as soon as the caller loses access.
pub(crate) struct Guard {
    entrance: Arc<Entrance>,
}

impl Guard {
    pub(crate) fn new(entrance: Arc<Entrance>) -> Self {
        Self { entrance }
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
        let open = self.entrance.access.open_stream(caller, request.ctx.headers());
        let open = open.map_err(|why| limit_error(why, caller))?;
        let response = next.run(request, inbound).await?;
        Ok(response.map_body(|body| guarded(body, open)))
    }
}

/// The messages of `body` until `open` ends. No message is sent after that, even if it was ready before.
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

fn limit_error(why: TooManyStreams, caller: &Caller) -> ConnectError {
    tracing::warn!(subject = %caller.subject, "a stream was rejected: {why}");
    ConnectError::resource_exhausted(why.to_string())
}

fn error(why: StreamEnd) -> ConnectError {
    match why {
        StreamEnd::Unauthenticated(_) => ConnectError::unauthenticated(why.to_string()),
        StreamEnd::Unchecked => ConnectError::unavailable(why.to_string()),
    }
}
