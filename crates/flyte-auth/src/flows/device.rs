//! The device authorization grant (RFC 8628): the person signs in by a browser on any device, with a code.
//!
//! The loop is separate from HTTP: what time does to it (intervals, backoff, expiry) is tested without any waiting.

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
    token::{TokenResponse, clean},
};

/// RFC 8628 section 3.4.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The pause between two polls where the server names none (RFC 8628 section 3.2).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// What `slow_down` adds (RFC 8628 section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest pause while the server cannot be reached.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The life of a code where the server names none.
const DEFAULT_LIFE: Duration = Duration::from_secs(600);
/// The longest life of a code that is believed.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// What the person needs in order to sign in on another device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCode {
    /// The whole link, code included.
    pub url: Url,
    /// Where the code can be typed in (`verification_uri`).
    pub verification_uri: Url,
    /// The code alone.
    pub user_code: String,
    /// How long it can be used, from now.
    pub expires_in: Duration,
}

/// A device authorization response (RFC 8628 section 3.2).
#[derive(Debug)]
struct Authorization {
    device_code: SecretString,
    shown: DeviceCode,
    interval: Duration,
}

/// What became of one code.
enum Outcome {
    Tokens(TokenResponse),
    /// It is of no use any more, for this reason; another one may be.
    Ended(&'static str),
}

/// The two requests of the flow.
trait Server {
    async fn authorize(&self) -> Result<Authorization, AuthError>;
    async fn poll(&self, device_code: &SecretString) -> Result<TokenResponse, AuthError>;
}

/// Signs the person in and returns their tokens. Nothing is kept anywhere until then: a process that ends meanwhile leaves
/// nothing behind but a code that expires.
///
/// # Errors
/// [`AuthError::NoDeviceFlow`], [`AuthError::AccessDenied`], [`AuthError::CodeEnded`] where the person wants no new code, and
/// those of any token request, except that the network may be gone for a while.
pub async fn sign_in(
    http: &Http,
    provider: &Provider,
    interaction: &dyn Interaction,
    step_up: &StepUp,
) -> Result<TokenResponse, AuthError> {
    run(&Remote::new(http, provider, step_up)?, interaction).await
}

async fn run(server: &impl Server, interaction: &dyn Interaction) -> Result<TokenResponse, AuthError> {
    loop {
        let authorization = server.authorize().await?;
        interaction.device_code(&authorization.shown);
        match wait(server, &authorization, interaction).await? {
            Outcome::Tokens(tokens) => {
                interaction.done();
                return Ok(tokens);
            }
            Outcome::Ended(reason) if interaction.new_code(reason).await => {}
            Outcome::Ended(reason) => return Err(AuthError::CodeEnded { reason }),
        }
    }
}

/// Asks for the tokens until they are there or the code has ended (RFC 8628 section 3.5).
async fn wait(
    server: &impl Server,
    authorization: &Authorization,
    interaction: &dyn Interaction,
) -> Result<Outcome, AuthError> {
    const EXPIRED: &str = "the code expired before anybody approved it";
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
                // The network, or what stands in between: the code is still good. Asked less often meanwhile.
                AuthError::Unreachable { .. } | AuthError::BadAnswer { .. } | AuthError::Busy { .. } => {
                    tracing::debug!(%error, "the server could not be asked whether the code was approved");
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
            // A code is good for one answer. If an earlier one was lost on the way, the tokens went with it.
            "invalid_grant" if unanswered => {
                return Ok(Outcome::Ended("the code was approved, but the server's answer to that was lost"));
            }
            "invalid_grant" => return Ok(Outcome::Ended("the server no longer knows the code")),
            _ => return Err(AuthError::Refused { code, description }),
        }
        pause = interval;
    }
}

/// Waits until `next`, telling each second how much time is left.
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
    client_id: &'a str,
    step_up: &'a StepUp,
}

impl<'a> Remote<'a> {
    fn new(http: &'a Http, provider: &'a Provider, step_up: &'a StepUp) -> Result<Self, AuthError> {
        let endpoint = provider.device_authorization_endpoint()?;
        Ok(Self { http, provider, endpoint, client_id: provider.client_id()?, step_up })
    }
}

impl Server for Remote<'_> {
    async fn authorize(&self) -> Result<Authorization, AuthError> {
        let scope = self.provider.scopes.join(" ");
        let mut form = vec![("client_id", self.client_id)];
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        if let Some(audience) = &self.provider.audience {
            form.push(("audience", audience));
        }
        // Not in RFC 8628; a server that does not know them ignores them (RFC 6749 section 3.2).
        let asked: Vec<_> = self.step_up.parameters().collect();
        form.extend(asked.iter().map(|(name, value)| (*name, value.as_str())));
        let answer = submit(None, self.http, self.endpoint, &form).await?;
        parse(self.endpoint, answer.status, &answer.body).map_err(|error| answer.error(self.endpoint, error))
    }

    async fn poll(&self, device_code: &SecretString) -> Result<TokenResponse, AuthError> {
        let form = [
            ("grant_type", GRANT),
            ("device_code", device_code.expose_secret()),
            ("client_id", self.client_id),
        ];
        token_request(self.http, self.provider, &form).await
    }
}

/// How long the codes of this server can be used. Requests a code that is not used and expires by itself.
///
/// # Errors
/// Those of [`sign_in`], without waiting for anybody.
pub async fn code_life(http: &Http, provider: &Provider) -> Result<Duration, AuthError> {
    let step_up = StepUp::default();
    let remote = Remote::new(http, provider, &step_up)?;
    Ok(remote.authorize().await?.shown.expires_in)
}

/// Reads the answer of a device authorization endpoint; no secret of it is in a message.
fn parse(endpoint: &Url, status: u16, body: &[u8]) -> Result<Authorization, AuthError> {
    let bad = |reason: String| AuthError::BadAnswer { url: endpoint.to_string(), reason };
    // The errors are those of a token endpoint (RFC 8628 section 3.2), and no success is expected here.
    let refused = || match TokenResponse::parse(endpoint.as_str(), status, body) {
        Err(error @ AuthError::Refused { .. }) => Some(error),
        Err(error) if !(200..300).contains(&status) => Some(error),
        _ => None,
    };
    let answer = match Members::parse(body) {
        Ok(answer) if (200..300).contains(&status) => answer,
        Ok(_) => return Err(refused().unwrap_or_else(|| bad(format!("HTTP status {status}")))),
        Err(came) => return Err(refused().unwrap_or_else(|| bad(format!("it is {came}")))),
    };
    let missing =
        |name: &str| refused().unwrap_or_else(|| bad(format!("it has no {name}: it is {}", answer.names())));
    let unusable = |error: Unusable| bad(error.to_string());
    let device_code = answer.secret(&["device_code"]).map_err(unusable)?;
    let device_code = device_code.ok_or_else(|| missing("device_code"))?;
    let user_code = answer.text(&["user_code"]).map_err(unusable)?.ok_or_else(|| missing("user_code"))?;
    let user_code = clean(user_code.trim());
    if user_code.is_empty() || user_code.len() > 100 {
        return Err(bad(format!("its user_code has {} characters", user_code.len())));
    }
    // The person opens it: nothing but web pages. The second name is the one before the RFC.
    let verification_uri = answer.url(&["verification_uri", "verification_url"]).map_err(unusable)?;
    let verification_uri = verification_uri.ok_or_else(|| missing("verification_uri"))?;
    let complete = ["verification_uri_complete", "verification_url_complete"];
    let url = answer.url(&complete).ok().flatten().unwrap_or_else(|| {
        let mut complete = verification_uri.clone();
        complete.query_pairs_mut().append_pair("user_code", &user_code);
        complete
    });
    let seconds = |name, default: Duration| match answer.number(&[name]).ok().flatten() {
        Some(value) if value >= 0.0 => Duration::from_secs_f64(value.min(MAX_LIFE.as_secs_f64())),
        _ => default,
    };
    Ok(Authorization {
        device_code,
        interval: seconds("interval", DEFAULT_INTERVAL).max(Duration::from_secs(1)),
        shown: DeviceCode {
            url,
            verification_uri,
            user_code,
            expires_in: seconds("expires_in", DEFAULT_LIFE),
        },
    })
}
