//! Checks of the sign-in: discovery, the stored login, and the API key in the environment.

use std::sync::Arc;
use std::time::Duration;

use flyte_auth::api_key::{self, ApiKey};
use flyte_auth::discovery::Provider;
use flyte_auth::http::Http;
use flyte_auth::{Approval, AuthError, Session, SessionOptions, Status, flows};
use flyte_client::ClientError;
use flyte_config::{AuthType, Endpoint};
use flyte_hints::Hint as _;

use super::finding::{Finding, Verdict};
use crate::context::Context;
use crate::time;

const DISCOVERY: &str = "discovery";
const DEVICE_CODE: &str = "device code";
const API_KEY: &str = "API key";
const SIGN_IN: &str = "sign-in";

/// The time limit of a request.
const PATIENCE: Duration = Duration::from_secs(20);
/// A device code with a shorter lifetime probably expires before the user has finished.
const SHORT: Duration = Duration::from_secs(120);

/// The finding for settings of a checkout that are not approved: every command stops before it uses them.
pub(super) fn unapproved(approval: &Approval) -> Finding {
    let file = approval.file().display();
    Finding::fail(SIGN_IN, format!("{file} is in this directory, and you have not approved its settings yet"))
        .fix(format!(
            "Run `flyte auth login` in a terminal and approve them, or name the file: --config {file}"
        ))
}

/// The result of discovery.
pub(super) enum Discovered {
    Found(Arc<Provider>),
    Failed(AuthError),
    /// Discovery took too long.
    Silent,
    /// The server cannot be reached, which another finding reports.
    NotAsked,
}

impl Discovered {
    pub(super) fn provider(&self) -> Option<&Provider> {
        match self {
            Self::Found(provider) => Some(provider),
            _ => None,
        }
    }

    /// Whether the control plane has no sign-in.
    fn has_no_sign_in(&self) -> bool {
        matches!(self, Self::Failed(AuthError::NoSignIn { .. }))
    }
}

/// Asks the server where to sign in, without the cached answer.
pub(super) async fn discover(options: &SessionOptions, reached: bool) -> Discovered {
    if !reached {
        return Discovered::NotAsked;
    }
    let fresh = SessionOptions { state_dir: None, ..options.clone() };
    match tokio::time::timeout(PATIENCE, Session::new(fresh).provider()).await {
        Ok(Ok(provider)) => Discovered::Found(provider),
        Ok(Err(error)) => Discovered::Failed(error),
        Err(_) => Discovered::Silent,
    }
}

/// Whether a mode gets its tokens from the discovered token endpoint.
pub(super) fn is_by_token_endpoint(auth_type: AuthType) -> bool {
    !matches!(auth_type, AuthType::ExternalCommand | AuthType::Passthrough)
}

/// Judges discovery by what the mode needs, and by whether the sign-in (`token`) succeeded without it.
pub(super) fn discovery(options: &SessionOptions, discovered: &Discovered, token: &Finding) -> Finding {
    let (why, fix) = match discovered {
        Discovered::NotAsked => return Finding::skip(DISCOVERY, "the server cannot be reached"),
        Discovered::Found(provider) => {
            let issuer =
                if provider.issuer.is_empty() { provider.token_endpoint.as_str() } else { &provider.issuer };
            let client = match &provider.client_id {
                Some(client) => format!(" as {client}"),
                None => String::new(),
            };
            let unusable: Vec<_> =
                provider.unusable.iter().map(|(member, came)| format!("its {member} is {came}")).collect();
            return match unusable.as_slice() {
                [] => Finding::pass(DISCOVERY, format!("sign in at {issuer}{client}")),
                _ => Finding::warn(
                    DISCOVERY,
                    format!("sign in at {issuer}{client}, but {}", unusable.join(", and ")),
                )
                .fix("Report this to the server's administrator. It is ignored."),
            };
        }
        Discovered::Failed(error) => (error.to_string(), error.hint()),
        Discovered::Silent => {
            ("the server did not answer in time".to_owned(), Some("Try again later.".to_owned()))
        }
    };
    let auth_type = options.auth_type;
    let none_there = discovered.has_no_sign_in();
    let is_optional = !is_by_token_endpoint(auth_type) || token.verdict == Verdict::Pass;
    match discovered {
        // There is no sign-in over plain HTTP.
        _ if options.endpoint.is_insecure() && none_there => Finding::skip(DISCOVERY, why),
        _ if !options.endpoint.is_insecure() && is_optional => {
            Finding::skip(DISCOVERY, format!("not needed by authType {auth_type}: {why}"))
        }
        // Calls are sent without a token there.
        _ if none_there && auth_type.is_for_people() => {
            Finding::warn(DISCOVERY, format!("{why}, so it does not identify callers")).maybe_fix(fix)
        }
        _ => Finding::fail(DISCOVERY, why).maybe_fix(fix),
    }
}

/// Checks whether the server issues device codes, and their lifetime. Only for modes that use them.
pub(super) async fn device_code(options: &SessionOptions, provider: Option<&Provider>) -> Option<Finding> {
    if options.auth_type != AuthType::DeviceFlow {
        return None;
    }
    let Some(provider) = provider else {
        return Some(Finding::skip(DEVICE_CODE, "discovery did not say where to sign in"));
    };
    if provider.device_authorization_endpoint.is_none() {
        return Some(
            Finding::fail(DEVICE_CODE, "the server has no device flow")
                .fix(format!("flyte create config --endpoint {} --auth-type pkce", options.endpoint.dns())),
        );
    }
    let http = match Http::new(&options.http, options.endpoint.url().clone()) {
        Ok(http) => http,
        Err(error) => return Some(Finding::fail(DEVICE_CODE, &error).maybe_fix(error.hint())),
    };
    Some(match tokio::time::timeout(PATIENCE, flows::device::code_lifetime(&http, provider)).await {
        Ok(life) => judge_code(life),
        Err(_) => Finding::fail(DEVICE_CODE, "the server did not answer in time").fix("Try again later."),
    })
}

/// Judges the answer to a device authorization request (RFC 8628 section 3.2).
fn judge_code(life: Result<Duration, AuthError>) -> Finding {
    let again =
        "If a code expires, the waiting command offers a new one. You can also run the command again.";
    match life {
        Ok(life) => {
            let left = time::spoken(i64::try_from(life.as_secs()).unwrap_or(i64::MAX));
            let found = format!("codes are valid for {left}");
            if life < SHORT {
                Finding::warn(DEVICE_CODE, found).fix(again)
            } else {
                Finding::pass(DEVICE_CODE, found)
            }
        }
        Err(AuthError::Refused { code, .. }) => {
            Finding::fail(DEVICE_CODE, format!("the server issues no device code: {code}"))
                .fix("Ask the server's administrator to allow device codes for this client.")
        }
        Err(error) => Finding::fail(DEVICE_CODE, &error).maybe_fix(error.hint()),
    }
}

/// The API key in the environment.
pub(super) async fn api_key(context: &Context) -> Finding {
    let Some(text) = context.environment.variable(api_key::VARIABLE) else {
        return Finding::skip(API_KEY, format!("{} is not set", api_key::VARIABLE));
    };
    match ApiKey::decode(text) {
        Ok(key) => {
            let found = format!("{} is {} at {}", api_key::VARIABLE, key.client_id, key.endpoint);
            match &context.configured {
                Some(endpoint) if !is_same(endpoint, &key.endpoint) => {
                    Finding::warn(API_KEY, format!("{found}, but {endpoint} is configured")).fix(format!(
                        "The key takes precedence. Unset {} or change admin.endpoint.",
                        api_key::VARIABLE
                    ))
                }
                _ => Finding::pass(API_KEY, found),
            }
        }
        Err(error) => {
            Finding::fail(API_KEY, format!("{}: {error}", api_key::VARIABLE)).maybe_fix(error.hint())
        }
    }
}

/// Whether two endpoints are the same control plane. Port 443 is the default.
fn is_same(one: &Endpoint, other: &Endpoint) -> bool {
    let port = |endpoint: &Endpoint| endpoint.port().unwrap_or(443);
    one.host() == other.host() && port(one) == port(other)
}

/// Checks the stored login, and whether the server accepts it.
pub(super) async fn token(
    context: &Context,
    options: &SessionOptions,
    reached: bool,
    discovered: &Discovered,
) -> Finding {
    if options.endpoint.is_insecure() {
        return Finding::skip(SIGN_IN, "there is no sign-in over plain HTTP");
    }
    if discovered.has_no_sign_in() && options.auth_type.is_for_people() {
        return Finding::skip(SIGN_IN, "this control plane has no sign-in, and calls need none");
    }
    let session = Session::new(options.clone());
    let status = match session.status().await {
        Ok(status) => status,
        Err(error) => return Finding::fail(SIGN_IN, &error).maybe_fix(error.hint()),
    };
    let by_person = options.auth_type.is_for_people();
    if by_person && !status.signed_in {
        return Finding::warn(SIGN_IN, "you are not signed in").fix("flyte auth login");
    }
    let kept = kept(&status, options.clock.now());
    if !reached {
        return Finding::skip(SIGN_IN, format!("{kept}; the server cannot be asked"));
    }
    let client = match context.client_of(session) {
        Ok(client) => client,
        Err(failure) => return Finding::fail(SIGN_IN, failure.summary()),
    };
    match tokio::time::timeout(PATIENCE, client.identity().user_info()).await {
        Ok(Ok(user)) => {
            let names = [user.email, user.preferred_username, user.name, user.subject];
            let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            Finding::pass(SIGN_IN, format!("the server accepts you as {name}; {kept}"))
        }
        // Programs that use the package set their own headers.
        Ok(Err(_)) if options.auth_type == AuthType::Passthrough => Finding::skip(
            SIGN_IN,
            "authType Passthrough: flyte sends no credentials, but the server needs them to identify you",
        ),
        Ok(Err(error)) => refused(&error),
        Err(_) => Finding::fail(SIGN_IN, "the server did not answer in time").fix("Try again later."),
    }
}

fn refused(error: &ClientError) -> Finding {
    let found = match error.cause::<AuthError>() {
        Some(error) => error.to_string(),
        None => error.to_string(),
    };
    Finding::fail(SIGN_IN, found).maybe_fix(error.hint())
}

/// Describes the stored token.
fn kept(status: &Status, now: i64) -> String {
    match (status.expires_at, status.has_refresh_token) {
        (Some(at), true) if at <= now => "the token has expired and renews itself".to_owned(),
        (Some(at), false) if at <= now => "the token has expired".to_owned(),
        (Some(at), true) => format!("the token expires {} and renews itself", time::relative(at, now)),
        (Some(at), false) => format!("the token expires {} and cannot be renewed", time::relative(at, now)),
        (None, true) => "the token renews itself".to_owned(),
        (None, false) => "each command gets its own token".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn codes_are_judged_by_their_lifetime() {
        let good = judge_code(Ok(Duration::from_secs(600)));
        assert_eq!((good.verdict, good.found.as_str()), (Verdict::Pass, "codes are valid for 10 minutes"));
        let short = judge_code(Ok(Duration::from_secs(60)));
        assert_eq!((short.verdict, short.found.as_str()), (Verdict::Warn, "codes are valid for 60 seconds"));
        assert!(short.fix.unwrap().contains("run the command again"));
        let refused =
            judge_code(Err(AuthError::Refused { code: "unauthorized_client".to_owned(), description: None }));
        assert_eq!(refused.verdict, Verdict::Fail);
        assert!(refused.found.ends_with("unauthorized_client"), "{}", refused.found);
        let bad = AuthError::BadAnswer { url: "https://x".to_owned(), reason: "it is null".to_owned() };
        assert_eq!(judge_code(Err(bad)).verdict, Verdict::Fail);
    }
}
