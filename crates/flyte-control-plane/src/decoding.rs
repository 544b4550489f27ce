//! What decoding a request may cost.

use connectrpc::{
    ConnectError, Interceptor, RequestContext,
    interceptor::{
        Next, NextStream, PayloadStream, StreamRequest, StreamResponse, UnaryRequest, UnaryResponse,
    },
};
use futures_util::StreamExt as _;

/// The most fields of a request that we do not know, such as those of newer clients. Two bytes make one, which takes forty
/// once decoded, and a mebibyte of them comes in a kibibyte of gzip.
const UNKNOWN_FIELDS: usize = 10_000;

/// Holds the decoder of every request to [`UNKNOWN_FIELDS`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Frugal;

fn frugal(context: RequestContext) -> RequestContext {
    let options = context.decode_options().clone().with_unknown_field_limit(UNKNOWN_FIELDS);
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
