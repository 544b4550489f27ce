//! Asking a provider again about a user who has signed in.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use crate::{Profile, Provider, ProviderError, exchange::Tokens, metadata::Metadata};
use flyte_settings::ProviderPreset;

/// A user who has signed in at a provider, or is still accepted there.
#[derive(Debug)]
pub struct Confirmed {
    /// The user.
    pub profile: Profile,
    /// With what the provider can be asked again; `None` if it gave nothing, or if the current one stays.
    pub proof: Option<Proof>,
    /// The ID token of a sign-in.
    pub id_token: Option<SecretString>,
    /// `sid` of the session at the provider.
    pub sid: Option<String>,
}

/// The answer about a user who has signed in before.
#[derive(Debug)]
pub struct Rechecked {
    /// The user, or the reason why the provider did not say who it is; see [`ProviderError::ends_access`].
    pub outcome: Result<Profile, ProviderError>,
    /// What replaces the proof that was used, also if the outcome is an error.
    pub proof: Option<Proof>,
}

/// With what a provider can be asked again about a user.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A refresh token. Many providers replace it with each use.
    Refresh(SecretString),
    /// An access token of GitHub that works until it is revoked.
    Access(SecretString),
}

impl Proof {
    /// GitHub's OAuth apps get access tokens without an end; its GitHub apps get refresh tokens.
    pub(crate) fn of_github(tokens: Tokens) -> Self {
        tokens.refresh_token.map_or(Self::Access(tokens.access_token), Self::Refresh)
    }

    /// Returns the text that [`Proof::parse`] reads. It is as secret as the token.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let (kind, token) = match self {
            Self::Refresh(token) => ("refresh", token),
            Self::Access(token) => ("access", token),
        };
        format!("{kind} {}", token.expose_secret()).into()
    }

    /// Reads the text of [`Proof::to_text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ')? {
            ("refresh", token) => Some(Self::Refresh(token.into())),
            ("access", token) => Some(Self::Access(token.into())),
            _ => None,
        }
    }
}

/// Whether an error code of a provider means that the user must sign in again, rather than that something is set up wrong.
fn is_about_the_user(code: &str) -> bool {
    matches!(
        code,
        "invalid_grant"
            | "bad_refresh_token"
            | "interaction_required"
            | "login_required"
            | "consent_required"
            | "account_selection_required"
    )
}

impl ProviderError {
    /// Whether the provider no longer accepts the user, so that access must end now.
    #[must_use]
    pub fn ends_access(&self) -> bool {
        matches!(self, Self::Refused(code) if is_about_the_user(code))
    }
}

impl Provider {
    /// Whether the provider is asked again about its users.
    #[must_use]
    pub fn rechecks(&self) -> bool {
        self.settings.recheck > 0
    }

    /// The scopes of a sign-in. A refresh token often needs one more (OpenID Connect Core section 11).
    pub(crate) fn scopes(&self, metadata: &Metadata) -> String {
        let mut scopes = self.settings.scopes.join(" ");
        let has = self.settings.scopes.iter().any(|scope| scope == OFFLINE_ACCESS);
        if self.rechecks() && metadata.has_offline_access && !has {
            scopes.push(' ');
            scopes.push_str(OFFLINE_ACCESS);
        }
        scopes
    }

    /// Asks the provider again about the user with this issuer and subject.
    pub async fn recheck(&self, proof: &Proof, issuer: &str, subject: &str) -> Rechecked {
        let is_github = self.settings.preset == ProviderPreset::Github;
        let token = match proof {
            Proof::Access(token) if is_github => {
                return Rechecked { outcome: self.github_profile(token).await, proof: None };
            }
            Proof::Access(_) => {
                let error = ProviderError::Wrong("an access token cannot be renewed");
                return Rechecked { outcome: Err(error), proof: None };
            }
            Proof::Refresh(token) => token,
        };
        let tokens = match self.refresh(token).await {
            Ok(tokens) => tokens,
            Err(error) => return Rechecked { outcome: Err(error), proof: None },
        };
        let outcome = if is_github {
            self.github_profile(&tokens.access_token).await
        } else {
            self.refreshed(&tokens, issuer, subject).await
        };
        Rechecked { outcome, proof: tokens.refresh_token.map(Proof::Refresh) }
    }

    /// Returns the user of a refresh.
    async fn refreshed(
        &self,
        tokens: &Tokens,
        issuer: &str,
        subject: &str,
    ) -> Result<Profile, ProviderError> {
        let metadata = self.metadata().await?;
        if let Some(id_token) = &tokens.id_token {
            let claims = self.refreshed_id_token(&metadata, id_token, &tokens.access_token).await?;
            return self.completed(&metadata, &claims, &tokens.access_token).await;
        }
        // Core section 12.2: a refresh may give no ID token. UserInfo then says who it is.
        if self.settings.preset == ProviderPreset::Entra {
            return Err(ProviderError::Wrong("the answer to a refresh has no ID token"));
        }
        let userinfo = self.userinfo(&metadata, &tokens.access_token, subject).await?;
        let Some(userinfo) = userinfo else {
            return Err(ProviderError::Wrong(
                "the answer to a refresh has no ID token, and there is no UserInfo",
            ));
        };
        let known = json!({"iss": issuer, "sub": subject});
        let known: Map<String, Value> = known.as_object().cloned().unwrap_or_default();
        self.profile(&known, Some(&userinfo))
    }
}

/// The scope for refresh tokens.
const OFFLINE_ACCESS: &str = "offline_access";
