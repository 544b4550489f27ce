//! The endpoints of a provider, from its discovery document, cached.

use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use crate::Provider;
use flyte_issuer::{Discovery, IssuerError, MIN_FETCH_INTERVAL_SECONDS, is_safe};
use flyte_model::clock::UnixTime;
use flyte_settings::ProviderPreset;

/// How long a document is used, in seconds.
const FRESH_SECONDS: i64 = 3600;
/// How long a document is used while the provider does not answer, in seconds.
const STALE_SECONDS: i64 = 86_400;
/// What Entra ID's document for several tenants has in place of a tenant.
pub(crate) const TENANT: &str = "{tenantid}";

/// What this server needs to know of a provider.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    /// `issuer`, which may contain [`TENANT`] for Entra ID.
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) userinfo_endpoint: Option<Url>,
    /// Empty for GitHub, which signs nothing.
    pub(crate) jwks_uri: String,
    /// Whether the callback always has `iss` (RFC 9207 section 3).
    pub(crate) sends_issuer: bool,
    /// Whether the scope `offline_access` is supported.
    pub(crate) has_offline_access: bool,
    /// Where users sign out there (OpenID Connect RP-Initiated Logout section 2.1).
    pub(crate) end_session_endpoint: Option<Url>,
    /// How clients authenticate; `None` if the provider does not say so.
    pub(crate) auth_methods: Option<Vec<String>>,
}

/// The cached document. Errors are not cached.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache {
    known: Mutex<Option<(Arc<Metadata>, UnixTime)>>,
    /// The time of the last request. The holder of the lock sends the request.
    asked_at: tokio::sync::Mutex<Option<UnixTime>>,
}

impl MetadataCache {
    fn get(&self, now: UnixTime, age: i64) -> Option<Arc<Metadata>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(_, at)| now.saturating_sub(*at) < age).map(|(found, _)| Arc::clone(found))
    }
}

impl Provider {
    /// Returns the provider's endpoints.
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>, IssuerError> {
        if let Some(found) = self.metadata.get(self.clock.now(), FRESH_SECONDS) {
            return Ok(found);
        }
        let mut asked_at = self.metadata.asked_at.lock().await;
        let now = self.clock.now();
        if let Some(found) = self.metadata.get(now, FRESH_SECONDS) {
            return Ok(found);
        }
        let outcome = if asked_at.is_some_and(|at| now.saturating_sub(at) < MIN_FETCH_INTERVAL_SECONDS) {
            Err(IssuerError::Paused { issuer: self.settings.issuer.clone() })
        } else {
            *asked_at = Some(now);
            self.read_metadata().await
        };
        match outcome {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                let mut known = self.metadata.known.lock().unwrap_or_else(PoisonError::into_inner);
                *known = Some((Arc::clone(&metadata), now));
                Ok(metadata)
            }
            Err(error) => self.metadata.get(now, STALE_SECONDS).ok_or(error),
        }
    }

    async fn read_metadata(&self) -> Result<Metadata, IssuerError> {
        if self.settings.preset == ProviderPreset::Github {
            return self.github_metadata();
        }
        let issuer = &self.settings.issuer;
        let discovery = Discovery::fetch(&self.fetcher, issuer).await?;
        let published = discovery.issuer()?;
        if published != issuer && !self.is_tenant_template(published) {
            let what =
                format!("its issuer is {published:?}; write exactly that into \"issuer\", if it is right");
            return Err(discovery.wrong(what));
        }
        let required = |name: &str| {
            let url = discovery.endpoint(name)?;
            url.filter(is_safe).ok_or_else(|| discovery.wrong(format!("it has no usable {name}")))
        };
        let texts = |name: &str| {
            discovery.list(name).map(|texts| texts.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        Ok(Metadata {
            issuer: published.to_owned(),
            authorization_endpoint: required("authorization_endpoint")?,
            token_endpoint: required("token_endpoint")?,
            userinfo_endpoint: discovery.endpoint("userinfo_endpoint")?,
            jwks_uri: required("jwks_uri")?.to_string(),
            sends_issuer: discovery.is_true("authorization_response_iss_parameter_supported"),
            has_offline_access: texts("scopes_supported")
                .is_some_and(|scopes| scopes.iter().any(|scope| scope == "offline_access")),
            end_session_endpoint: discovery.endpoint("end_session_endpoint")?.filter(is_safe),
            auth_methods: texts("token_endpoint_auth_methods_supported"),
        })
    }

    /// Whether this is the issuer of Entra ID's document for several tenants, on the configured host. Without a list of tenants, each
    /// tenant could sign in.
    fn is_tenant_template(&self, published: &str) -> bool {
        let host = |text: &str| Url::parse(&text.replace(TENANT, "t")).ok().map(|url| url.origin());
        self.settings.preset == ProviderPreset::Entra
            && !self.settings.allowed_tenants.is_empty()
            && published.matches(TENANT).count() == 1
            && host(published).is_some_and(|origin| host(&self.settings.issuer) == Some(origin))
    }
}
