//! Calls with a token: attached, and tried once more with a new one where the server turns it down, or after another sign-in
//! where it asks for one.

mod foreign;
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
        .map_err(|error| AuthError::Request { reason: error.to_string() })?
        .to_bytes();
    let url = Url::parse(&parts.uri.to_string())
        .map_err(|error| AuthError::Request { reason: format!("its URL: {error}") })?;
    if !parts.headers.contains_key(REQUEST_ID)
        && let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string())
    {
        parts.headers.insert(REQUEST_ID, id);
    }
    // A mistake in a caller must never carry the token elsewhere, nor to the same host in the clear.
    let call = Call { session, parts, url, body };
    if !call.is_ours() {
        return call.without_token().await;
    }

    session.greet_proxy().await?;
    if session.options().auth_type == AuthType::Passthrough {
        return call.without_token().await;
    }
    // Each remedy is tried once: what it does not help against, it would not help against for ever.
    let (mut renewed, mut stepped_up) = (false, false);
    loop {
        let Some(token) = session.token_if_asked_for().await? else {
            return call.without_token().await;
        };
        let response = match call.attempt(Some(&token)).await {
            // The login is of another control plane that was at this address.
            Err(AuthError::NoSignIn { .. }) if session.options().auth_type.is_a_persons() => {
                return call.without_token().await;
            }
            outcome => outcome?,
        };
        let (verdict, response) = verdict::of(response).await;
        let by_proxy = response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        match verdict {
            Verdict::StepUp(step_up) if stepped_up => {
                return Err(session.step_up_required(&step_up, true));
            }
            Verdict::StepUp(step_up) => {
                stepped_up = true;
                session.step_up(&token, step_up).await?;
            }
            Verdict::Accepted if !by_proxy => return foreign::judge(&call.url, response).await,
            verdict if renewed => {
                let turned_down = verdict == Verdict::TurnedDown;
                return match clock_skew(session, response.headers()).filter(|_| turned_down) {
                    Some(error) => Err(error),
                    None => foreign::judge(&call.url, response).await,
                };
            }
            verdict => {
                renewed = true;
                // A 401 does not say which token was rejected, so refresh both.
                session.forget_proxy().await;
                session.greet_proxy().await?;
                if verdict == Verdict::TurnedDown {
                    session.invalidate(&token);
                }
            }
        }
    }
}

/// One call, kept whole so that it can be sent again.
struct Call<'a> {
    session: &'a Session,
    parts: http::request::Parts,
    url: Url,
    body: Bytes,
}

impl Call<'_> {
    /// Whether it goes to the control plane itself, encrypted.
    fn is_ours(&self) -> bool {
        let endpoint = &self.session.options().endpoint;
        !endpoint.is_insecure() && self.url.origin() == endpoint.url().origin()
    }

    /// Sends the request as it is. A control plane that wants a token and has no sign-in is told as that.
    async fn without_token(&self) -> Result<Response<reqwest::Body>, AuthError> {
        let (verdict, response) = verdict::of(self.attempt(None).await?).await;
        let turned_down = verdict == Verdict::TurnedDown;
        let options = self.session.options();
        let to_control_plane = self.url.origin() == options.endpoint.url().origin();
        if turned_down && to_control_plane && self.session.has_no_sign_in().await {
            return Err(AuthError::NoSignIn { endpoint: options.endpoint.to_string() });
        }
        foreign::judge(&self.url, response).await
    }

    /// Sends the request, again where the server could not be reached or, for calls that only read, is not available.
    async fn attempt(&self, token: Option<&AccessToken>) -> Result<Response<reqwest::Body>, AuthError> {
        let mut headers = self.parts.headers.clone();
        if let Some(token) = token {
            let (name, value) = self.credentials(token).await?;
            headers.insert(name, value);
        }
        if self.session.options().auth_type == AuthType::Passthrough && self.is_ours() {
            // As the caller gives them; what it gave for this call alone comes first.
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
                // Nothing was sent, so nothing can happen twice. A refused connection stays refused: the person is told
                // at once.
                Err(error) => error.is_connect() && ConnectFailure::of(error) == ConnectFailure::TimedOut,
                Ok(response) => only_reads(&self.parts) && is_unavailable(response),
            };
            // A server that names a time is asked again then, and not before.
            let asked = sent.as_ref().ok().and_then(|response| retry_after(response.headers()));
            let too_long = asked.is_some_and(|seconds| seconds > MAX_PAUSE.as_secs());
            if !again || too_long || tried == MAX_TRIES {
                return sent.map(Response::from).map_err(|error| http.unreachable(&self.url, error));
            }
            let spread = 0.5 + f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
            tokio::time::sleep(asked.map_or(pause.mul_f64(spread), Duration::from_secs)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        Err(AuthError::Interrupted)
    }

    /// The header that carries the token: the one that discovery found, or found last time.
    async fn credentials(&self, token: &AccessToken) -> Result<(HeaderName, HeaderValue), AuthError> {
        let provider = match self.session.provider().await {
            Ok(provider) => provider,
            // A token that comes from elsewhere may be for a server that tells nothing about signing in.
            Err(
                AuthError::Discovery { .. }
                | AuthError::NoSignIn { .. }
                | AuthError::WrongEndpoint { .. }
                | AuthError::Answered { .. },
            ) if self.session.options().auth_type == AuthType::ExternalCommand => {
                return bearer(header::AUTHORIZATION, token);
            }
            Err(error) => return Err(error),
        };
        let name = HeaderName::try_from(&provider.header).map_err(|_| AuthError::Discovery {
            url: self.session.options().endpoint.url().to_string(),
            reason: "its authorization metadata key cannot be the name of a header".to_owned(),
        })?;
        bearer(name, token)
    }
}

/// The header that carries a token (RFC 6750 section 2.1).
fn bearer(name: HeaderName, token: &AccessToken) -> Result<(HeaderName, HeaderValue), AuthError> {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.secret()));
    let mut value = HeaderValue::try_from(text.as_str())
        .map_err(|_| AuthError::Request { reason: "its access token cannot stand in a header".to_owned() })?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Whether the call may be sent twice: by Flyte's naming, methods that only read begin with one of these words.
fn only_reads(parts: &http::request::Parts) -> bool {
    let method = parts.uri.path().rsplit('/').next().unwrap_or_default();
    parts.method == Method::GET
        || ["Get", "List", "UserInfo", "Watch", "Select"].iter().any(|word| method.starts_with(word))
}

/// Whether the server, or what stands in front of it, asks to try later: by HTTP status or by gRPC's in a response that is
/// trailers only.
fn is_unavailable(response: &reqwest::Response) -> bool {
    let status = response.status();
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
        || (status == StatusCode::TOO_MANY_REQUESTS && response.headers().contains_key(header::RETRY_AFTER))
        || response.headers().get("grpc-status").is_some_and(|status| status == "14")
}

/// The clocks' difference, where it is large enough to be why even a new token is turned down.
fn clock_skew(session: &Session, headers: &http::HeaderMap) -> Option<AuthError> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let server = httpdate::parse_http_date(date).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let difference = session.options().clock.now() - i64::try_from(server.as_secs()).ok()?;
    (difference.unsigned_abs() > TOLERATED_SKEW)
        .then_some(AuthError::ClockSkew { seconds: difference.unsigned_abs(), ahead: difference > 0 })
}
