//! Discovery of the authorization server and the client to sign in with.
//!
//! Discovery calls Flyte's own `AuthMetadataService` first. Then it reads the well-known documents of RFC 8414 and OpenID Connect
//! Discovery, so that any OAuth 2 provider works.

mod metadata;
mod well_known;

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use flyte_config::Endpoint;
use flyte_idl::flyteidl2::auth::{GetOAuth2MetadataResponse, GetPublicClientConfigResponse};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use self::metadata::Answer;
use crate::{
    AuthError,
    answer::is_same,
    http::Http,
    oauth::{ClientId, Scope},
    token::clean,
};

/// The longest discovery document that is read, in bytes.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// The redirect URI if the provider names none: Flyte's usual loopback address.
const DEFAULT_REDIRECT_URI: &str = "http://localhost:53593/callback";
/// The name of a member of discovery documents (RFC 8414 section 2, RFC 8628 section 4).
pub const TOKEN_ENDPOINT: &str = "token_endpoint";
/// See [`TOKEN_ENDPOINT`].
pub const AUTHORIZATION_ENDPOINT: &str = "authorization_endpoint";
/// See [`TOKEN_ENDPOINT`].
pub const DEVICE_ENDPOINT: &str = "device_authorization_endpoint";
const REVOCATION_ENDPOINT: &str = "revocation_endpoint";
const USERINFO_ENDPOINT: &str = "userinfo_endpoint";
/// The requested scopes if the server and the configuration name none.
const DEFAULT_SCOPES: &str = "openid offline_access";

/// What signing in and refreshing need to know about the authorization server. Nothing in it is secret.
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
    /// The public client to sign in with.
    pub client_id: Option<ClientId>,
    /// The address that the browser returns to.
    pub redirect_uri: Url,
    /// The scopes to request.
    pub scopes: Vec<Scope>,
    /// The audience to request.
    pub audience: Option<String>,
    /// The request header that carries the token, in lower case.
    pub header: String,
    /// Whether each answer of the authorization endpoint has `iss` (RFC 9207 section 3).
    pub answers_with_issuer: bool,
    /// Whether the server has Flyte's own discovery. Otherwise it is a general OAuth 2 provider.
    pub flyte: bool,
    /// The authentication methods of clients at the token endpoint (RFC 8414 section 2); empty if the server does not say.
    #[serde(default)]
    pub client_authentication: Vec<String>,
    /// Endpoints that signing in does not use (for example `jwks_uri`), by the name of the member.
    #[serde(default)]
    pub others: BTreeMap<String, Url>,
    /// Members that cannot be used and were left out, with a description of their values.
    #[serde(default)]
    pub unusable: BTreeMap<String, String>,
}

/// Records a member that is left out.
fn leave_out(unusable: &mut BTreeMap<String, String>, member: &str, found: String) {
    tracing::warn!("the server's {member} is left out: it is {found}");
    unusable.insert(member.to_owned(), found);
}

/// The client and the scopes of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `admin.clientId`, which is used if the server names no client.
    pub client_id: Option<ClientId>,
    /// `admin.scopes`, which replace the server's scopes.
    pub scopes: Vec<Scope>,
}

/// Finds out where to sign in to reach `endpoint`.
///
/// # Errors
/// [`AuthError::Unreachable`], [`AuthError::WrongEndpoint`] if a web page answers, [`AuthError::Answered`] if an intermediary
/// answers, [`AuthError::NoSignIn`] if the control plane has no sign-in, [`AuthError::Discovery`] if no document can be used,
/// [`AuthError::InsecureUrl`] if a document names an address that credentials must not go to.
pub async fn discover(
    http: &Http,
    endpoint: &Endpoint,
    overrides: &Overrides,
) -> Result<Provider, AuthError> {
    let (metadata, client) = tokio::join!(
        metadata::call::<GetOAuth2MetadataResponse>(http, endpoint, "GetOAuth2Metadata"),
        metadata::call::<GetPublicClientConfigResponse>(http, endpoint, "GetPublicClientConfig"),
    );
    // A network failure is the root cause of later failures.
    if let Err(error @ AuthError::Unreachable { .. }) = metadata {
        return Err(error);
    }
    let client = match client {
        Err(error @ AuthError::Unreachable { .. }) => return Err(error),
        other => other,
    };
    let mut provider = match metadata {
        Ok(Answer::Message(metadata)) if !metadata.token_endpoint.trim().is_empty() => {
            metadata::provider(&metadata, endpoint)?.with_client(client?.message())
        }
        other => {
            let first = match other {
                Ok(Answer::Message(_)) => {
                    discovery_error(endpoint, "GetOAuth2Metadata has no token endpoint")
                }
                Ok(Answer::NotOffered { by_control_plane: true, .. }) => {
                    AuthError::NoSignIn { endpoint: endpoint.to_string() }
                }
                Ok(Answer::NotOffered { description, .. }) => {
                    discovery_error(endpoint, format!("{description}, and there is no well-known document"))
                }
                Err(error) => error,
            };
            match well_known::find(http, endpoint.url(), true).await {
                Ok(document) => {
                    document.provider(endpoint)?.with_client(client.ok().and_then(Answer::message))
                }
                // If there is a document that cannot be used, that is the cause.
                Err(Some(reason))
                    if matches!(first, AuthError::Discovery { .. } | AuthError::NoSignIn { .. }) =>
                {
                    return Err(discovery_error(endpoint, reason));
                }
                Err(_) => return Err(first),
            }
        }
    };
    if provider.revocation_endpoint.is_none()
        && provider.flyte
        && let Some(issuer) = Url::parse(&provider.issuer).ok().filter(is_secure)
        // The service does not name the revocation endpoint and has nothing about RFC 9207. The issuer's document does.
        && let Ok(document) = well_known::find(http, &issuer, false).await
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

fn discovery_error(endpoint: &Endpoint, reason: impl Into<String>) -> AuthError {
    AuthError::Discovery { url: endpoint.url().to_string(), reason: reason.into() }
}

fn default_redirect_uri(endpoint: &Endpoint) -> Result<Url, AuthError> {
    Url::parse(DEFAULT_REDIRECT_URI).map_err(|error| discovery_error(endpoint, error.to_string()))
}

/// Whether credentials may go to this address: it uses https, or it is this machine.
fn is_secure(url: &Url) -> bool {
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
    /// All endpoints, with the names of their members. Those that this client uses come first.
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
        Some(url).filter(|url| is_secure(url))
    }

    /// Checks that credentials may go to the endpoints. An insecure token endpoint is an error; other insecure endpoints are left
    /// out.
    fn checked(mut self) -> Result<Self, AuthError> {
        if !is_secure(&self.token_endpoint) {
            return Err(AuthError::InsecureUrl { what: "token endpoint", url: self.token_endpoint });
        }
        for (member, endpoint) in [
            (AUTHORIZATION_ENDPOINT, &mut self.authorization_endpoint),
            (DEVICE_ENDPOINT, &mut self.device_authorization_endpoint),
            (REVOCATION_ENDPOINT, &mut self.revocation_endpoint),
        ] {
            if let Some(url) = endpoint.take_if(|url| !is_secure(url)) {
                leave_out(&mut self.unusable, member, format!("{url}, which is not https"));
            }
        }
        Ok(self)
    }

    /// Adds the values of `GetPublicClientConfig`. Empty values are ignored.
    fn with_client(mut self, client: Option<GetPublicClientConfigResponse>) -> Self {
        let Some(client) = client else { return self };
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let scopes = Scope::parse_lists(&client.scopes);
        let client_id = ClientId::parse(client.client_id.trim());
        self.flyte |= client_id.is_some();
        self.client_id = client_id.or(self.client_id);
        if !scopes.is_empty() {
            self.scopes = scopes;
        }
        self.audience = text(&client.audience).or(self.audience);
        if let Some(header) = text(&client.authorization_metadata_key) {
            self.header = header.to_ascii_lowercase();
        }
        match text(&client.redirect_uri).map(|uri| (Url::parse(&uri), uri)) {
            Some((Ok(uri), _)) => self.redirect_uri = uri,
            Some((Err(_), found)) => {
                leave_out(&mut self.unusable, "redirect_uri", format!("{:?}", clean(&found)));
            }
            None => {}
        }
        self
    }

    /// The authorization endpoint, or the reason why there is none.
    pub(crate) fn authorization_endpoint(&self) -> Result<&Url, AuthError> {
        self.authorization_endpoint.as_ref().ok_or_else(|| self.missing(AUTHORIZATION_ENDPOINT))
    }

    /// The device authorization endpoint, or the reason why there is none.
    pub(crate) fn device_authorization_endpoint(&self) -> Result<&Url, AuthError> {
        self.device_authorization_endpoint.as_ref().ok_or_else(|| match self.unusable.get(DEVICE_ENDPOINT) {
            Some(_) => self.missing(DEVICE_ENDPOINT),
            None => AuthError::NoDeviceFlow { issuer: self.issuer.clone() },
        })
    }

    fn missing(&self, member: &str) -> AuthError {
        let url = if self.issuer.is_empty() { self.token_endpoint.to_string() } else { self.issuer.clone() };
        let reason = match self.unusable.get(member) {
            Some(found) => format!("its {member} is {found}"),
            None => format!("it has no {member}"),
        };
        AuthError::Discovery { url, reason }
    }

    /// The client ID, or the error that there is none.
    pub(crate) fn client_id(&self) -> Result<&ClientId, AuthError> {
        self.client_id.as_ref().ok_or_else(|| AuthError::NoClientId { issuer: self.issuer.clone() })
    }

    /// Reads the cache; `None` if there is none or it cannot be read.
    pub(crate) fn cached(path: &Path) -> Option<Self> {
        let provider: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        provider.checked().ok()
    }

    /// Writes the cache for the next command. If that fails, the next command runs discovery again.
    pub(crate) fn cache(&self, path: &Path) {
        let written = (|| {
            let directory = path.parent()?;
            let mut file = tempfile::NamedTempFile::new_in(directory).ok()?;
            file.write_all(&serde_json::to_vec(self).ok()?).ok()?;
            file.persist(path).ok()
        })();
        if written.is_none() {
            tracing::debug!(path = %path.display(), "the result of discovery could not be cached");
        }
    }
}
