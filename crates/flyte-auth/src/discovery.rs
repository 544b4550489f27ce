//! Where and as what to sign in.
//!
//! Flyte's own `AuthMetadataService` is asked first, then the well-known documents of RFC 8414 and OpenID Connect
//! Discovery, so that any OAuth 2 provider can be signed in to.

use std::{fs, io::Write as _, path::Path};

use flyte_config::Endpoint;
use flyte_idl::flyteidl2::auth::{GetOAuth2MetadataResponse, GetPublicClientConfigResponse};
use reqwest::{StatusCode, header};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{
    AuthError,
    http::{Http, read},
    token::clean,
};

/// The longest discovery document that is read, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;
/// Where a provider that names no redirect URI sends the browser back to: Flyte's usual loopback address.
const DEFAULT_REDIRECT_URI: &str = "http://localhost:53593/callback";
/// Asked for where neither the server nor the configuration names scopes.
const DEFAULT_SCOPES: [&str; 2] = ["openid", "offline_access"];

/// Everything that signing in and refreshing need to know about the authorization server. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Issuer identifier; empty where none is told.
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
}

/// Provider metadata as both well-known documents have it (RFC 8414 section 2).
#[derive(Debug, Deserialize)]
struct WellKnown {
    issuer: String,
    authorization_endpoint: Option<Url>,
    token_endpoint: Option<Url>,
    device_authorization_endpoint: Option<Url>,
    revocation_endpoint: Option<Url>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
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
/// [`AuthError::Unreachable`], [`AuthError::WrongEndpoint`] where a web page answers, [`AuthError::Discovery`] where nothing
/// tells, [`AuthError::InsecureUrl`] where it names an address that credentials must not go to.
pub async fn discover(
    http: &Http,
    endpoint: &Endpoint,
    overrides: &Overrides,
) -> Result<Provider, AuthError> {
    let mut provider = match flyte_metadata(http, endpoint).await {
        Ok(provider) => provider,
        Err(error @ AuthError::Unreachable { .. }) => return Err(error),
        Err(first) => match well_known_of(http, endpoint.url()).await {
            Some(document) => from_well_known(document, endpoint)?,
            None => return Err(first),
        },
    };
    if provider.flyte
        && let Some(issuer) = Url::parse(&provider.issuer).ok().filter(trusted)
        // The service tells neither the revocation endpoint nor RFC 9207; the issuer's own document does.
        && let Some(document) = well_known_of(http, &issuer).await
        && document.issuer == provider.issuer
    {
        provider.revocation_endpoint = document.revocation_endpoint;
        provider.answers_with_issuer = document.authorization_response_iss_parameter_supported;
    }
    if !overrides.scopes.is_empty() {
        provider.scopes.clone_from(&overrides.scopes);
    }
    provider.client_id = provider.client_id.or_else(|| overrides.client_id.clone());
    provider.checked()
}

/// Asks `AuthMetadataService`, both methods at once.
async fn flyte_metadata(http: &Http, endpoint: &Endpoint) -> Result<Provider, AuthError> {
    let (metadata, client) = tokio::try_join!(
        call::<GetOAuth2MetadataResponse>(http, endpoint, "GetOAuth2Metadata"),
        call::<GetPublicClientConfigResponse>(http, endpoint, "GetPublicClientConfig"),
    )?;
    let url = |what: &'static str, text: &str| -> Result<Option<Url>, AuthError> {
        if text.is_empty() {
            return Ok(None);
        }
        Url::parse(text).map(Some).map_err(|error| AuthError::Discovery {
            url: endpoint.url().to_string(),
            reason: format!("its {what} {:?} is not a URL: {error}", clean(text)),
        })
    };
    let token_endpoint =
        url("token endpoint", &metadata.token_endpoint)?.ok_or_else(|| AuthError::Discovery {
            url: endpoint.url().to_string(),
            reason: "it has no token endpoint".to_owned(),
        })?;
    Ok(Provider {
        issuer: metadata.issuer.clone(),
        authorization_endpoint: url("authorization endpoint", &metadata.authorization_endpoint)?,
        token_endpoint,
        device_authorization_endpoint: url(
            "device authorization endpoint",
            &metadata.device_authorization_endpoint,
        )?,
        revocation_endpoint: None,
        client_id: Some(client.client_id.clone()).filter(|id| !id.is_empty()),
        redirect_uri: match url("redirect URI", &client.redirect_uri)? {
            Some(uri) => uri,
            None => default_redirect_uri(endpoint)?,
        },
        scopes: client.scopes.clone(),
        audience: Some(client.audience.clone()).filter(|audience| !audience.is_empty()),
        header: Some(client.authorization_metadata_key.to_ascii_lowercase())
            .filter(|key| !key.is_empty())
            .unwrap_or_else(|| header::AUTHORIZATION.to_string()),
        answers_with_issuer: false,
        flyte: true,
        client_authentication: metadata.token_endpoint_auth_methods_supported.clone(),
    })
}

/// One anonymous unary call by the Connect protocol.
async fn call<M: buffa::Message>(http: &Http, endpoint: &Endpoint, method: &str) -> Result<M, AuthError> {
    let unreachable = |error| AuthError::unreachable(endpoint.url(), error);
    let mut url = endpoint.url().clone();
    url.set_path(&format!("{}flyteidl2.auth.AuthMetadataService/{method}", endpoint.url().path()));
    let response = http
        .post(url)
        .header(header::CONTENT_TYPE, "application/proto")
        .header("connect-protocol-version", "1")
        .timeout(std::time::Duration::from_secs(30))
        .send()
        .await
        .map_err(unreachable)?;
    let status = response.status();
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nothing")
        .to_ascii_lowercase();
    if status == StatusCode::OK && kind.starts_with("application/proto") {
        let body = read(response, MAX_DOCUMENT).await.map_err(unreachable)?.unwrap_or_default();
        return M::decode_from_slice(&body).map_err(|error| AuthError::Discovery {
            url: endpoint.url().to_string(),
            reason: format!("{method} answered with bytes that are not its message ({error})"),
        });
    }
    if kind.starts_with("text/html") || status.is_redirection() {
        let answer = if status.is_redirection() {
            format!("with a redirect ({status})")
        } else {
            format!("with a web page ({status})")
        };
        return Err(AuthError::WrongEndpoint { url: endpoint.url().to_string(), answer });
    }
    Err(AuthError::Discovery {
        url: endpoint.url().to_string(),
        reason: format!("{method} answered {status} ({}), and there is no well-known document", clean(&kind)),
    })
}

/// The first of the two well-known documents that is there.
async fn well_known_of(http: &Http, issuer: &Url) -> Option<WellKnown> {
    for name in ["oauth-authorization-server", "openid-configuration"] {
        let mut url = issuer.clone();
        let path = issuer.path().trim_end_matches('/');
        // RFC 8414 puts the issuer's path behind the well-known part; OpenID Connect Discovery puts it before.
        url.set_path(&if name == "openid-configuration" {
            format!("{path}/.well-known/{name}")
        } else {
            format!("/.well-known/{name}{path}")
        });
        if let Some(document) = document(http, url).await {
            return Some(document);
        }
    }
    None
}

async fn document(http: &Http, url: Url) -> Option<WellKnown> {
    let response = http
        .get(url)
        .header(header::ACCEPT, "application/json")
        .timeout(std::time::Duration::from_secs(30))
        .send()
        .await
        .ok()?;
    if response.status() != StatusCode::OK {
        return None;
    }
    let body = read(response, MAX_DOCUMENT).await.ok()??;
    serde_json::from_slice(&body).ok()
}

fn from_well_known(document: WellKnown, endpoint: &Endpoint) -> Result<Provider, AuthError> {
    // The issuer may differ from the endpoint: a control plane proxies the document of its external provider. What is
    // trusted is the endpoint, reached over TLS, that the person configured.
    let token_endpoint = document.token_endpoint.ok_or_else(|| AuthError::Discovery {
        url: endpoint.url().to_string(),
        reason: "its well-known document has no token_endpoint".to_owned(),
    })?;
    let supported = document.scopes_supported;
    Ok(Provider {
        issuer: document.issuer,
        authorization_endpoint: document.authorization_endpoint,
        token_endpoint,
        device_authorization_endpoint: document.device_authorization_endpoint,
        revocation_endpoint: document.revocation_endpoint,
        client_id: None,
        redirect_uri: default_redirect_uri(endpoint)?,
        scopes: DEFAULT_SCOPES
            .iter()
            .filter(|scope| supported.is_empty() || supported.iter().any(|known| known == *scope))
            .map(|scope| (*scope).to_owned())
            .collect(),
        audience: None,
        header: header::AUTHORIZATION.to_string(),
        answers_with_issuer: document.authorization_response_iss_parameter_supported,
        flyte: false,
        client_authentication: document.token_endpoint_auth_methods_supported,
    })
}

fn default_redirect_uri(endpoint: &Endpoint) -> Result<Url, AuthError> {
    Url::parse(DEFAULT_REDIRECT_URI)
        .map_err(|error| AuthError::Discovery { url: endpoint.url().to_string(), reason: error.to_string() })
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
    /// Refuses addresses that credentials must not go to.
    fn checked(self) -> Result<Self, AuthError> {
        let endpoints = [
            ("token endpoint", Some(&self.token_endpoint)),
            ("authorization endpoint", self.authorization_endpoint.as_ref()),
            ("device authorization endpoint", self.device_authorization_endpoint.as_ref()),
            ("revocation endpoint", self.revocation_endpoint.as_ref()),
        ];
        for (what, url) in endpoints {
            if let Some(url) = url.filter(|url| !trusted(url)) {
                return Err(AuthError::InsecureUrl { what, url: url.clone() });
            }
        }
        Ok(self)
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
