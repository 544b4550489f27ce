//! Limits the cost of decoding a request.

use connectrpc::{
    ConnectError, Interceptor, RequestContext,
    interceptor::{
        Next, NextStream, PayloadStream, StreamRequest, StreamResponse, UnaryRequest, UnaryResponse,
    },
};
use futures_util::StreamExt as _;

/// The most unknown fields of a request, for example from newer clients. An unknown field of 2 bytes takes 40 bytes after
/// decoding, and 1 KiB of gzip can hold 1 MiB of such fields.
const MAX_UNKNOWN_FIELDS: usize = 10_000;

/// Limits the unknown fields of every request to [`MAX_UNKNOWN_FIELDS`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frugal;

fn frugal(context: RequestContext) -> RequestContext {
    let options = context.decode_options().clone().with_unknown_field_limit(MAX_UNKNOWN_FIELDS);
    context.with_decode_options(options)
}

#[connectrpc::async_trait]
impl Interceptor for Frugal {
    async fn intercept_unary(
        &self,
        mut request: UnaryRequest,
        next: Next<'_>,
    ) -> Result<UnaryResponse, ConnectError> {
        request.ctx = frugal(request.ctx);
        request.payload = request.payload.with_decode_options(request.ctx.decode_options().clone());
        next.run(request).await
    }

    async fn intercept_streaming(
        &self,
        mut request: StreamRequest,
        inbound: PayloadStream,
        next: NextStream<'_>,
    ) -> Result<StreamResponse, ConnectError> {
        request.ctx = frugal(request.ctx);
        let options = request.ctx.decode_options().clone();
        let inbound =
            inbound.map(move |payload| payload.map(|payload| payload.with_decode_options(options.clone())));
        next.run(request, Box::pin(inbound)).await
    }
}
