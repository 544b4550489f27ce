//! Token exchange (RFC 8693): exchanges a CI job's own OIDC token for an access token, without a long-lived key.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use flyte_config::{Endpoint, Environment};
use reqwest::header;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use zeroize::Zeroizing;

use super::{client_credentials::machine_scopes, token_request};
use crate::{
    AuthError,
    answer::{Members, excerpt},
    discovery::{Provider, is_loopback},
    http::{Http, read},
    oauth::{GrantType, Scope},
    token::{TokenResponse, claims, clean},
};

/// The variable that holds the job's token. GitLab sets it under `id_tokens:`.
const TOKEN_VARIABLE: &str = "FLYTE_ID_TOKEN";
/// The variable that names a file with the job's token.
const FILE_VARIABLE: &str = "FLYTE_ID_TOKEN_FILE";
/// The variable with the audience to request from the CI system, if it is not the issuer.
const AUDIENCE_VARIABLE: &str = "FLYTE_ID_TOKEN_AUDIENCE";
/// The file in which a pod has a projected service account token for a control plane. The pod's default token is never sent
/// anywhere, because it authenticates the pod to its cluster.
const PROJECTED_FILE: &str = "/var/run/secrets/flyte/token";
/// The longest token that is read, in bytes.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;
/// RFC 8693 section 3.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// RFC 8693 section 3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The source of the CI system's own token for this job.
#[derive(Clone)]
pub struct IdTokenSource {
    location: TokenLocation,
    /// The audience that `FLYTE_ID_TOKEN_AUDIENCE` names.
    audience: Option<String>,
}

#[derive(Clone)]
enum TokenLocation {
    Variable(SecretString),
    File(PathBuf),
    GitHub { url: String, bearer: SecretString },
}

impl fmt::Debug for IdTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenSource").field("location", &self.location.name()).finish_non_exhaustive()
    }
}

impl TokenLocation {
    fn name(&self) -> String {
        match self {
            Self::Variable(_) => TOKEN_VARIABLE.to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::GitHub { .. } => "GitHub Actions".to_owned(),
        }
    }
}

impl IdTokenSource {
    /// Finds the first of these sources: `FLYTE_ID_TOKEN`, the file that `FLYTE_ID_TOKEN_FILE` names, GitHub Actions (in a job
    /// with `permissions: id-token: write`), a projected Kubernetes service account token at `/var/run/secrets/flyte/token`.
    #[must_use]
    pub fn find(environment: &Environment) -> Option<Self> {
        let variable = |name: &str| environment.variable(name);
        let location = if let Some(token) = variable(TOKEN_VARIABLE) {
            TokenLocation::Variable(SecretString::from(token))
        } else if let Some(path) = variable(FILE_VARIABLE) {
            TokenLocation::File(environment.resolve(path))
        } else if let (Some(url), Some(bearer)) =
            (variable("ACTIONS_ID_TOKEN_REQUEST_URL"), variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
        {
            TokenLocation::GitHub { url: url.to_owned(), bearer: SecretString::from(bearer) }
        } else if Path::new(PROJECTED_FILE).is_file() {
            TokenLocation::File(PathBuf::from(PROJECTED_FILE))
        } else {
            return None;
        };
        Some(Self { location, audience: variable(AUDIENCE_VARIABLE).map(str::to_owned) })
    }

    /// The location of the token, for people: a variable, a file, or the CI system.
    #[must_use]
    pub fn location(&self) -> String {
        self.location.name()
    }

    /// Gets the job's token, for `audience` if the CI system lets the job choose it. The token is returned only if its audience
    /// is that one or `endpoint`: otherwise the server could use the token at another server.
    async fn token(&self, http: &Http, audience: &str, endpoint: &str) -> Result<SecretString, AuthError> {
        let failed = |reason: String| AuthError::IdToken { location: self.location.name(), reason };
        let token = match &self.location {
            TokenLocation::Variable(token) => SecretString::from(token.expose_secret().trim()),
            // Read each time, because Kubernetes and others renew the file.
            TokenLocation::File(path) => read_file(path).map_err(|error| failed(error.to_string()))?,
            TokenLocation::GitHub { url, bearer } => {
                let audience = self.audience.as_deref().unwrap_or(audience);
                request_github_token(http, url, bearer, audience).await.map_err(failed)?
            }
        };
        let parts = token.expose_secret().split('.').count();
        if parts != 3 || !token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(failed("it is not a JWT".to_owned()));
        }
        // If the variable names an audience, only that one is accepted.
        let wanted = match &self.audience {
            Some(audience) => vec![audience.as_str()],
            None => vec![audience, endpoint],
        };
        let found = audiences(token.expose_secret());
        let bare = |text: &str| text.strip_suffix('/').unwrap_or(text).to_owned();
        if !found.iter().any(|found| wanted.iter().any(|wanted| bare(wanted) == bare(found))) {
            return Err(AuthError::IdTokenAudience {
                location: self.location.name(),
                found: if found.is_empty() { "no audience".to_owned() } else { clean(&found.join(", ")) },
                wanted: clean(wanted[0]),
            });
        }
        Ok(token)
    }
}

fn read_file(path: &Path) -> std::io::Result<SecretString> {
    use std::io::Read as _;
    let mut text = Zeroizing::new(String::with_capacity(8192));
    std::fs::File::open(path)?.take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
    Ok(SecretString::from(text.trim()))
}

/// Requests a token as GitHub documents it: a GET with the job's request token returns `{"value": "<JWT>"}`.
async fn request_github_token(
    http: &Http,
    url: &str,
    bearer: &SecretString,
    audience: &str,
) -> Result<SecretString, String> {
    let mut url =
        Url::parse(url).map_err(|error| format!("ACTIONS_ID_TOKEN_REQUEST_URL is not a URL ({error})"))?;
    if url.scheme() != "https" && !is_loopback(&url) {
        return Err("ACTIONS_ID_TOKEN_REQUEST_URL is not https".to_owned());
    }
    url.query_pairs_mut().append_pair("audience", audience);
    let asked = url.clone();
    let response = http
        .get(url)
        .map_err(|error| error.to_string())?
        .header(header::ACCEPT, "application/json")
        .bearer_auth(bearer.expose_secret())
        .timeout(Duration::from_secs(30))
        .send()
        .await
        .map_err(|error| http.failure(&asked, &error).to_string())?;
    let status = response.status();
    #[allow(clippy::cast_possible_truncation, reason = "a small constant")]
    let body =
        read(response, MAX_TOKEN_BYTES as usize).await.map_err(|error| error.without_url().to_string())?;
    let body = Zeroizing::new(body.unwrap_or_default());
    if !status.is_success() {
        return Err(format!("it answered {status}: it is {}", excerpt(&body)));
    }
    let answer = Members::parse(&body).map_err(|found| format!("its answer is {found}"))?;
    let token = answer.secret(&["value"]).map_err(|error| error.to_string())?;
    token.ok_or_else(|| format!("its answer has no value: it is {}", answer.describe()))
}

/// The audiences of a token (RFC 7519 section 4.1.3), not verified.
fn audiences(token: &str) -> Vec<String> {
    claims(token).map(|claims| claims.texts(&["aud"])).unwrap_or_default()
}

/// The audience that a job's token and a trust rule need (RFC 7519 section 4.1.3): the issuer identifier of the authorization
/// server, if the token endpoint has the same origin. Otherwise it is the endpoint, without the final slash: a server that claims
/// another server's issuer identifier could use the received token there.
#[must_use]
pub fn audience(provider: &Provider, endpoint: &Endpoint) -> String {
    match Url::parse(&provider.issuer) {
        Ok(issuer) if issuer.origin() == provider.token_endpoint.origin() => provider.issuer.clone(),
        _ => endpoint.to_string(),
    }
}

/// Exchanges the job's token. The scopes are the configured `scopes`, otherwise those that the provider advertises.
///
/// # Errors
/// [`AuthError::IdToken`] if there is no job token, [`AuthError::IdTokenAudience`] if its audience is another server,
/// [`AuthError::ExchangeRefused`] if no trust rule matches it, and the errors of any token request.
pub(crate) async fn exchange(
    http: &Http,
    provider: &Provider,
    endpoint: &Endpoint,
    scopes: &[Scope],
    source: &IdTokenSource,
) -> Result<TokenResponse, AuthError> {
    let audience = audience(provider, endpoint);
    let token = source.token(http, &audience, &endpoint.to_string()).await?;
    let scope = if scopes.is_empty() { machine_scopes(&provider.scopes) } else { Scope::join(scopes) };
    let mut form = vec![
        ("subject_token", token.expose_secret()),
        ("subject_token_type", JWT),
        ("requested_token_type", ACCESS_TOKEN),
        ("audience", provider.audience.as_deref().unwrap_or(&audience)),
    ];
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    if let Some(client_id) = &provider.client_id {
        form.push(("client_id", client_id.as_str()));
    }
    let answer = token_request(http, provider, GrantType::TokenExchange, &form).await;
    answer.map_err(|error| match error {
        // RFC 8693 section 2.2.2: servers refuse a token with `invalid_request` or `invalid_target`.
        AuthError::Refused { code, description }
            if matches!(
                code.as_str(),
                "invalid_request"
                    | "invalid_target"
                    | "invalid_grant"
                    | "invalid_client"
                    | "unauthorized_client"
            ) =>
        {
            AuthError::ExchangeRefused {
                endpoint: endpoint.authority().to_owned(),
                code: clean(&code),
                description,
            }
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Option<String> {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let environment = Environment { variables, directory: "/job".into(), home: None };
        IdTokenSource::find(&environment).map(|source| source.location.name())
    }

    #[test]
    fn the_jobs_token_is_found_in_the_environment() {
        assert_eq!(found(&[]), None);
        let github =
            [("ACTIONS_ID_TOKEN_REQUEST_URL", "https://g/"), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t")];
        assert_eq!(found(&github).as_deref(), Some("GitHub Actions"));
        assert_eq!(found(&github[..1]), None, "a job without the permission");
        assert_eq!(
            found(&[("FLYTE_ID_TOKEN_FILE", "token"), github[0], github[1]]).as_deref(),
            Some(&*PathBuf::from("/job").join("token").to_string_lossy())
        );
        assert_eq!(
            found(&[("FLYTE_ID_TOKEN", "s3cret"), ("FLYTE_ID_TOKEN_FILE", "token")]).as_deref(),
            Some("FLYTE_ID_TOKEN")
        );
        let environment = Environment {
            variables: [("FLYTE_ID_TOKEN".to_owned(), "s3cret".to_owned())].into(),
            ..Environment::default()
        };
        assert!(!format!("{:?}", IdTokenSource::find(&environment)).contains("s3cret"));
    }

    #[test]
    fn the_audience_is_the_server_that_receives_the_token() {
        let endpoint: Endpoint = "flyte.example.com".parse().unwrap();
        let audience_of = |issuer: &str| {
            let provider = serde_json::json!({
                "issuer": issuer,
                "token_endpoint": "https://login.example.com/token",
                "redirect_uri": "http://localhost/callback",
                "scopes": [],
                "header": "authorization",
                "answers_with_issuer": false,
                "flyte": true,
            });
            audience(&serde_json::from_value(provider).unwrap(), &endpoint)
        };
        assert_eq!(audience_of("https://login.example.com/tenant"), "https://login.example.com/tenant");
        for other in ["sts.amazonaws.com", "https://bank.example.com", ""] {
            assert_eq!(audience_of(other), "https://flyte.example.com", "{other}");
        }
    }
}
