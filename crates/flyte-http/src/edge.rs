//! Facts about a request that are known before it is handled: the client, the identifier, the line in the log.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderName, Response, header},
    middleware::Next,
};
use tower_http::{
    classify::{ServerErrorsAsFailures, SharedClassifier},
    trace::{MakeSpan, OnResponse, TraceLayer},
};
use tracing::Span;

use flyte_model::{ClientAddr, Network};

/// Identifies a request in the logs of all systems that it passes.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request identifier that is accepted from a client, in bytes.
const REQUEST_ID_LENGTH: usize = 128;

/// Adds [`ClientAddr`], and removes a request identifier that is not suitable for a log.
pub async fn identify(
    State(trusted_proxies): State<Arc<[Network]>>,
    mut request: Request,
    next: Next,
) -> axum::response::Response {
    let acceptable =
        |id: &[u8]| !id.is_empty() && id.len() <= REQUEST_ID_LENGTH && id.iter().all(u8::is_ascii_graphic);
    if request.headers().get(&REQUEST_ID).is_some_and(|id| !acceptable(id.as_bytes())) {
        request.headers_mut().remove(&REQUEST_ID);
    }
    let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() else {
        return next.run(request).await;
    };
    let client = ClientAddr::of(peer.ip(), request.headers(), &trusted_proxies);
    request.extensions_mut().insert(client);
    client.answer(next.run(request)).await
}

/// Creates a span for each request, and a line of the log for each response. They contain neither the query nor
/// headers, because those carry codes and tokens.
#[must_use]
pub fn trace() -> TraceLayer<SharedClassifier<ServerErrorsAsFailures>, RequestSpan, (), Answered, (), (), ()>
{
    TraceLayer::new_for_http()
        .make_span_with(RequestSpan)
        .on_request(())
        .on_response(Answered)
        .on_body_chunk(())
        .on_eos(())
        .on_failure(())
}

/// Creates the span of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestSpan;

impl<B> MakeSpan<B> for RequestSpan {
    fn make_span(&mut self, request: &axum::http::Request<B>) -> Span {
        let client = request.extensions().get::<ClientAddr>().map(|client| client.0.to_string());
        let id = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
        tracing::info_span!(
            "request",
            method = %request.method(),
            path = request.uri().path(),
            client,
            id,
        )
    }
}

/// Writes the line of the log for a response.
#[derive(Clone, Copy, Debug)]
pub struct Answered;

impl OnResponse<Body> for Answered {
    fn on_response(self, response: &Response<Body>, latency: Duration, _: &Span) {
        let (status, milliseconds) = (response.status().as_u16(), latency.as_millis());
        if response.status().is_server_error() {
            tracing::warn!(status, milliseconds, "answered");
        } else {
            tracing::debug!(status, milliseconds, "answered");
        }
    }
}

/// Instructs browsers to use only encrypted connections to this host (RFC 6797), for two years.
pub const STRICT_TRANSPORT_SECURITY: (HeaderName, &str) =
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000");
