//! The authorization code flow with PKCE (RFC 7636) in the person's browser, for native apps (RFC 8252).
//!
//! Each sign-in uses a new verifier, state and nonce. The browser returns to a loopback listener that accepts only the callback of
//! this sign-in. If the browser is on another machine, the person pastes the URL of its last page.

mod callback;
mod page;

use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use self::callback::{Answer, Listener};
use super::token_request;
use crate::{
    AuthError, Interaction, StepUp,
    discovery::Provider,
    http::Http,
    oauth::{ClientId, GrantType, Scope},
    token::TokenResponse,
};

pub use self::callback::parse_answer;

/// The time that a person has to sign in.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Signs the person in and returns their tokens.
///
/// # Errors
/// Any [`AuthError`] of a sign-in.
pub async fn sign_in(
    http: &Http,
    provider: &Provider,
    interaction: &dyn Interaction,
    step_up: &StepUp,
) -> Result<TokenResponse, AuthError> {
    sign_in_within(TIME_LIMIT, http, provider, interaction, step_up).await
}

/// [`sign_in`] with a time limit.
pub(crate) async fn sign_in_within(
    limit: Duration,
    http: &Http,
    provider: &Provider,
    interaction: &dyn Interaction,
    step_up: &StepUp,
) -> Result<TokenResponse, AuthError> {
    let endpoint = provider.authorization_endpoint()?;
    let client_id = provider.client_id()?;
    let verifier = SecretString::from(random()?);
    let state = random()?;
    let nonce = random()?;
    let request = |redirect_uri: &Url| {
        let mut url = authorize_url(
            endpoint,
            provider,
            client_id,
            redirect_uri,
            &state,
            &nonce,
            verifier.expose_secret(),
        );
        url.query_pairs_mut().extend_pairs(step_up.parameters());
        let prompt = prompt(provider, interaction.selects_account());
        if !prompt.is_empty() {
            url.query_pairs_mut().append_pair("prompt", &prompt.join(" "));
        }
        url
    };
    let (listener, redirect_uri) = match Listener::bind(&provider.redirect_uri).await {
        Ok(listener) => (listener, provider.redirect_uri.clone()),
        Err(source) => {
            let Ok((listener, redirect_uri)) = Listener::bind_any(&provider.redirect_uri).await else {
                return Err(port_taken(provider, source));
            };
            if !accepts(http, &request(&redirect_uri), &redirect_uri).await {
                return Err(port_taken(provider, source));
            }
            (listener, redirect_uri)
        }
    };
    let url = request(&redirect_uri);
    let mut callbacks = listener.listen(redirect_uri.path().to_owned(), state.clone());

    let opened = interaction.open_browser(&url).await;
    interaction.authorize_url(&url, opened);
    let wait = async {
        loop {
            tokio::select! {
                callback = callbacks.next() => return callback.map(|(answer, page)| (answer, Some(page))),
                // Like any other request, a pasted text that is not this sign-in's answer changes nothing.
                pasted = interaction.pasted_url() => {
                    if let Some(answer) = Url::parse(pasted.trim()).ok().and_then(|url| parse_answer(url.query()?, &state)) {
                        return Some((answer, None));
                    }
                    interaction.unusable_paste(&AuthError::StateMismatch);
                    interaction.authorize_url(&url, false);
                }
            }
        }
    };
    let (answer, page) = tokio::time::timeout(limit, wait)
        .await
        .map_err(|_| AuthError::TimedOut { minutes: limit.as_secs().div_ceil(60) })?
        .ok_or(AuthError::Interrupted)?;

    let outcome = match take_code(answer, provider) {
        Ok(code) => token_request(
            http,
            provider,
            GrantType::AuthorizationCode,
            &[
                ("client_id", client_id.as_str()),
                ("code", code.expose_secret()),
                ("redirect_uri", redirect_uri.as_str()),
                ("code_verifier", verifier.expose_secret()),
            ],
        )
        .await
        .and_then(|response| check_nonce(response, &nonce, provider)),
        Err(error) => Err(error),
    };
    // The browser gets its page only now, because only now the outcome is known.
    if let Some(page) = page {
        let _ = page.send(match &outcome {
            Ok(_) => page::signed_in(),
            Err(error) => page::failed(error, interaction.next_step(error).as_deref()),
        });
        callbacks.finish().await;
    }
    if outcome.is_ok() {
        interaction.done();
    }
    outcome
}

/// Rejects tokens whose ID token has no nonce or the nonce of another authorization request (OpenID Connect Core section
/// 3.1.3.7 no. 11).
fn check_nonce(
    response: TokenResponse,
    nonce: &str,
    provider: &Provider,
) -> Result<TokenResponse, AuthError> {
    let Some(claims) = response.id_claims().filter(|_| requests_id_token(provider)) else {
        return Ok(response);
    };
    if claims.nonce.as_deref() == Some(nonce) {
        return Ok(response);
    }
    Err(AuthError::BadAnswer {
        url: provider.token_endpoint.to_string(),
        reason: "its ID token belongs to another sign-in (nonce)".to_owned(),
    })
}

/// Whether the sign-in requests an ID token, which has to contain the nonce (OpenID Connect Core section 3.1.2.1).
fn requests_id_token(provider: &Provider) -> bool {
    provider.scopes.iter().any(|scope| *scope == "openid")
}

fn port_taken(provider: &Provider, source: std::io::Error) -> AuthError {
    AuthError::CallbackPort {
        port: provider.redirect_uri.port_or_known_default().unwrap_or_default(),
        source: std::sync::Arc::new(source),
    }
}

/// Whether the server accepts an authorization request with this redirect URI.
///
/// Servers should accept any loopback port (RFC 8252 section 7.3), but not all do. A server that does not shows an error to the
/// person and never sends an answer. This request, which has no side effect, finds that out first. A redirect to an error page of
/// the server is a refusal too. An error that is sent to the redirect URI is not: the server accepted that URI.
async fn accepts(http: &Http, request: &Url, redirect_uri: &Url) -> bool {
    let Ok(request_line) = http.get(request.clone()) else { return false };
    let Ok(response) = request_line.timeout(Duration::from_secs(10)).send().await else { return false };
    let next = response.headers().get(reqwest::header::LOCATION).and_then(|value| value.to_str().ok());
    let refused = next.and_then(|next| request.join(next).ok()).is_some_and(|next| {
        next.origin() != redirect_uri.origin() && next.query_pairs().any(|(name, _)| name == "error")
    });
    !refused && (response.status().is_success() || response.status().is_redirection())
}

/// Extracts the code, after checking that the answer comes from this provider.
fn take_code(answer: Answer, provider: &Provider) -> Result<SecretString, AuthError> {
    let expected = provider.issuer.as_str();
    match &answer.issuer {
        // RFC 9207 section 2.4: the comparison is by string. `iss` is required if the server announces it.
        Some(actual) if actual != expected && !expected.is_empty() => {
            return Err(AuthError::IssuerMismatch { expected: expected.to_owned(), actual: actual.clone() });
        }
        None if provider.answers_with_issuer => {
            return Err(AuthError::IssuerMismatch { expected: expected.to_owned(), actual: String::new() });
        }
        _ => {}
    }
    answer.code.map_err(|refusal| {
        if refusal.error == "access_denied" {
            AuthError::AccessDenied { description: refusal.description }
        } else {
            AuthError::Refused { code: refusal.error, description: refusal.description }
        }
    })
}

fn authorize_url(
    endpoint: &Url,
    provider: &Provider,
    client_id: &ClientId,
    redirect_uri: &Url,
    state: &str,
    nonce: &str,
    verifier: &str,
) -> Url {
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    let mut url = endpoint.clone();
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id.as_str())
            .append_pair("redirect_uri", redirect_uri.as_str())
            .append_pair("state", state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if !provider.scopes.is_empty() {
            query.append_pair("scope", &Scope::join(&provider.scopes));
        }
        if requests_id_token(provider) {
            query.append_pair("nonce", nonce);
        }
        if let Some(audience) = &provider.audience {
            query.append_pair("audience", audience);
        }
    }
    url
}

/// The values of `prompt`: additional questions that the server should ask the person (OpenID Connect Core section 3.1.2.1).
fn prompt(provider: &Provider, selects_account: bool) -> Vec<&'static str> {
    let mut prompt = Vec::new();
    if selects_account {
        prompt.push("select_account");
    }
    // Providers grant offline_access only with consent (OpenID Connect Core section 11). Flyte's own servers do not need it.
    if !provider.flyte && provider.scopes.iter().any(|scope| *scope == "offline_access") {
        prompt.push("consent");
    }
    prompt
}

/// 256 random bits in 43 characters that are valid in PKCE verifiers and states.
fn random() -> Result<String, AuthError> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| AuthError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(&bytes))
}
