//! Calls with a token: attached, and tried once more with a new one where the server turns it down.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use connectrpc::client::{BoxFuture, ClientBody, ClientTransport};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use reqwest::header;

use crate::{AccessToken, AuthError, ConnectFailure, Session};

/// The longest request body that is kept for a second try, in bytes.
const MAX_REQUEST: usize = 64 * 1024 * 1024;
/// How often a call is tried in all where the server cannot be reached.
const MAX_TRIES: u32 = 4;
/// The first pause between tries; each further one is twice as long, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between tries.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Clocks that differ by less are not to blame for anything, in seconds.
const TOLERATED_SKEW: u64 = 60;
/// Names the call in the server's log; the same for every try of one call.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A transport for `connectrpc` clients that sends a session's token with each call.
///
/// Over plain HTTP (`admin.insecure`) nothing is attached. The token goes to the session's endpoint only.
#[derive(Clone, Debug)]
pub struct Transport {
    session: Arc<Session>,
}

impl Transport {
    /// A transport that speaks for `session`.
    #[must_use]
    pub fn new(session: Arc<Session>) -> Self {
        Self { session }
    }
}

impl ClientTransport for Transport {
    type ResponseBody = reqwest::Body;
    /// Found again as the source of the `ConnectError` that a call fails with.
    type Error = AuthError;

    fn send(
        &self,
        request: Request<ClientBody>,
    ) -> BoxFuture<'static, Result<Response<Self::ResponseBody>, Self::Error>> {
        let session = Arc::clone(&self.session);
        Box::pin(async move { send(&session, request).await })
    }
}

async fn send(
    session: &Arc<Session>,
    request: Request<ClientBody>,
) -> Result<Response<reqwest::Body>, AuthError> {
    let (mut parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_REQUEST)
        .collect()
        .await
        .map_err(|error| AuthError::Proxy { reason: format!("the request could not be read: {error}") })?
        .to_bytes();
    if !parts.headers.contains_key(REQUEST_ID)
        && let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string())
    {
        parts.headers.insert(REQUEST_ID, id);
    }
    let endpoint = &session.options().endpoint;
    // A redirect or a mistake in a caller must never carry the token elsewhere.
    let ours = parts.uri.authority().map(http::uri::Authority::as_str)
        == Some(&endpoint.url()[url::Position::BeforeHost..url::Position::AfterPort]);
    if endpoint.is_insecure() || !ours {
        return attempt(session, &parts, &body, None).await;
    }

    let token = session.token().await?;
    let response = attempt(session, &parts, &body, Some(&token)).await?;
    if !is_unauthenticated(&response) {
        return Ok(response);
    }
    session.invalidate(&token);
    let token = session.token().await?;
    let response = attempt(session, &parts, &body, Some(&token)).await?;
    if is_unauthenticated(&response)
        && let Some(error) = clock_skew(session, response.headers())
    {
        return Err(error);
    }
    Ok(response)
}

/// Sends the request, again where the server could not be reached or, for calls that only read, is not available.
async fn attempt(
    session: &Session,
    parts: &http::request::Parts,
    body: &Bytes,
    token: Option<&AccessToken>,
) -> Result<Response<reqwest::Body>, AuthError> {
    let mut headers = parts.headers.clone();
    if let Some(token) = token {
        let provider = session.provider().await?;
        let unusable = |what: &str| AuthError::Discovery {
            url: session.options().endpoint.url().to_string(),
            reason: format!("its {what} cannot stand in a header"),
        };
        let name =
            HeaderName::try_from(&provider.header).map_err(|_| unusable("authorization metadata key"))?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.secret()))
            .map_err(|_| unusable("access token"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let url = url::Url::parse(&parts.uri.to_string())
        .map_err(|error| AuthError::Proxy { reason: error.to_string() })?;
    let mut pause = FIRST_PAUSE;
    for tried in 1.. {
        let sent = session
            .http()?
            .request(parts.method.clone(), url.clone())
            .headers(headers.clone())
            .body(body.clone())
            .send()
            .await;
        let again = match &sent {
            // Nothing was sent, so nothing can happen twice. A refused connection stays refused: the person is told at once.
            Err(error) => error.is_connect() && ConnectFailure::of(error) == ConnectFailure::TimedOut,
            Ok(response) => only_reads(parts) && is_unavailable(response.status()),
        };
        if !again || tried == MAX_TRIES {
            return sent.map(Response::from).map_err(|error| AuthError::unreachable(&url, error));
        }
        let spread = 0.5 + f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
        tokio::time::sleep(pause.mul_f64(spread)).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
    Err(AuthError::Interrupted)
}

/// Whether the call may be sent twice: by Flyte's naming, methods that only read begin with one of these words.
fn only_reads(parts: &http::request::Parts) -> bool {
    let method = parts.uri.path().rsplit('/').next().unwrap_or_default();
    parts.method == Method::GET
        || ["Get", "List", "UserInfo", "Watch", "Select"].iter().any(|word| method.starts_with(word))
}

fn is_unavailable(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// Whether the server turned the token down: HTTP 401 (also how the Connect protocol says it), or gRPC's status 16 in a
/// response that is trailers only.
fn is_unauthenticated<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        || response.headers().get("grpc-status").is_some_and(|status| status == "16")
}

/// The clocks' difference, where it is large enough to be why even a new token is turned down.
fn clock_skew(session: &Session, headers: &http::HeaderMap) -> Option<AuthError> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let server = httpdate::parse_http_date(date).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let difference = session.options().clock.now() - i64::try_from(server.as_secs()).ok()?;
    (difference.unsigned_abs() > TOLERATED_SKEW)
        .then_some(AuthError::ClockSkew { seconds: difference.unsigned_abs(), ahead: difference > 0 })
}
