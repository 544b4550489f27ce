//! The UserInfo endpoint (OpenID Connect Core section 5.3).

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::error::{self, OAuthError};
use crate::AuthorizationServer;
use flyte_model::{Scope, Scopes};
use flyte_store::User;

/// Claims about a user (OpenID Connect Core section 5.1), limited by the scopes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserClaims {
    /// Stable identifier.
    pub sub: String,
    /// Full name; with `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The first word of the name; with `profile`. Flyte 2 backends display this and `family_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// The rest of the name, if it has several words; with `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// The e-mail address for signing in; with `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// E-mail address; with `email`. There is no `email_verified`, because the server does not verify addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl UserClaims {
    /// Returns the claims about `user` that `scopes` allow.
    #[must_use]
    pub fn of(user: &User, scopes: &Scopes) -> Self {
        let profile = scopes.contains(&Scope::PROFILE);
        let name = Some(user.name.trim()).filter(|name| profile && !name.is_empty());
        let (given, family) = name.and_then(|name| name.split_once(char::is_whitespace)).unzip();
        Self {
            sub: user.id.clone(),
            name: name.map(str::to_owned),
            given_name: given.or(name).map(str::to_owned),
            family_name: family.map(|family| family.trim().to_owned()),
            preferred_username: profile.then(|| user.email.clone()),
            email: scopes.contains(&Scope::EMAIL).then(|| user.email.clone()),
        }
    }
}

/// Handles GET and POST with a bearer token in the header (RFC 6750 section 2.1).
pub(super) async fn respond(State(server): State<Arc<AuthorizationServer>>, headers: HeaderMap) -> Response {
    let caller = match server.access.authenticate(&headers).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    if !caller.scopes.contains(&Scope::OPENID) {
        return insufficient_scope();
    }
    let mut response = match server.store.user_by_id(&caller.subject).await {
        Ok(Some(user)) => Json(UserClaims::of(&user, &caller.scopes)).into_response(),
        // The account was deleted after the token was verified.
        Ok(None) => OAuthError::invalid_grant("the user does not exist").into_response(),
        Err(error) => OAuthError::from(error).into_response(),
    };
    error::no_store(response.headers_mut());
    response
}

/// The response for a token without `openid` (RFC 6750 section 3.1).
fn insufficient_scope() -> Response {
    let mut response = StatusCode::FORBIDDEN.into_response();
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer error=\"insufficient_scope\", scope=\"openid\""),
    );
    error::no_store(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Server;

    #[test]
    fn a_scope_gives_only_its_own_claims() {
        let user = User {
            id: "u".into(),
            email: "ada@example.com".into(),
            name: "Ada".into(),
            password_hash: None,
            admin: false,
            created_at: 0,
            disabled_at: None,
        };
        for (scopes, expected) in [
            ("openid", r#"{"sub":"u"}"#),
            ("openid all", r#"{"sub":"u"}"#),
            ("openid email", r#"{"sub":"u","email":"ada@example.com"}"#),
            (
                "openid profile",
                r#"{"sub":"u","name":"Ada","given_name":"Ada","preferred_username":"ada@example.com"}"#,
            ),
        ] {
            let claims = UserClaims::of(&user, &scopes.parse().unwrap());
            assert_eq!(serde_json::to_string(&claims).unwrap(), expected, "{scopes}");
        }
        let names = |name: &str| {
            let user = User { name: name.to_owned(), ..user.clone() };
            let claims = UserClaims::of(&user, &[Scope::PROFILE].into());
            (claims.name, claims.given_name, claims.family_name)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(names(" "), (None, None, None));
        assert_eq!(
            names("Ada  King Lovelace"),
            (text("Ada  King Lovelace"), text("Ada"), text("King Lovelace"))
        );
    }

    #[tokio::test]
    async fn the_scopes_of_the_token_decide_the_claims() {
        let server = Server::start().await;
        let mut browser = server.browser("Ada").await;
        for (scope, expected) in [
            ("openid email", serde_json::json!({"sub": "user-Ada", "email": "ada@example.com"})),
            ("openid", serde_json::json!({"sub": "user-Ada"})),
        ] {
            let code = browser.authorize(&[("scope", scope)]).await.query("code");
            let tokens = server.redeem(&code).await.json();
            let answer = server.userinfo(tokens["access_token"].as_str().unwrap()).await;
            assert_eq!(answer.json(), expected);
            assert_eq!(answer.headers["cache-control"], "no-store");
            assert_eq!(answer.headers["access-control-allow-origin"], "*");
        }
    }

    #[tokio::test]
    async fn a_token_without_openid_is_refused() {
        let server = Server::start().await;
        let code = server.browser("Ada").await.authorize(&[("scope", "all email")]).await.query("code");
        let tokens = server.redeem(&code).await.json();
        let answer = server.userinfo(tokens["access_token"].as_str().unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (403, ""));
        let challenge = answer.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
    }

    #[tokio::test]
    async fn without_a_valid_token_the_response_has_a_challenge() {
        let server = Server::start().await;
        let tokens = server.tokens().await;
        server.state.clock.advance(3600);
        for token in
            ["", "x", tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap()]
        {
            let answer = server.userinfo(token).await;
            assert_eq!(answer.status, 401, "{token}");
            let challenge = answer.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
        }
    }
}
