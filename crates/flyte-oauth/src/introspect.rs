//! Token introspection (RFC 7662), for resource servers that do not verify tokens themselves or must know immediately
//! when a token is revoked.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use serde::Serialize;

use super::{
    client,
    error::{self, ErrorCode, OAuthError},
    form::Form,
};
use crate::AuthorizationServer;
use flyte_access::{Reason, token::Audience};
use flyte_model::{ClientId, PrincipalKind, clock::UnixTime};
use flyte_secrets::opaque_token::{self, Kind};
use flyte_store::{Client, ClientKind};

/// The response (RFC 7662 section 2.2). For an inactive token it contains only `active`.
#[derive(Debug, Default, Serialize)]
struct Introspection {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<Audience>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// Our extension: the kind of principal of `sub`; omitted for people, as in the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<PrincipalKind>,
}

/// Answers any authenticated client: a confidential client or an API key. The client already has the access token, so
/// the response reveals nothing that the token's holder did not share. A client can introspect only its own refresh
/// tokens.
pub(super) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    let form = form.parameters()?;
    let client = client::authenticate(&server, &headers, &form).await?;
    if client.kind == ClientKind::Public {
        // Section 2.1: otherwise anyone could test tokens.
        let description = "introspection requires an authenticated client, for example an API key";
        return Err(OAuthError::new(ErrorCode::InvalidClient, description));
    }
    let token = form.one("token")?.ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
    form.one("token_type_hint")?;
    let answer = if token.starts_with(Kind::RefreshToken.prefix()) {
        refresh_token(&server, &client, token).await?
    } else {
        access_token(&server, token).await?
    };
    let mut response = Json(answer.unwrap_or_default()).into_response();
    error::no_store(response.headers_mut());
    Ok(response)
}

async fn access_token(
    server: &AuthorizationServer,
    token: &str,
) -> Result<Option<Introspection>, OAuthError> {
    let claims = match server.access.inspect(token).await {
        Ok(claims) => claims,
        Err(Reason::Missing | Reason::Invalid(_)) => return Ok(None),
        Err(Reason::Store(error)) => return Err(error.into()),
        Err(Reason::Unavailable(error)) => {
            tracing::error!(%error, "a pod could not be checked");
            let text = "the token cannot be checked at the moment; try again in a few seconds";
            return Err(OAuthError::new(ErrorCode::TemporarilyUnavailable, text));
        }
    };
    Ok(Some(Introspection {
        active: true,
        scope: Some(claims.scope.to_string()),
        client_id: Some(claims.client_id),
        token_type: Some("Bearer"),
        exp: Some(claims.exp),
        iat: Some(claims.iat),
        sub: Some(claims.sub),
        aud: Some(claims.aud),
        iss: Some(claims.iss),
        jti: Some(claims.jti),
        principal: Some(claims.principal).filter(|principal| !principal.is_person()),
    }))
}

/// A refresh token is used only by its client and this server, so no other client gets an answer (section 4).
async fn refresh_token(
    server: &AuthorizationServer,
    client: &Client,
    token: &str,
) -> Result<Option<Introspection>, OAuthError> {
    let hash = opaque_token::hash(token);
    let found = server.store.active_refresh_token(&hash, server.clock.now()).await?;
    let Some((token, expires_at)) = found.filter(|(token, _)| token.client_id == client.id) else {
        return Ok(None);
    };
    let account = server.store.user_by_id(&token.user_id).await?;
    if account.is_none_or(|account| account.disabled_at.is_some()) {
        return Ok(None);
    }
    Ok(Some(Introspection {
        active: true,
        scope: Some(token.scopes.to_string()),
        client_id: Some(token.client_id),
        exp: Some(expires_at),
        sub: Some(token.user_id),
        iss: Some(server.config.issuer().to_owned()),
        ..Introspection::default()
    }))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::{Value, json};

    use crate::fixture::{ISSUER, NOW, Server, VERIFIER, WEB_REDIRECT_URI, api_key};
    use flyte_model::{ClientId, Scope};

    const WEB: (&str, &str) = ("web+app", "p+w%3A%25%2B");

    async fn introspect(server: &Server, token: &str) -> Value {
        let answer = server.post_as("/oauth2/introspect", WEB, &[("token", token)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers["cache-control"], "no-store");
        answer.json()
    }

    /// Tokens of `web app`, which may refresh them.
    async fn web_tokens(server: &Server) -> Value {
        let mut web =
            server.state.store.client_by_id(&ClientId::from_static("web app")).await.unwrap().unwrap();
        web.grant_types.push(flyte_model::GrantType::RefreshToken);
        web.scopes.insert(Scope::OFFLINE_ACCESS);
        // The user is not asked.
        web.first_party = true;
        server.state.store.put_client(&web).await.unwrap();
        let request = [
            ("client_id", "web app"),
            ("redirect_uri", WEB_REDIRECT_URI),
            ("scope", "openid offline_access"),
        ];
        let code = server.browser("Ada").await.authorize(&request).await.query("code");
        let redeem = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", WEB_REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ];
        server.post_as("/oauth2/token", WEB, &redeem).await.json()
    }

    #[tokio::test]
    async fn active_tokens_of_both_kinds_are_described() {
        let server = Server::start().await;
        let tokens = server.tokens().await;
        let access = introspect(&server, tokens["access_token"].as_str().unwrap()).await;
        for (name, expected) in [
            ("active", json!(true)),
            ("sub", json!("user-Ada")),
            ("client_id", json!("flyte")),
            ("token_type", json!("Bearer")),
            ("iss", json!(ISSUER)),
            ("aud", json!(ISSUER)),
            ("iat", json!(NOW)),
            ("scope", tokens["scope"].clone()),
            ("principal", Value::Null),
        ] {
            assert_eq!(access[name], expected, "{name}");
        }
        assert_eq!(access["exp"], NOW + tokens["expires_in"].as_i64().unwrap());
        let own = web_tokens(&server).await;
        let refresh = introspect(&server, own["refresh_token"].as_str().unwrap()).await;
        assert_eq!((&refresh["active"], &refresh["sub"]), (&json!(true), &json!("user-Ada")));
        assert_eq!(refresh["client_id"], "web app");
        assert!(refresh["exp"].as_i64().unwrap() > NOW && refresh.get("token_type").is_none(), "{refresh}");
        // A token of another client looks like an inactive token.
        let other = introspect(&server, tokens["refresh_token"].as_str().unwrap()).await;
        assert_eq!(other, json!({"active": false}));

        let (_, secret) = api_key(&*server.state.store, "ci", |_| {}).await;
        let of_key = server.client_credentials("ci", secret.expose_secret()).await.json();
        let answer = introspect(&server, of_key["access_token"].as_str().unwrap()).await;
        assert_eq!((&answer["sub"], &answer["principal"]), (&json!("ci"), &json!("api_key")));
    }

    #[tokio::test]
    async fn everything_else_is_only_inactive() {
        let server = Server::start().await;
        let tokens = server.tokens().await;
        let (access, refresh) =
            (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
        let (_, secret) = api_key(&*server.state.store, "ci", |_| {}).await;
        let of_key = server.client_credentials("ci", secret.expose_secret()).await.json();
        let of_key = of_key["access_token"].as_str().unwrap();
        let inactive = json!({"active": false});
        for token in [
            "x",
            "flr_x",
            &access[..access.len() - 2],
            tokens["id_token"].as_str().unwrap(),
            &"x".repeat(10_000),
        ] {
            assert_eq!(introspect(&server, token).await, inactive, "{token}");
        }
        let own = web_tokens(&server).await;
        let (own, first) = (&own["access_token"], own["refresh_token"].as_str().unwrap());
        let next = [("grant_type", "refresh_token"), ("refresh_token", first)];
        let next = server.post_as("/oauth2/token", WEB, &next).await.json();
        assert_eq!(introspect(&server, first).await, inactive, "superseded");
        let next = next["refresh_token"].as_str().unwrap();
        assert_eq!(introspect(&server, next).await["active"], true);
        server.post_as("/oauth2/revoke", WEB, &[("token", next)]).await;
        server.post("/oauth2/revoke", &[("client_id", "flyte"), ("token", refresh)]).await;
        for token in [next, own.as_str().unwrap(), access] {
            assert_eq!(introspect(&server, token).await, inactive, "revoked");
        }
        server.state.store.delete_api_key(&ClientId::from_static("ci"), NOW).await.unwrap();
        assert_eq!(introspect(&server, of_key).await, inactive, "before any other lookup");
        let tokens = server.tokens().await;
        server.state.clock.advance(tokens["expires_in"].as_i64().unwrap());
        assert_eq!(introspect(&server, tokens["access_token"].as_str().unwrap()).await, inactive, "expired");
    }

    #[tokio::test]
    async fn only_authenticated_clients_may_introspect() {
        let server = Server::start().await;
        let tokens = server.tokens().await;
        let token = ("token", tokens["access_token"].as_str().unwrap());
        let (_, secret) = api_key(&*server.state.store, "ci", |_| {}).await;
        for (pairs, error) in [
            (&[("client_id", "flyte"), token][..], "invalid_client"),
            (&[("client_id", "ci"), token], "invalid_client"),
            (&[("client_id", "ci"), ("client_secret", "x"), token], "invalid_client"),
            (&[token], "invalid_request"),
            (&[("client_id", "ci"), ("client_secret", secret.expose_secret())], "invalid_request"),
        ] {
            assert_eq!(server.post("/oauth2/introspect", pairs).await.error(), error, "{pairs:?}");
        }
        let good = [("client_id", "ci"), ("client_secret", secret.expose_secret()), token];
        assert_eq!(server.post("/oauth2/introspect", &good).await.json()["active"], true);
    }
}
