//! `grant_type=urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693): exchanges a CI job's token for an access
//! token of this server, under a trust rule. Tokens of a cluster's pods need no rule (`pod`).
//!
//! The job's token identifies the job. It is not bound to the client that sends it, and may be sent again until it
//! expires, because a job runs many commands in separate processes. Therefore rules contain an audience: a token for
//! another audience is refused here, and a token for this server is useless elsewhere.

mod pod;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::client_credentials::granted;
use crate::{
    AuthorizationServer, client,
    error::{self, ErrorCode, OAuthError},
    parameters::Parameters,
    resource,
};
use flyte_access::token::{IssuedAccessToken, MachineGrant};
use flyte_audit::{Detail, Event, Kind};
use flyte_federation::{IssuerError, SubjectToken, SubjectTokenError, rule, subject_token::Verified};
use flyte_model::{ClientId, GrantType, PrincipalKind, Scopes, space_separated};
use flyte_store::TrustRule;

/// Token types (RFC 8693 section 3).
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The maximum length of an error description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 600;

/// The successful response (section 2.2.1). It has no refresh token, because the CI system gives the job its next
/// token.
pub(super) struct Exchanged {
    access_token: IssuedAccessToken,
    scopes: Scopes,
}

impl IntoResponse for Exchanged {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            access_token: &'a str,
            issued_token_type: &'static str,
            token_type: &'static str,
            expires_in: i64,
            #[serde(serialize_with = "space_separated::serialize")]
            scope: &'a Scopes,
        }
        let mut response = Json(Body {
            access_token: self.access_token.token.expose_secret(),
            issued_token_type: ACCESS_TOKEN,
            token_type: "Bearer",
            expires_in: self.access_token.expires_in,
            scope: &self.scopes,
        })
        .into_response();
        error::no_store(response.headers_mut());
        response
    }
}

/// Exchanges a job's token.
pub(super) async fn exchange(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    form: &Parameters<'_>,
) -> Result<Exchanged, OAuthError> {
    let client_id = client_id(server, headers, form).await?;
    let token = subject_token(form)?;
    let audience = resource::requested(form, server.config.issuer())?;
    let text = form.one("subject_token")?.unwrap_or_default();
    if let Some(exchanged) = pod::exchange(server, &client_id, form, (text, &token), audience.clone()).await?
    {
        return Ok(exchanged);
    }
    let (rule, verified) = trusted(server, &client_id, &token, form.one("trust")?).await?;

    let grant = MachineGrant {
        principal: PrincipalKind::Federated,
        // Rule names contain no colon, so subjects of two rules are never equal.
        subject: format!("{}:{}", rule.name, verified.subject),
        client_id,
        scopes: granted(form.one("scope")?, &rule.rights.scopes)?,
        audience,
        family_id: rule.family_id.clone(),
        lifetime: rule.token_lifetime,
    };
    let access_token = server.access.tokens().issue_to_machine(&grant)?;
    let now = server.clock.now();
    server.access.note_trust_rule_use(&rule.family_id, now);
    let event = exchange_event(Kind::TokenExchanged, &grant.client_id, &token, &verified)
        .subject(&grant.subject)
        .object(&rule.name)
        .detail(Detail::Token, &access_token.jti)
        .detail(Detail::ExpiresAt, now.saturating_add(access_token.expires_in));
    server.audit.record(event).await;
    Ok(Exchanged { access_token, scopes: grant.scopes })
}

/// Returns the requesting client. It may be omitted, because the job's token is the proof (RFC 8693 section 2.1
/// allows this); then the client is the `flyte` command. A named client must authenticate as it has registered.
async fn client_id(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    form: &Parameters<'_>,
) -> Result<ClientId, OAuthError> {
    let named = ["client_id", "client_secret", "client_assertion"];
    let mut says_nothing = !headers.contains_key(header::AUTHORIZATION);
    for name in named {
        says_nothing = says_nothing && form.one(name)?.is_none();
    }
    if says_nothing {
        return Ok(server.config.public_client.client_id.clone());
    }
    let client = client::authenticate(server, headers, form).await?;
    client.require_grant_type(GrantType::TokenExchange)?;
    Ok(client.id.clone())
}

/// Parses `subject_token` without verifying it, and checks the parameters beside it.
fn subject_token<'a>(form: &'a Parameters<'_>) -> Result<SubjectToken<'a>, OAuthError> {
    let token = form.one("subject_token")?.ok_or_else(|| invalid("subject_token is missing"))?;
    match form.one("subject_token_type")? {
        Some(JWT | ID_TOKEN) => {}
        Some(_) => return Err(invalid(&format!("subject_token_type must be {JWT} or {ID_TOKEN}"))),
        None => return Err(invalid("subject_token_type is missing")),
    }
    if form.one("requested_token_type")?.is_some_and(|kind| kind != ACCESS_TOKEN && kind != JWT) {
        return Err(invalid(&format!("requested_token_type must be {ACCESS_TOKEN}")));
    }
    if form.one("actor_token")?.is_some() || form.one("actor_token_type")?.is_some() {
        return Err(invalid("actor_token is not supported"));
    }
    Ok(SubjectToken::parse(token)?)
}

/// Finds the rule that accepts the token (the rule `name`, if given), and verifies the token.
async fn trusted(
    server: &AuthorizationServer,
    client_id: &ClientId,
    token: &SubjectToken<'_>,
    name: Option<&str>,
) -> Result<(TrustRule, Verified), OAuthError> {
    let mut rules = server.store.trust_rules_of_issuer(&token.issuer).await?;
    rules.retain(|rule| token.audience == rule.audience && name.is_none_or(|name| name == rule.name));
    if rules.is_empty() {
        let named = name.map(|name| format!(" called {name}")).unwrap_or_default();
        return Err(invalid(&format!(
            "there is no trust rule{named} for tokens of {} with the audience {}",
            token.issuer, token.audience
        )));
    }
    let mut failure = None;
    let mut genuine = None;
    let mut matching = Vec::new();
    for rule in rules {
        match verify(server, &rule, token).await {
            Ok(verified) => match rule::mismatch(&rule, &verified.claims) {
                Some(claim) => {
                    let reason = format!("the claim {claim} does not match the rule {}", rule.name);
                    genuine.get_or_insert((verified, reason));
                }
                None => matching.push((rule, verified)),
            },
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let mut matching = matching.into_iter();
    match (matching.next(), matching.next()) {
        (Some(one), None) => Ok(one),
        (Some((first, verified)), Some((second, _))) => {
            let reason = format!("the rules {} and {} both match", first.name, second.name);
            let event = exchange_event(Kind::TokenExchangeRefused, client_id, token, &verified);
            server.audit.record(event.detail(Detail::Reason, &reason)).await;
            // If the server chose a rule, the job could get more rights than intended.
            Err(invalid(&format!("{reason}: name one of them in the parameter trust")))
        }
        (None, _) => match (genuine, failure) {
            (Some((verified, reason)), _) => {
                let event = exchange_event(Kind::TokenExchangeRefused, client_id, token, &verified);
                server.audit.record(event.detail(Detail::Reason, reason)).await;
                // The response does not name the claim, because everyone can get tokens of some issuers.
                Err(invalid(
                    "the token is valid, but its claims match no trust rule; the server's audit log names the claim that \
                     differs",
                ))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(invalid("no trust rule accepts the token")),
        },
    }
}

async fn verify(
    server: &AuthorizationServer,
    rule: &TrustRule,
    token: &SubjectToken<'_>,
) -> Result<Verified, OAuthError> {
    let jwks = server.issuers.keys(rule, token.kid()).await?;
    Ok(token.verify(&jwks, server.clock.now())?)
}

/// An event about a verified token.
fn exchange_event(kind: Kind, client_id: &ClientId, token: &SubjectToken<'_>, verified: &Verified) -> Event {
    Event::new(kind)
        .client(client_id)
        .detail(Detail::Issuer, &token.issuer)
        .detail(Detail::ForeignSubject, &verified.subject)
}

/// The error for a token or policy problem (section 2.2.2).
fn invalid(description: &str) -> OAuthError {
    // The description may contain text from a stranger's token.
    let allowed = |c: char| matches!(c, '\x20'..='\x21' | '\x23'..='\x5B' | '\x5D'..='\x7E');
    let text = description.chars().map(|c| if allowed(c) { c } else { '?' }).take(MAX_DESCRIPTION_BYTES);
    OAuthError::invalid_request(text.collect::<String>())
}

impl From<SubjectTokenError> for OAuthError {
    fn from(error: SubjectTokenError) -> Self {
        Self::invalid_request(error.to_string())
    }
}

impl From<IssuerError> for OAuthError {
    /// An administrator chose the issuer, so the details go to the log only.
    fn from(_: IssuerError) -> Self {
        Self::new(
            ErrorCode::TemporarilyUnavailable,
            "the keys of the token's issuer cannot be fetched at the moment; try again in a few seconds",
        )
    }
}
