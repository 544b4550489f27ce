//! The device authorization grant (RFC 8628): the person signs in with a code, in a browser on any device.
//!
//! The polling loop is separate from HTTP, so that tests of intervals, backoff and expiry do not wait.

#[cfg(test)]
mod tests;

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{self, Instant};
use url::Url;

use super::{submit, token_request};
use crate::{
    AuthError, Interaction, StepUp,
    answer::{Members, Unusable},
    discovery::Provider,
    http::Http,
    oauth::{ClientId, GrantType, Scope},
    token::{TokenResponse, clean},
};

/// The pause between two polls if the server names none (RFC 8628 section 3.2).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// The time that `slow_down` adds to the pause (RFC 8628 section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest pause while the server cannot be reached.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The error of a server that demands a number. An extension of this project's server.
const NUMBER_REQUIRED: &str = "number_matching_required";
/// The lifetime of a code if the server names none.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// The longest lifetime of a code; a longer one is cut to this.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The link and the code with which the person signs in on another device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCode {
    /// The link, including the code.
    pub url: Url,
    /// The page on which the code can be typed in (`verification_uri`).
    pub verification_uri: Url,
    /// The code.
    pub user_code: String,
    /// The number that the page asks for, if it does.
    pub number: Option<String>,
    /// The lifetime of the code, from now.
    pub expires_in: Duration,
}

/// A device authorization response (RFC 8628 section 3.2).
#[derive(Debug)]
struct Authorization {
    device_code: SecretString,
    shown: DeviceCode,
    interval: Duration,
}

/// The outcome of one code.
enum Outcome {
    Tokens(TokenResponse),
    /// The code cannot be used any more, for this reason. A new code may work.
    Ended(&'static str),
}

/// The two requests of the flow.
trait Server {
    async fn authorize(&self) -> Result<Authorization, AuthError>;
    async fn poll(&self, device_code: &SecretString) -> Result<TokenResponse, AuthError>;
}

/// Signs the person in and returns their tokens. With `match_number`, the page asks for a number that this device shows; a server
/// that demands this gets it without. Nothing is stored before that, so a process that ends early leaves behind only a
/// code that expires.
///
/// # Errors
/// [`AuthError::NoDeviceFlow`], [`AuthError::AccessDenied`], [`AuthError::CodeEnded`] if the person wants no new code, and the
/// errors of any token request. Network failures are not an error while the code is valid.
pub async fn sign_in(
    http: &Http,
    provider: &Provider,
    interaction: &dyn Interaction,
    step_up: &StepUp,
    match_number: bool,
) -> Result<TokenResponse, AuthError> {
    run(&Remote { match_number, ..Remote::new(http, provider, step_up)? }, interaction).await
}

async fn run(server: &impl Server, interaction: &dyn Interaction) -> Result<TokenResponse, AuthError> {
    loop {
        let authorization = server.authorize().await?;
        interaction.device_code(&authorization.shown);
        match poll(server, &authorization, interaction).await? {
            Outcome::Tokens(tokens) => {
                interaction.done();
                return Ok(tokens);
            }
            Outcome::Ended(reason) if interaction.new_code(reason).await => {}
            Outcome::Ended(reason) => return Err(AuthError::CodeEnded { reason }),
        }
    }
}

/// Polls until the tokens arrive or the code ends (RFC 8628 section 3.5).
async fn poll(
    server: &impl Server,
    authorization: &Authorization,
    interaction: &dyn Interaction,
) -> Result<Outcome, AuthError> {
    const EXPIRED: &str = "the code expired before it was approved";
    let deadline = Instant::now() + authorization.shown.expires_in;
    let mut interval = authorization.interval;
    let mut pause = interval;
    let mut unanswered = false;
    loop {
        let next = Instant::now() + pause;
        countdown(next.min(deadline), deadline, interaction).await;
        if next >= deadline {
            return Ok(Outcome::Ended(EXPIRED));
        }
        let error = match server.poll(&authorization.device_code).await {
            Ok(tokens) => return Ok(Outcome::Tokens(tokens)),
            Err(error) => error,
        };
        let AuthError::Refused { code, description } = error else {
            match error {
                // The network or an intermediary failed, and the code is still valid. Poll less often meanwhile.
                AuthError::Unreachable { .. } | AuthError::BadAnswer { .. } | AuthError::Busy { .. } => {
                    tracing::debug!(%error, "cannot ask the server whether the code was approved");
                    unanswered = true;
                    pause = (pause * 2).clamp(interval, MAX_BACKOFF.max(interval));
                    continue;
                }
                other => return Err(other),
            }
        };
        match code.as_str() {
            "authorization_pending" => {}
            "slow_down" => interval += SLOW_DOWN,
            "temporarily_unavailable" | "server_error" => {}
            "access_denied" => return Err(AuthError::AccessDenied { description }),
            "expired_token" => return Ok(Outcome::Ended(EXPIRED)),
            // A code yields one answer. If that answer was lost, the tokens are lost with it.
            "invalid_grant" if unanswered => {
                return Ok(Outcome::Ended("the code was approved, but the server's answer to that was lost"));
            }
            "invalid_grant" => return Ok(Outcome::Ended("the server no longer knows the code")),
            _ => return Err(AuthError::Refused { code, description }),
        }
        pause = interval;
    }
}

/// Waits until `next`, and reports once a second how much time is left.
async fn countdown(next: Instant, deadline: Instant, interaction: &dyn Interaction) {
    loop {
        let now = Instant::now();
        interaction.code_expires_in(deadline.saturating_duration_since(now));
        if now >= next {
            return;
        }
        time::sleep_until(next.min(now + Duration::from_secs(1))).await;
    }
}

struct Remote<'a> {
    http: &'a Http,
    provider: &'a Provider,
    endpoint: &'a Url,
    client_id: &'a ClientId,
    step_up: &'a StepUp,
    match_number: bool,
}

impl<'a> Remote<'a> {
    fn new(http: &'a Http, provider: &'a Provider, step_up: &'a StepUp) -> Result<Self, AuthError> {
        let endpoint = provider.device_authorization_endpoint()?;
        Ok(Self { http, provider, endpoint, client_id: provider.client_id()?, step_up, match_number: false })
    }
}

impl Remote<'_> {
    /// Requests a code; `with_number` asks for a number to show with it. Only a server of this project knows that parameter, so it is
    /// sent only if the person or the server wants it.
    async fn request(&self, with_number: bool) -> Result<Authorization, AuthError> {
        let scope = Scope::join(&self.provider.scopes);
        let mut form = vec![("client_id", self.client_id.as_str())];
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        if let Some(audience) = &self.provider.audience {
            form.push(("audience", audience));
        }
        // RFC 8628 does not define these parameters. A server that does not know them ignores them (RFC 6749 section 3.2).
        let step_up: Vec<_> = self.step_up.parameters().collect();
        form.extend(step_up.iter().map(|(name, value)| (*name, value.as_str())));
        if with_number {
            form.push(("number_matching", "true"));
        }
        let answer = submit(None, self.http, self.endpoint, &form).await?;
        let authorization = parse(self.endpoint, answer.status, &answer.body)
            .map_err(|error| answer.error(self.endpoint, error))?;
        if with_number && authorization.shown.number.is_none() {
            let reason = "it has no matching_number: this server does not match numbers".to_owned();
            return Err(AuthError::BadAnswer { url: self.endpoint.to_string(), reason });
        }
        Ok(authorization)
    }
}

impl Server for Remote<'_> {
    async fn authorize(&self) -> Result<Authorization, AuthError> {
        match self.request(self.match_number).await {
            Err(AuthError::Refused { code, .. }) if code == NUMBER_REQUIRED && !self.match_number => {
                self.request(true).await
            }
            outcome => outcome,
        }
    }

    async fn poll(&self, device_code: &SecretString) -> Result<TokenResponse, AuthError> {
        let form = [("device_code", device_code.expose_secret()), ("client_id", self.client_id.as_str())];
        token_request(self.http, self.provider, GrantType::DeviceCode, &form).await
    }
}

/// The lifetime of this server's codes. Requests a code, which is not used and expires.
///
/// # Errors
/// The errors of the first request of [`sign_in`].
pub async fn code_lifetime(http: &Http, provider: &Provider) -> Result<Duration, AuthError> {
    let step_up = StepUp::default();
    let remote = Remote::new(http, provider, &step_up)?;
    Ok(remote.authorize().await?.shown.expires_in)
}

/// Reads the answer of a device authorization endpoint. No error message holds a secret.
fn parse(endpoint: &Url, status: u16, body: &[u8]) -> Result<Authorization, AuthError> {
    let bad = |reason: String| AuthError::BadAnswer { url: endpoint.to_string(), reason };
    // The errors have the form of a token endpoint's (RFC 8628 section 3.2).
    let refused = || match TokenResponse::parse(endpoint.as_str(), status, body) {
        Err(error @ AuthError::Refused { .. }) => Some(error),
        Err(error) if !(200..300).contains(&status) => Some(error),
        _ => None,
    };
    let answer = match Members::parse(body) {
        Ok(answer) if (200..300).contains(&status) => answer,
        Ok(_) => return Err(refused().unwrap_or_else(|| bad(format!("HTTP status {status}")))),
        Err(found) => return Err(refused().unwrap_or_else(|| bad(format!("it is {found}")))),
    };
    let missing = |name: &str| {
        refused().unwrap_or_else(|| bad(format!("it has no {name}: it is {}", answer.describe())))
    };
    let unusable = |error: Unusable| bad(error.to_string());
    let device_code = answer.secret(&["device_code"]).map_err(unusable)?;
    let device_code = device_code.ok_or_else(|| missing("device_code"))?;
    let user_code = answer.text(&["user_code"]).map_err(unusable)?.ok_or_else(|| missing("user_code"))?;
    let user_code = clean(user_code.trim());
    if user_code.is_empty() || user_code.len() > 100 {
        return Err(bad(format!("its user_code has {} characters", user_code.len())));
    }
    let number = answer.text(&["matching_number"]).map_err(unusable)?.map(|number| clean(number.trim()));
    if let Some(number) = number.as_ref().filter(|number| number.is_empty() || number.len() > 10) {
        return Err(bad(format!("its matching_number has {} characters", number.len())));
    }
    // Only web pages are accepted, because the person opens the URL. The second name is older than the RFC.
    let verification_uri = answer.url(&["verification_uri", "verification_url"]).map_err(unusable)?;
    let verification_uri = verification_uri.ok_or_else(|| missing("verification_uri"))?;
    let complete = ["verification_uri_complete", "verification_url_complete"];
    let url = answer.url(&complete).ok().flatten().unwrap_or_else(|| {
        let mut complete = verification_uri.clone();
        complete.query_pairs_mut().append_pair("user_code", &user_code);
        complete
    });
    let seconds = |name, default: Duration| match answer.number(&[name]).ok().flatten() {
        Some(value) if value >= 0.0 => Duration::from_secs_f64(value.min(MAX_LIFETIME.as_secs_f64())),
        _ => default,
    };
    Ok(Authorization {
        device_code,
        interval: seconds("interval", DEFAULT_INTERVAL).max(Duration::from_secs(1)),
        shown: DeviceCode {
            url,
            verification_uri,
            user_code,
            number,
            expires_in: seconds("expires_in", DEFAULT_LIFETIME),
        },
    })
}
