//! A provider, and the way of a sign-in through it.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use crate::{
    Attempt, Confirmed, Groups, Profile, Proof, ProviderError,
    claims::Documents,
    id_token,
    metadata::{Metadata, MetadataCache},
    profile::organization,
};
use flyte_issuer::{Authorities, Fetcher, KeyCache, Reach};
use flyte_model::clock::Clock;
use flyte_settings::{ProviderConfig, ProviderPreset};

/// A provider of the settings.
#[derive(Debug)]
pub struct Provider {
    pub(crate) settings: ProviderConfig,
    /// The redirect URI of this server.
    pub(crate) callback: String,
    pub(crate) clock: Clock,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) keys: KeyCache,
    pub(crate) metadata: MetadataCache,
}

/// What the browser comes back with, apart from `state`.
#[derive(Debug)]
pub struct Callback {
    /// `code`.
    pub code: SecretString,
    /// `iss` (RFC 9207).
    pub issuer: Option<String>,
}

impl Provider {
    /// Creates a provider. Nothing is fetched yet.
    #[must_use]
    pub fn new(settings: ProviderConfig, callback: String, authorities: Authorities, clock: Clock) -> Self {
        let reach = if settings.allow_internal { Reach::Anywhere } else { Reach::Public };
        let fetcher = Arc::new(Fetcher::new(authorities, reach));
        Self {
            keys: KeyCache::with(Arc::clone(&fetcher), clock.clone()),
            settings,
            callback,
            clock,
            fetcher,
            metadata: MetadataCache::default(),
        }
    }

    /// The name of its section.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The text of its button, after "Continue with".
    #[must_use]
    pub fn label(&self) -> &str {
        &self.settings.label
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &ProviderConfig {
        &self.settings
    }

    /// Checks that the callback is from this provider, before its code goes anywhere (RFC 9207 section 2.4). This also
    /// holds for an error in place of a code.
    ///
    /// # Errors
    /// [`ProviderError`] if it is from another issuer, or does not have the `iss` that the provider announces.
    pub async fn check_callback(&self, issuer: Option<&str>) -> Result<(), ProviderError> {
        let metadata = self.metadata().await?;
        match issuer {
            Some(issuer) if self.is_own(&metadata, issuer) => Ok(()),
            Some(_) => Err(ProviderError::Wrong("the callback is from another issuer")),
            None if metadata.sends_issuer => Err(ProviderError::Wrong("the callback has no iss")),
            None => Ok(()),
        }
    }

    /// Whether users of this issuer sign in through this provider.
    #[must_use]
    pub fn serves(&self, issuer: &str) -> bool {
        if self.settings.issuer == issuer {
            return true;
        }
        // Entra ID: one section can be for several tenants, each of which is an issuer.
        let host = |text: &str| Url::parse(text).ok().map(|url| url.origin());
        self.settings.preset == ProviderPreset::Entra
            && !self.settings.allowed_tenants.is_empty()
            && host(issuer).is_some_and(|origin| host(&self.settings.issuer) == Some(origin))
    }

    fn is_own(&self, metadata: &Metadata, issuer: &str) -> bool {
        if self.settings.preset == ProviderPreset::Github {
            return self.is_github(issuer);
        }
        match metadata.issuer.split_once(crate::metadata::TENANT) {
            // The tenant is known when the ID token is.
            Some((before, after)) => {
                issuer.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some()
            }
            None => issuer == metadata.issuer,
        }
    }

    /// Exchanges the code and returns the user. The caller has found the attempt by `state` and by the browser's cookie.
    ///
    /// # Errors
    /// [`ProviderError`] if the provider does not work, or its answer must not be trusted.
    pub async fn finish(&self, callback: &Callback, attempt: &Attempt) -> Result<Confirmed, ProviderError> {
        if attempt.provider != self.settings.name {
            return Err(ProviderError::Wrong("the sign-in was begun at another provider"));
        }
        self.check_callback(callback.issuer.as_deref()).await?;
        let metadata = self.metadata().await?;
        let tokens = self.exchange(&metadata, &callback.code, attempt).await?;
        if self.settings.preset == ProviderPreset::Github {
            let profile = self.github_profile(&tokens.access_token).await?;
            return Ok(Confirmed {
                profile,
                proof: Some(Proof::of_github(tokens)),
                id_token: None,
                sid: None,
            });
        }
        let Some(id_token) = &tokens.id_token else {
            return Err(ProviderError::Wrong("the token endpoint's answer has no ID token"));
        };
        let claims = self.id_token(&metadata, id_token, &tokens.access_token, attempt).await?;
        let profile = self.completed(&metadata, &claims, &tokens.access_token).await?;
        let sid = id_token::identifier(&claims, "sid").map(str::to_owned);
        let proof = tokens.refresh_token.map(Proof::Refresh);
        Ok(Confirmed { profile, proof, id_token: tokens.id_token, sid })
    }

    /// Returns the user of these claims, with what UserInfo adds.
    pub(crate) async fn completed(
        &self,
        metadata: &Metadata,
        claims: &Map<String, Value>,
        access_token: &SecretString,
    ) -> Result<Profile, ProviderError> {
        let userinfo = if self.needs_userinfo(claims) {
            let subject = id_token::subject(claims).unwrap_or_default();
            self.userinfo(metadata, access_token, subject).await?
        } else {
            None
        };
        self.profile(claims, userinfo.as_ref())
    }

    /// Whether the ID token lacks a claim that UserInfo may have.
    fn needs_userinfo(&self, claims: &Map<String, Value>) -> bool {
        let settings = &self.settings;
        let documents = Documents(std::slice::from_ref(&claims));
        let email = documents.find(&settings.email_claim).is_none()
            || documents.find(&settings.email_verified_claim).is_none();
        let groups = settings.groups_claim.is_some() && documents.groups(settings) == Groups::Unknown;
        email || groups || documents.find(&settings.name_claim).is_none()
    }

    pub(crate) fn profile(
        &self,
        claims: &Map<String, Value>,
        userinfo: Option<&Map<String, Value>>,
    ) -> Result<Profile, ProviderError> {
        let settings = &self.settings;
        let documents: Vec<_> = [claims].into_iter().chain(userinfo).collect();
        let documents = Documents(&documents);
        // The tenant and the workspace must be signed, so they are read from the ID token only.
        let (subject, organization) = match settings.preset {
            // `sub` differs between registrations; `oid` is the user's in the tenant that `iss` names.
            ProviderPreset::Entra => (id_token::identifier(claims, "oid"), organization(claims, "tid")),
            ProviderPreset::Google => (id_token::subject(claims), organization(claims, "hd")),
            _ => (id_token::subject(claims), None),
        };
        let subject = subject.ok_or(ProviderError::Wrong("the ID token does not identify the user"))?;
        Ok(Profile {
            provider: settings.name.clone(),
            issuer: claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned(),
            subject: subject.to_owned(),
            email: documents.email(settings),
            verified_email: documents.verified_email(settings),
            name: documents.name(settings),
            groups: documents.groups(settings),
            organization,
            authenticated_at: id_token::number(claims, "auth_time").ok().flatten(),
        })
    }
}
