//! Token revocation (RFC 7009).

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};

use super::{
    client,
    error::{self, OAuthError},
    form::Form,
};
use crate::AuthorizationServer;
use flyte_access::{token as access_token, token::AccessTokenClaims};
use flyte_audit::{self, Detail, Event};
use flyte_secrets::opaque_token::{self, Kind};
use flyte_store::{Client, RevokedBy};

/// Revokes a refresh token or an access token, and with it all tokens of the same authorization. For a machine
/// identity, revokes only the one access token. An unknown or expired token, or a token of another client, is not an
/// error (section 2.2): the token is not valid for the client in any case. `token_type_hint` is not needed, because
/// the two kinds of tokens have different formats.
pub(super) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    let form = form.parameters()?;
    let client = client::authenticate(&server, &headers, &form).await?;
    let token = form.one("token")?.ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
    form.one("token_type_hint")?;
    let family = if token.starts_with(Kind::RefreshToken.prefix()) {
        refresh_token(&server, &client, token).await?
    } else {
        access_token(&server, &client, token).await?
    };
    if let Some(family_id) = family {
        server.access.revoke_family(&family_id);
        let event =
            Event::new(flyte_audit::Kind::TokenRevoked).client(&client.id).detail(Detail::Family, family_id);
        server.audit.record(event).await;
    }
    let mut response = StatusCode::OK.into_response();
    error::no_store(response.headers_mut());
    Ok(response)
}

async fn refresh_token(
    server: &AuthorizationServer,
    client: &Client,
    token: &str,
) -> Result<Option<String>, OAuthError> {
    let hash = opaque_token::hash(token);
    Ok(server.store.revoke_refresh_token(&hash, RevokedBy::Client(&client.id), server.clock.now()).await?)
}

async fn access_token(
    server: &AuthorizationServer,
    client: &Client,
    token: &str,
) -> Result<Option<String>, OAuthError> {
    let now = server.clock.now();
    let Ok(claims) = server.keys.verify::<AccessTokenClaims>(token, access_token::TYP) else {
        return Ok(None);
    };
    // An expired token has no power any more, so it must not end an active session.
    if claims.iss != server.config.issuer() || claims.exp <= now {
        return Ok(None);
    }
    if !claims.principal.is_person() {
        // The family of a machine identity is permanent, so only this token is revoked.
        if claims.client_id != client.id {
            return Ok(None);
        }
        server.store.revoke_id(&claims.jti, now).await?;
        return Ok(Some(claims.jti));
    }
    let revoked = server.store.revoke_family(&claims.family, RevokedBy::Client(&client.id), now).await?;
    Ok(revoked.then_some(claims.family))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{Answer, Server};

    async fn revoke(server: &Server, client: &str, token: &str) -> Answer {
        server.post("/oauth2/revoke", &[("client_id", client), ("token", token)]).await
    }

    #[tokio::test]
    async fn either_token_revokes_both() {
        let server = Server::start().await;
        for name in ["refresh_token", "access_token"] {
            let tokens = server.tokens().await;
            let other = server.tokens().await;
            let access = tokens["access_token"].as_str().unwrap();
            assert_eq!(server.userinfo(access).await.status, 200);
            let answer = revoke(&server, "flyte", tokens[name].as_str().unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
            assert_eq!(answer.headers["cache-control"], "no-store");
            assert_eq!(answer.headers["access-control-allow-origin"], "*");
            assert_eq!(server.userinfo(access).await.status, 401, "immediately");
            let refresh = tokens["refresh_token"].as_str().unwrap();
            assert_eq!(server.refresh(refresh).await.error(), "invalid_grant");
            assert_eq!(server.userinfo(other["access_token"].as_str().unwrap()).await.status, 200);
            assert_eq!(revoke(&server, "flyte", tokens[name].as_str().unwrap()).await.status, 200, "again");
        }
    }

    #[tokio::test]
    async fn a_superseded_token_revokes_the_family_too() {
        let server = Server::start().await;
        let first = server.tokens().await;
        let second = server.refresh(first["refresh_token"].as_str().unwrap()).await.json();
        assert_eq!(revoke(&server, "flyte", first["refresh_token"].as_str().unwrap()).await.status, 200);
        let answer = server.refresh(second["refresh_token"].as_str().unwrap()).await;
        assert_eq!(answer.error(), "invalid_grant");
    }

    #[tokio::test]
    async fn tokens_of_other_clients_are_not_revoked() {
        let server = Server::start().await;
        let tokens = server.tokens().await;
        let (access, refresh) =
            (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
        let id = tokens["id_token"].as_str().unwrap();
        for (client, token) in [
            ("native", access),
            ("native", refresh),
            ("flyte", id),
            ("flyte", "flr_unknown"),
            ("flyte", "unknown"),
            ("flyte", &access[..access.len() - 2]),
        ] {
            assert_eq!(revoke(&server, client, token).await.status, 200, "{client}");
        }
        assert_eq!(server.userinfo(access).await.status, 200);
        assert_eq!(server.refresh(refresh).await.status, 200);
    }

    #[tokio::test]
    async fn an_expired_access_token_revokes_nothing() {
        let server = Server::start().await;
        let tokens = server.tokens().await;
        server.state.clock.advance(3600);
        assert_eq!(revoke(&server, "flyte", tokens["access_token"].as_str().unwrap()).await.status, 200);
        assert_eq!(server.refresh(tokens["refresh_token"].as_str().unwrap()).await.status, 200);
    }

    #[tokio::test]
    async fn the_client_must_authenticate_and_send_a_token() {
        let server = Server::start().await;
        for (pairs, error) in [
            (&[("token", "x")][..], "invalid_request"),
            (&[("client_id", "flyte")], "invalid_request"),
            (&[("client_id", "flyte"), ("token", "x"), ("token", "y")], "invalid_request"),
            (&[("client_id", "no-client"), ("token", "x")], "invalid_client"),
            (&[("client_id", "web app"), ("token", "x")], "invalid_client"),
        ] {
            assert_eq!(server.post("/oauth2/revoke", pairs).await.error(), error, "{pairs:?}");
        }
        let hinted = [("client_id", "flyte"), ("token", "x"), ("token_type_hint", "foreign")];
        assert_eq!(server.post("/oauth2/revoke", &hinted).await.status, 200);
    }
}
