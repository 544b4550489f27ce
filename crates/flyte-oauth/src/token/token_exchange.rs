//! `grant_type=urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693): a CI job's own token for one of ours, under a
//! trust rule.
//!
//! The job's token proves what the job is, once; it is not bound to the client that sends it, and may be sent again until it
//! expires: a job runs many commands, each a process of its own. That is why rules name an audience: a token that was made
//! for somebody else is no use here, and ours are no use to them.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::{client_credentials::granted, require_grant};
use crate::{
    AuthorizationServer, client,
    error::{self, ErrorCode, OAuthError},
    parameters::Parameters,
    resource,
};
use flyte_access::token::{IssuedAccessToken, MachineGrant};
use flyte_audit::{Detail, Event, Kind};
use flyte_federation::{IssuerError, SubjectToken, SubjectTokenError, rule, subject_token::Verified};
use flyte_model::{GrantType, PrincipalKind, scope};
use flyte_store::TrustRule;

/// Token types (RFC 8693 section 3).
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The longest description of an error, in bytes.
const MAX_DESCRIPTION: usize = 600;

/// What came of it (section 2.2.1). There is no refresh token: the CI system gives the job its next token.
pub(super) struct Exchanged {
    access_token: IssuedAccessToken,
    scope: String,
}

impl IntoResponse for Exchanged {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            access_token: &'a str,
            issued_token_type: &'static str,
            token_type: &'static str,
            expires_in: i64,
            scope: &'a str,
        }
        let mut response = Json(Body {
            access_token: self.access_token.token.expose_secret(),
            issued_token_type: ACCESS_TOKEN,
            token_type: "Bearer",
            expires_in: self.access_token.expires_in,
            scope: &self.scope,
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
    let (rule, verified) = trusted(server, &client_id, &token, form.one("trust")?).await?;

    let grant = MachineGrant {
        principal: PrincipalKind::Federated,
        // Names of rules have no colon: no two rules' subjects can be the same.
        subject: format!("{}:{}", rule.name, verified.subject),
        client_id,
        scopes: granted(form.one("scope")?, &rule.rights.scopes)?,
        audience,
        family_id: rule.family_id.clone(),
        lifetime: rule.token_lifetime,
    };
    let access_token = server.access.tokens().issue_to_machine(&grant)?;
    let now = server.clock.now();
    server.access.note_use(PrincipalKind::Federated, &rule.family_id, now);
    let event = of(Kind::TokenExchanged, &grant.client_id, &token, &verified)
        .subject(&grant.subject)
        .object(&rule.name)
        .detail(Detail::Token, &access_token.jti)
        .detail(Detail::ExpiresAt, now.saturating_add(access_token.expires_in));
    server.audit.record(event).await;
    Ok(Exchanged { access_token, scope: scope::join(&grant.scopes) })
}

/// The client that asks. It proves nothing that the job's token does not, so that it may be left out (RFC 8693 section 2.1
/// leaves that to the server); it is then taken for the `flyte` command. One that is named must prove itself as it registered.
async fn client_id(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    form: &Parameters<'_>,
) -> Result<String, OAuthError> {
    let named = ["client_id", "client_secret", "client_assertion"];
    let mut says_nothing = !headers.contains_key(header::AUTHORIZATION);
    for name in named {
        says_nothing = says_nothing && form.one(name)?.is_none();
    }
    if says_nothing {
        return Ok(server.config.public_client.client_id.clone());
    }
    let client = client::authenticate(server, headers, form).await?;
    require_grant(&client, GrantType::TokenExchange)?;
    Ok(client.id.clone())
}

/// `subject_token`, read but not verified; the parameters beside it are checked.
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
        return Err(invalid("nobody can act for a job here: leave out actor_token"));
    }
    Ok(SubjectToken::parse(token)?)
}

/// The rule that takes the token, the one called `name` if a name is given, and what the token says.
async fn trusted(
    server: &AuthorizationServer,
    client_id: &str,
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
                    let reason = format!("the claim {claim} does not match that of the rule {}", rule.name);
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
            let event = of(Kind::TokenExchangeRefused, client_id, token, &verified);
            server.audit.record(event.detail(Detail::Reason, &reason)).await;
            // To choose for it could give a job more than it was meant to have.
            Err(invalid(&format!("{reason}: say which one in the parameter trust")))
        }
        (None, _) => match (genuine, failure) {
            (Some((verified, reason)), _) => {
                let event = of(Kind::TokenExchangeRefused, client_id, token, &verified);
                server.audit.record(event.detail(Detail::Reason, reason)).await;
                // Not which claim: anybody can get a token of some issuers.
                Err(invalid(
                    "the token is genuine, but its claims are not those of a trust rule; the audit log of the \
                     server says which claim differs",
                ))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(invalid("no trust rule takes the token")),
        },
    }
}

async fn verify(
    server: &AuthorizationServer,
    rule: &TrustRule,
    token: &SubjectToken<'_>,
) -> Result<Verified, OAuthError> {
    let keys = server.issuers.keys(rule, token.kid()).await?;
    Ok(token.verify(&keys, server.clock.now())?)
}

/// An event about a verified token.
fn of(kind: Kind, client_id: &str, token: &SubjectToken<'_>, verified: &Verified) -> Event {
    Event::new(kind)
        .client(client_id)
        .detail(Detail::Issuer, &token.issuer)
        .detail(Detail::ForeignSubject, &verified.subject)
}

/// Section 2.2.2: whatever is wrong with the token or with the policy for it.
fn invalid(description: &str) -> OAuthError {
    // What a stranger's token says is in it.
    let allowed = |c: char| matches!(c, '\x20'..='\x21' | '\x23'..='\x5B' | '\x5D'..='\x7E');
    let text = description.chars().map(|c| if allowed(c) { c } else { '?' }).take(MAX_DESCRIPTION);
    OAuthError::invalid_request(text.collect::<String>())
}

impl From<SubjectTokenError> for OAuthError {
    fn from(error: SubjectTokenError) -> Self {
        Self::invalid_request(error.to_string())
    }
}

impl From<IssuerError> for OAuthError {
    /// The issuer was told by an administrator; what exactly went wrong is for the log.
    fn from(_: IssuerError) -> Self {
        Self::new(
            ErrorCode::TemporarilyUnavailable,
            "the keys of the token's issuer cannot be had at the moment; try again in some seconds",
        )
    }
}
