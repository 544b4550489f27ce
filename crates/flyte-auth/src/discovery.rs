//! Where and as what to sign in.
//!
//! Flyte's own `AuthMetadataService` is asked first, then the well-known documents of RFC 8414 and OpenID Connect
//! Discovery, so that any OAuth 2 provider can be signed in to.

mod metadata;
mod well_known;

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use flyte_config::Endpoint;
use flyte_idl::flyteidl2::auth::{GetOAuth2MetadataResponse, GetPublicClientConfigResponse};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use self::metadata::Asked;
use crate::{AuthError, answer::is_same, http::Http, token::clean};

/// The longest discovery document that is read, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;
/// Where a provider that names no redirect URI sends the browser back to: Flyte's usual loopback address.
const DEFAULT_REDIRECT_URI: &str = "http://localhost:53593/callback";
/// The name of the member of a discovery document (RFC 8414 section 2, RFC 8628 section 4).
pub const TOKEN_ENDPOINT: &str = "token_endpoint";
/// See [`TOKEN_ENDPOINT`].
pub const AUTHORIZATION_ENDPOINT: &str = "authorization_endpoint";
/// See [`TOKEN_ENDPOINT`].
pub const DEVICE_ENDPOINT: &str = "device_authorization_endpoint";
const REVOCATION_ENDPOINT: &str = "revocation_endpoint";
const USERINFO_ENDPOINT: &str = "userinfo_endpoint";
/// Asked for where neither the server nor the configuration names scopes.
const DEFAULT_SCOPES: [&str; 2] = ["openid", "offline_access"];

/// Everything that signing in and refreshing need to know about the authorization server. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Issuer identifier; empty if the server names none.
    pub issuer: String,
    /// The authorization endpoint (RFC 6749 section 3.1).
    pub authorization_endpoint: Option<Url>,
    /// The token endpoint (RFC 6749 section 3.2).
    pub token_endpoint: Url,
    /// The device authorization endpoint (RFC 8628 section 3.1).
    pub device_authorization_endpoint: Option<Url>,
    /// The revocation endpoint (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// The public client to be.
    pub client_id: Option<String>,
    /// Where the browser is sent back to.
    pub redirect_uri: Url,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// The audience to ask for.
    pub audience: Option<String>,
    /// The request header that carries the token, in lower case.
    pub header: String,
    /// Whether each answer of the authorization endpoint carries `iss` (RFC 9207 section 3).
    pub answers_with_issuer: bool,
    /// Whether it speaks Flyte's own discovery, rather than being any OAuth 2 provider.
    pub flyte: bool,
    /// How clients may prove who they are at the token endpoint (RFC 8414 section 2); empty where it does not tell.
    #[serde(default)]
    pub client_authentication: Vec<String>,
    /// Endpoints that signing in does not use, such as `jwks_uri`, by the name of the member.
    #[serde(default)]
    pub others: BTreeMap<String, Url>,
    /// Members that were left out because they cannot be used, with what came in their place.
    #[serde(default)]
    pub unusable: BTreeMap<String, String>,
}

/// Notes a member that is left out.
fn url_is_left_out(unusable: &mut BTreeMap<String, String>, member: &str, came: String) {
    tracing::warn!("the server's {member} is left out: it is {came}");
    unusable.insert(member.to_owned(), came);
}

/// What the configuration says about signing in, for what the server leaves open.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `admin.clientId`, used where the server names no client.
    pub client_id: Option<String>,
    /// `admin.scopes`, used instead of the server's.
    pub scopes: Vec<String>,
}

/// Finds out where to sign in to reach `endpoint`.
///
/// # Errors
/// [`AuthError::Unreachable`], [`AuthError::WrongEndpoint`] where a web page answers, [`AuthError::Answered`] where something
/// in between does, [`AuthError::NoSignIn`] for a control plane that has none, [`AuthError::Discovery`] where nothing tells,
/// [`AuthError::InsecureUrl`] where it names an address that credentials must not go to.
pub async fn discover(
    http: &Http,
    endpoint: &Endpoint,
    overrides: &Overrides,
) -> Result<Provider, AuthError> {
    let (metadata, client) = tokio::join!(
        metadata::ask::<GetOAuth2MetadataResponse>(http, endpoint, "GetOAuth2Metadata"),
        metadata::ask::<GetPublicClientConfigResponse>(http, endpoint, "GetPublicClientConfig"),
    );
    // What the network did is the cause of all that comes after it.
    if let Err(error @ AuthError::Unreachable { .. }) = metadata {
        return Err(error);
    }
    let client = match client {
        Err(error @ AuthError::Unreachable { .. }) => return Err(error),
        other => other,
    };
    let mut provider = match metadata {
        Ok(Asked::Here(metadata)) if !metadata.token_endpoint.trim().is_empty() => {
            metadata::provider(&metadata, endpoint)?.with_client(client?.here())
        }
        other => {
            let first = match other {
                Ok(Asked::Here(_)) => discovery(endpoint, "GetOAuth2Metadata has no token endpoint"),
                Ok(Asked::NotOffered { by_control_plane: true, .. }) => {
                    AuthError::NoSignIn { endpoint: endpoint.to_string() }
                }
                Ok(Asked::NotOffered { told, .. }) => {
                    discovery(endpoint, format!("{told}, and there is no well-known document"))
                }
                Err(error) => error,
            };
            match well_known::first(http, endpoint.url(), true).await {
                Ok(document) => document.provider(endpoint)?.with_client(client.ok().and_then(Asked::here)),
                // A document that is there but cannot be used is the cause.
                Err(Some(odd))
                    if matches!(first, AuthError::Discovery { .. } | AuthError::NoSignIn { .. }) =>
                {
                    return Err(discovery(endpoint, odd));
                }
                Err(_) => return Err(first),
            }
        }
    };
    if provider.revocation_endpoint.is_none()
        && provider.flyte
        && let Some(issuer) = Url::parse(&provider.issuer).ok().filter(trusted)
        // The service tells neither the revocation endpoint nor RFC 9207; the issuer's own document does.
        && let Ok(document) = well_known::first(http, &issuer, false).await
        && document.issuer.trim_end_matches('/') == provider.issuer.trim_end_matches('/')
    {
        provider.others.extend(document.others);
        provider.revocation_endpoint = document.revocation_endpoint;
        provider.answers_with_issuer = document.answers_with_issuer && document.issuer == provider.issuer;
    }
    if !overrides.scopes.is_empty() {
        provider.scopes.clone_from(&overrides.scopes);
    }
    provider.client_id = provider.client_id.or_else(|| overrides.client_id.clone());
    provider.checked()
}

fn discovery(endpoint: &Endpoint, reason: impl Into<String>) -> AuthError {
    AuthError::Discovery { url: endpoint.url().to_string(), reason: reason.into() }
}

fn default_redirect_uri(endpoint: &Endpoint) -> Result<Url, AuthError> {
    Url::parse(DEFAULT_REDIRECT_URI).map_err(|error| discovery(endpoint, error.to_string()))
}

/// Whether credentials may go to this address: https, or this machine.
fn trusted(url: &Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && is_loopback(url)
}

/// Whether the URL's host is this machine (RFC 8252 section 7.3).
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Provider {
    /// All endpoints that discovery names, by the name of the member. Those that this client uses come first.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &Url)> {
        let optional = [
            (AUTHORIZATION_ENDPOINT, &self.authorization_endpoint),
            (DEVICE_ENDPOINT, &self.device_authorization_endpoint),
            (REVOCATION_ENDPOINT, &self.revocation_endpoint),
        ];
        std::iter::once((TOKEN_ENDPOINT, &self.token_endpoint))
            .chain(optional.into_iter().filter_map(|(name, url)| Some((name, url.as_ref()?))))
            .chain(self.others.iter().map(|(name, url)| (name.as_str(), url)))
    }

    /// The UserInfo endpoint (OpenID Connect Core section 5.3).
    pub(crate) fn userinfo_endpoint(&self) -> Option<&Url> {
        let (_, url) = self.others.iter().find(|(name, _)| is_same(name, USERINFO_ENDPOINT))?;
        Some(url).filter(|url| trusted(url))
    }

    /// Refuses a token endpoint that credentials must not go to, and leaves other such addresses out.
    fn checked(mut self) -> Result<Self, AuthError> {
        if !trusted(&self.token_endpoint) {
            return Err(AuthError::InsecureUrl { what: "token endpoint", url: self.token_endpoint });
        }
        for (member, endpoint) in [
            (AUTHORIZATION_ENDPOINT, &mut self.authorization_endpoint),
            (DEVICE_ENDPOINT, &mut self.device_authorization_endpoint),
            (REVOCATION_ENDPOINT, &mut self.revocation_endpoint),
        ] {
            if let Some(url) = endpoint.take_if(|url| !trusted(url)) {
                url_is_left_out(&mut self.unusable, member, format!("{url}, which is not https"));
            }
        }
        Ok(self)
    }

    /// Adds what `GetPublicClientConfig` tells, where it tells something.
    fn with_client(mut self, client: Option<GetPublicClientConfigResponse>) -> Self {
        let Some(client) = client else { return self };
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let scopes: Vec<_> = client.scopes.iter().filter_map(|scope| text(scope)).collect();
        self.flyte |= text(&client.client_id).is_some();
        self.client_id = text(&client.client_id).or(self.client_id);
        if !scopes.is_empty() {
            self.scopes = scopes;
        }
        self.audience = text(&client.audience).or(self.audience);
        if let Some(header) = text(&client.authorization_metadata_key) {
            self.header = header.to_ascii_lowercase();
        }
        match text(&client.redirect_uri).map(|uri| (Url::parse(&uri), uri)) {
            Some((Ok(uri), _)) => self.redirect_uri = uri,
            Some((Err(_), came)) => {
                url_is_left_out(&mut self.unusable, "redirect_uri", format!("{:?}", clean(&came)));
            }
            None => {}
        }
        self
    }

    /// The authorization endpoint, or why there is none.
    pub(crate) fn authorization_endpoint(&self) -> Result<&Url, AuthError> {
        self.authorization_endpoint.as_ref().ok_or_else(|| self.without(AUTHORIZATION_ENDPOINT))
    }

    /// The device authorization endpoint, or why there is none.
    pub(crate) fn device_authorization_endpoint(&self) -> Result<&Url, AuthError> {
        self.device_authorization_endpoint.as_ref().ok_or_else(|| match self.unusable.get(DEVICE_ENDPOINT) {
            Some(_) => self.without(DEVICE_ENDPOINT),
            None => AuthError::NoDeviceFlow { issuer: self.issuer.clone() },
        })
    }

    fn without(&self, member: &str) -> AuthError {
        let url = if self.issuer.is_empty() { self.token_endpoint.to_string() } else { self.issuer.clone() };
        let reason = match self.unusable.get(member) {
            Some(came) => format!("its {member} is {came}"),
            None => format!("it has no {member}"),
        };
        AuthError::Discovery { url, reason }
    }

    /// The client ID, or the error that tells how to give one.
    pub(crate) fn client_id(&self) -> Result<&str, AuthError> {
        self.client_id.as_deref().ok_or_else(|| AuthError::NoClientId { issuer: self.issuer.clone() })
    }

    /// Reads what was learned last time; anything unreadable counts as nothing learned.
    pub(crate) fn cached(path: &Path) -> Option<Self> {
        let provider: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        provider.checked().ok()
    }

    /// Keeps this for the next command. A cache that cannot be written costs a discovery, nothing more.
    pub(crate) fn cache(&self, path: &Path) {
        let written = (|| {
            let directory = path.parent()?;
            let mut file = tempfile::NamedTempFile::new_in(directory).ok()?;
            file.write_all(&serde_json::to_vec(self).ok()?).ok()?;
            file.persist(path).ok()
        })();
        if written.is_none() {
            tracing::debug!(path = %path.display(), "discovery could not be cached");
        }
    }
}
