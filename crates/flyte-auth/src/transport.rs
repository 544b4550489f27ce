//! Sends calls with a token. If the server rejects the token, the call is sent once more with a new one. If the server requires
//! another sign-in, the call is sent once more after that.

mod intermediary;
mod verdict;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use connectrpc::client::{BoxFuture, ClientBody, ClientTransport};
use flyte_config::AuthType;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use reqwest::header;
use url::Url;

use self::verdict::Verdict;
use crate::{AccessToken, AuthError, ConnectFailure, Session, answer::retry_after};

/// The longest request body that is kept for a second try, in bytes.
const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;
/// The number of tries of a call if the server cannot be reached.
const MAX_TRIES: u32 = 4;
/// The first pause between tries. Each further pause is twice as long, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between tries.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// The clock difference up to which a rejected token has another cause, in seconds.
const TOLERATED_SKEW_SECONDS: u64 = 60;
/// Identifies the call in the server's log. All tries of a call have the same ID.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A transport for `connectrpc` clients that sends a session's token with each call.
///
/// Over plain HTTP (`admin.insecure`) it sends no token. The token goes to the session's endpoint only.
#[derive(Clone, Debug)]
pub struct Transport {
    session: Arc<Session>,
}

impl Transport {
    /// Creates a transport that sends the tokens of `session`.
    #[must_use]
    pub fn new(session: Arc<Session>) -> Self {
        Self { session }
    }
}

impl ClientTransport for Transport {
    type ResponseBody = reqwest::Body;
    /// The source of the `ConnectError` of a failed call.
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
    let body = Limited::new(body, MAX_REQUEST_BYTES)
        .collect()
        .await
        .map_err(|error| AuthError::Request { reason: error.to_string() })?
        .to_bytes();
    let url = Url::parse(&parts.uri.to_string())
        .map_err(|error| AuthError::Request { reason: format!("its URL: {error}") })?;
    if !parts.headers.contains_key(REQUEST_ID)
        && let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string())
    {
        parts.headers.insert(REQUEST_ID, id);
    }
    // Even if a caller uses a wrong URL, the token must not go to another server, or to the same host unencrypted.
    let call = Call { session, parts, url, body };
    if !call.goes_to_endpoint() {
        return call.send_without_token().await;
    }

    session.authenticate_to_proxy().await?;
    if session.options().auth_type == AuthType::Passthrough {
        return call.send_without_token().await;
    }
    // Each remedy is tried once: if it does not help the first time, it never does.
    let (mut renewed, mut stepped_up) = (false, false);
    loop {
        let Some(token) = session.token_if_required().await? else {
            return call.send_without_token().await;
        };
        let response = match call.attempt(Some(&token)).await {
            // The stored login belongs to another control plane that used this address before.
            Err(AuthError::NoSignIn { .. }) if session.options().auth_type.is_for_people() => {
                return call.send_without_token().await;
            }
            outcome => outcome?,
        };
        let (verdict, response) = verdict::read(response).await;
        let by_proxy = response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        match verdict {
            Verdict::StepUp(step_up) if stepped_up => {
                return Err(session.step_up_required(&step_up, true));
            }
            Verdict::StepUp(step_up) => {
                stepped_up = true;
                session.step_up(&token, step_up).await?;
            }
            Verdict::Accepted if !by_proxy => return intermediary::check(&call.url, response).await,
            verdict if renewed => {
                let rejected = verdict == Verdict::Rejected;
                return match clock_skew(session, response.headers()).filter(|_| rejected) {
                    Some(error) => Err(error),
                    None => intermediary::check(&call.url, response).await,
                };
            }
            verdict => {
                renewed = true;
                // A 401 does not say which token was rejected, so refresh both.
                session.forget_proxy_token().await;
                session.authenticate_to_proxy().await?;
                if verdict == Verdict::Rejected {
                    session.invalidate(&token);
                }
            }
        }
    }
}

/// A call, which can be sent several times.
struct Call<'a> {
    session: &'a Session,
    parts: http::request::Parts,
    url: Url,
    body: Bytes,
}

impl Call<'_> {
    /// Whether the call goes to the control plane over TLS.
    fn goes_to_endpoint(&self) -> bool {
        let endpoint = &self.session.options().endpoint;
        !endpoint.is_insecure() && self.url.origin() == endpoint.url().origin()
    }

    /// Sends the call without a token. If the control plane requires a token but has no sign-in, that is an error of its own.
    async fn send_without_token(&self) -> Result<Response<reqwest::Body>, AuthError> {
        let (verdict, response) = verdict::read(self.attempt(None).await?).await;
        let rejected = verdict == Verdict::Rejected;
        let options = self.session.options();
        let to_control_plane = self.url.origin() == options.endpoint.url().origin();
        if rejected && to_control_plane && self.session.has_no_sign_in().await {
            return Err(AuthError::NoSignIn { endpoint: options.endpoint.to_string() });
        }
        intermediary::check(&self.url, response).await
    }

    /// Sends the call. Sends it again if the server cannot be reached or, for read-only calls, if it is unavailable.
    async fn attempt(&self, token: Option<&AccessToken>) -> Result<Response<reqwest::Body>, AuthError> {
        let mut headers = self.parts.headers.clone();
        if let Some(token) = token {
            let (name, value) = self.session.header(token).await?;
            headers.insert(name, value);
        }
        if self.session.options().auth_type == AuthType::Passthrough && self.goes_to_endpoint() {
            // The headers of this call take precedence over those of the session.
            for (name, value) in &self.session.options().credentials.headers {
                if !self.parts.headers.contains_key(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        let mut pause = FIRST_PAUSE;
        let http = self.session.http()?;
        for tried in 1.. {
            let sent = http
                .request(self.parts.method.clone(), self.url.clone())?
                .headers(headers.clone())
                .body(self.body.clone())
                .send()
                .await;
            let again = match &sent {
                // Nothing was sent, so the call cannot happen twice. A refused connection is reported at once.
                Err(error) => error.is_connect() && ConnectFailure::of(error) == ConnectFailure::TimedOut,
                Ok(response) => is_read_only(&self.parts) && is_unavailable(response),
            };
            // If the server names a time, do not try before that.
            let retry_after = sent.as_ref().ok().and_then(|response| retry_after(response.headers()));
            let too_long = retry_after.is_some_and(|seconds| seconds > MAX_PAUSE.as_secs());
            if !again || too_long || tried == MAX_TRIES {
                return sent.map(Response::from).map_err(|error| http.unreachable(&self.url, error));
            }
            let spread = 0.5 + f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
            tokio::time::sleep(retry_after.map_or(pause.mul_f64(spread), Duration::from_secs)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        Err(AuthError::Interrupted)
    }
}

/// The prefixes of Flyte's read-only methods, which may be sent twice.
const READ_ONLY_PREFIXES: [&str; 5] = ["Get", "List", "UserInfo", "Watch", "Select"];

fn is_read_only(parts: &http::request::Parts) -> bool {
    let method = parts.uri.path().rsplit('/').next().unwrap_or_default();
    parts.method == Method::GET || READ_ONLY_PREFIXES.iter().any(|prefix| method.starts_with(prefix))
}

/// Whether the server or an intermediary asks to try later, by the HTTP status or by the gRPC status of a trailers-only response.
fn is_unavailable(response: &reqwest::Response) -> bool {
    let status = response.status();
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
        || (status == StatusCode::TOO_MANY_REQUESTS && response.headers().contains_key(header::RETRY_AFTER))
        || response.headers().get("grpc-status").is_some_and(|status| status == "14")
}

/// The error for the clock difference, if the difference is large enough to explain why a new token is rejected.
fn clock_skew(session: &Session, headers: &http::HeaderMap) -> Option<AuthError> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let server = httpdate::parse_http_date(date).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let difference = session.options().clock.now() - i64::try_from(server.as_secs()).ok()?;
    (difference.unsigned_abs() > TOLERATED_SKEW_SECONDS)
        .then_some(AuthError::ClockSkew { seconds: difference.unsigned_abs(), ahead: difference > 0 })
}
