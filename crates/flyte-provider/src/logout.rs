//! Signing out at a provider (OpenID Connect RP-Initiated Logout 1.0), and the provider's messages that a user has signed out there
//! (OpenID Connect Back-Channel Logout 1.0).

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use crate::{Provider, ProviderError, id_token};
use flyte_model::clock::UnixTime;
use flyte_settings::ProviderPreset;

/// The member of `events` that makes a token a logout token (Back-Channel Logout section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The types of logout tokens: the recommended one, in its short and its long form, and that of providers from before it.
const TYPES: [&str; 3] = ["logout+jwt", "application/logout+jwt", "JWT"];

/// A valid logout token. It names a user, a session at the provider, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// `iss`.
    pub issuer: String,
    /// The identifier of the user, like [`Profile::subject`](crate::Profile::subject).
    pub subject: Option<String>,
    /// `sid` of the session at the provider.
    pub sid: Option<String>,
    /// `jti`, which may be used once.
    pub id: String,
    /// The time at which it expires.
    pub expires_at: UnixTime,
    /// `iat`, Unix time in seconds: sessions that began later are not meant.
    pub issued_at: UnixTime,
}

impl Provider {
    /// Validates a logout token (section 2.6). The caller must accept each [`LogoutToken::id`] once.
    ///
    /// # Errors
    /// [`ProviderError`] if the token is not one of the provider for this server, or the provider's keys cannot be read.
    pub async fn logout_token(&self, token: &str) -> Result<LogoutToken, ProviderError> {
        let wrong = |what| Err(ProviderError::Wrong(what));
        if self.settings.preset == ProviderPreset::Github {
            return wrong("GitHub sends no logout tokens");
        }
        let metadata = self.metadata().await?;
        let (claims, _) = self.signed_as(&metadata, token, &TYPES).await?;
        self.check_issuer(&metadata, &claims)?;
        self.check_audience(&claims)?;
        id_token::check_times(&claims, self.clock.now())?;
        let event = claims.get("events").and_then(Value::as_object).and_then(|events| events.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return wrong("the token is no logout token: it has no such event");
        }
        // Otherwise an ID token with an additional claim would sign users out.
        if claims.contains_key("nonce") {
            return wrong("the logout token has a nonce");
        }
        let text = |name: &str| id_token::identifier(&claims, name).map(str::to_owned);
        // `sub` of Entra ID is not the identifier by which its users are known here.
        let subject = if self.settings.preset == ProviderPreset::Entra { text("oid") } else { text("sub") };
        let sid = text("sid");
        if subject.is_none() && sid.is_none() {
            return wrong("the logout token names neither a user nor a session");
        }
        let Some(id) = text("jti") else { return wrong("the logout token has no jti") };
        let expires_at = id_token::number(&claims, "exp").ok().flatten().unwrap_or_default();
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
        let issued_at = id_token::number(&claims, "iat").ok().flatten().unwrap_or_default();
        Ok(LogoutToken { issuer, subject, sid, id, expires_at, issued_at })
    }

    /// Whether users can sign out at the provider.
    pub async fn can_sign_out(&self) -> bool {
        self.metadata().await.is_ok_and(|metadata| metadata.end_session_endpoint.is_some())
    }

    /// Returns the address at which the browser signs out at the provider, and the `state` with which it comes back to this
    /// server's [`Provider::signed_out`]; `None` if the provider has no such address.
    ///
    /// # Errors
    /// [`ProviderError`] if the provider's endpoints are not known and cannot be read now.
    pub async fn sign_out(
        &self,
        id_token: Option<&SecretString>,
    ) -> Result<Option<(Url, String)>, ProviderError> {
        let metadata = self.metadata().await?;
        let Some(mut url) = metadata.end_session_endpoint.clone() else { return Ok(None) };
        let state = crate::authorization::random()?;
        let mut query = url.query_pairs_mut();
        if let Some(id_token) = id_token {
            query.append_pair("id_token_hint", id_token.expose_secret());
        }
        query
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", &self.signed_out())
            .append_pair("state", &state);
        drop(query);
        Ok(Some((url, state)))
    }

    /// The address of this server to which the browser returns after the sign-out at the provider.
    #[must_use]
    pub fn signed_out(&self) -> String {
        let base = self.callback.strip_suffix("/callback").unwrap_or(&self.callback);
        format!("{base}/signed-out")
    }
}
