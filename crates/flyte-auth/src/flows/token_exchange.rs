//! Token exchange (RFC 8693): a CI job's own OIDC token for an access token, with no long-lived key anywhere.

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

use super::{client_credentials::own_scopes, token_request};
use crate::{
    AuthError,
    answer::{Members, excerpt},
    discovery::{Provider, is_loopback},
    http::{Http, read},
    token::{TokenResponse, claims, clean},
};

/// Holds the job's token. GitLab puts it there under `id_tokens:`.
const TOKEN: &str = "FLYTE_ID_TOKEN";
/// Names a file that holds the job's token.
const TOKEN_FILE: &str = "FLYTE_ID_TOKEN_FILE";
/// The audience to ask a CI system for, where it is not the issuer.
const AUDIENCE: &str = "FLYTE_ID_TOKEN_AUDIENCE";
/// Where a pod has a projected service account token that is meant for a control plane. The pod's usual token is never sent
/// anywhere: whoever has it is the pod to its cluster.
const PROJECTED: &str = "/var/run/secrets/flyte/token";
/// The longest token that is read, in bytes.
const MAX_TOKEN: u64 = 64 * 1024;
/// RFC 8693 section 2.1.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 8693 section 3.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// RFC 8693 section 3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Where a CI system has its own token for this job.
#[derive(Clone)]
pub struct IdTokenSource {
    place: Place,
    audience: Option<String>,
}

#[derive(Clone)]
enum Place {
    Variable(SecretString),
    File(PathBuf),
    GitHub { url: String, bearer: SecretString },
}

impl fmt::Debug for IdTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenSource").field("place", &self.place.name()).finish_non_exhaustive()
    }
}

impl Place {
    fn name(&self) -> String {
        match self {
            Self::Variable(_) => TOKEN.to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::GitHub { .. } => "GitHub Actions".to_owned(),
        }
    }
}

impl IdTokenSource {
    /// The first that there is: `FLYTE_ID_TOKEN`, the file that `FLYTE_ID_TOKEN_FILE` names, GitHub Actions (of a job with
    /// `permissions: id-token: write`), a projected Kubernetes service account token at `/var/run/secrets/flyte/token`.
    #[must_use]
    pub fn find(environment: &Environment) -> Option<Self> {
        let variable = |name: &str| environment.variable(name);
        let place = if let Some(token) = variable(TOKEN) {
            Place::Variable(SecretString::from(token))
        } else if let Some(path) = variable(TOKEN_FILE) {
            Place::File(environment.resolve(path))
        } else if let (Some(url), Some(bearer)) =
            (variable("ACTIONS_ID_TOKEN_REQUEST_URL"), variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
        {
            Place::GitHub { url: url.to_owned(), bearer: SecretString::from(bearer) }
        } else if Path::new(PROJECTED).is_file() {
            Place::File(PathBuf::from(PROJECTED))
        } else {
            return None;
        };
        Some(Self { place, audience: variable(AUDIENCE).map(str::to_owned) })
    }

    /// Where the token is, for people: a variable, a file, or the CI system.
    #[must_use]
    pub fn place(&self) -> String {
        self.place.name()
    }

    /// The job's token, asked for with `audience` where the CI system can be asked. It is given only where it is for that, or
    /// for `endpoint`: whoever else it is for would be anybody's whom it is sent to.
    async fn token(&self, http: &Http, audience: &str, endpoint: &str) -> Result<SecretString, AuthError> {
        let failed = |reason: String| AuthError::IdToken { place: self.place.name(), reason };
        let token = match &self.place {
            Place::Variable(token) => SecretString::from(token.expose_secret().trim()),
            // Read each time: Kubernetes and others renew it.
            Place::File(path) => read_file(path).map_err(|error| failed(error.to_string()))?,
            Place::GitHub { url, bearer } => {
                let audience = self.audience.as_deref().unwrap_or(audience);
                ask_github(http, url, bearer, audience).await.map_err(failed)?
            }
        };
        let parts = token.expose_secret().split('.').count();
        if parts != 3 || !token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(failed("it is not a JWT".to_owned()));
        }
        // Where another audience was named, it is that one alone.
        let wanted = match &self.audience {
            Some(audience) => vec![audience.as_str()],
            None => vec![audience, endpoint],
        };
        let found = audiences(token.expose_secret());
        let bare = |text: &str| text.strip_suffix('/').unwrap_or(text).to_owned();
        if !found.iter().any(|found| wanted.iter().any(|wanted| bare(wanted) == bare(found))) {
            return Err(AuthError::IdTokenAudience {
                place: self.place.name(),
                found: if found.is_empty() { "nobody".to_owned() } else { clean(&found.join(", ")) },
                wanted: clean(wanted[0]),
            });
        }
        Ok(token)
    }
}

fn read_file(path: &Path) -> std::io::Result<SecretString> {
    use std::io::Read as _;
    let mut text = Zeroizing::new(String::with_capacity(8192));
    std::fs::File::open(path)?.take(MAX_TOKEN).read_to_string(&mut text)?;
    Ok(SecretString::from(text.trim()))
}

/// GitHub's documented way: a GET with the job's request token gives `{"value": "<JWT>"}`.
async fn ask_github(
    http: &Http,
    url: &str,
    bearer: &SecretString,
    audience: &str,
) -> Result<SecretString, String> {
    let mut url =
        Url::parse(url).map_err(|error| format!("ACTIONS_ID_TOKEN_REQUEST_URL is no URL ({error})"))?;
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
    let body = read(response, MAX_TOKEN as usize).await.map_err(|error| error.without_url().to_string())?;
    let body = Zeroizing::new(body.unwrap_or_default());
    if !status.is_success() {
        return Err(format!("it answered {status}: it is {}", excerpt(&body)));
    }
    let answer = Members::parse(&body).map_err(|came| format!("its answer is {came}"))?;
    let token = answer.secret(&["value"]).map_err(|error| error.to_string())?;
    token.ok_or_else(|| format!("its answer has no value: it is {}", answer.names()))
}

/// Whom a token is for (RFC 7519 section 4.1.3), by its own unverified word.
fn audiences(token: &str) -> Vec<String> {
    claims(token).map(|claims| claims.texts(&["aud"])).unwrap_or_default()
}

/// Who is to take a job's token, which is what trust rules are made for and jobs' tokens are asked for: the authorization server,
/// by its name (RFC 7519 section 4.1.3), where that is the name of whom it is sent to. Else a server could call itself by another
/// one's name, and use there the token that it was sent; it is the endpoint then, without the final slash.
#[must_use]
pub fn audience(provider: &Provider, endpoint: &Endpoint) -> String {
    match Url::parse(&provider.issuer) {
        Ok(issuer) if issuer.origin() == provider.token_endpoint.origin() => provider.issuer.clone(),
        _ => endpoint.to_string(),
    }
}

/// Exchanges the job's token, for `scopes` where they are configured and else for those that the provider advertises.
///
/// # Errors
/// [`AuthError::IdToken`] where the job's token cannot be had, [`AuthError::IdTokenAudience`] where it is for somebody else, [`AuthError::ExchangeRefused`] where no trust rule fits it, and
/// those of any token request.
pub(crate) async fn exchange(
    http: &Http,
    provider: &Provider,
    endpoint: &Endpoint,
    scopes: &[String],
    source: &IdTokenSource,
) -> Result<TokenResponse, AuthError> {
    let audience = audience(provider, endpoint);
    let token = source.token(http, &audience, &endpoint.to_string()).await?;
    let scope = if scopes.is_empty() { own_scopes(&provider.scopes) } else { scopes.join(" ") };
    let mut form = vec![
        ("grant_type", GRANT),
        ("subject_token", token.expose_secret()),
        ("subject_token_type", JWT),
        ("requested_token_type", ACCESS_TOKEN),
        ("audience", provider.audience.as_deref().unwrap_or(&audience)),
    ];
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    if let Some(client_id) = &provider.client_id {
        form.push(("client_id", client_id));
    }
    token_request(http, provider, &form).await.map_err(|error| match error {
        // RFC 8693 section 2.2.2: `invalid_request` and `invalid_target` are what a token is refused as.
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
        IdTokenSource::find(&environment).map(|source| source.place.name())
    }

    #[test]
    fn the_jobs_token_is_found_by_itself() {
        assert_eq!(found(&[]), None);
        let github =
            [("ACTIONS_ID_TOKEN_REQUEST_URL", "https://g/"), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t")];
        assert_eq!(found(&github).as_deref(), Some("GitHub Actions"));
        assert_eq!(found(&github[..1]), None, "a job without the permission");
        assert_eq!(
            found(&[("FLYTE_ID_TOKEN_FILE", "token"), github[0], github[1]]).as_deref(),
            Some("/job/token")
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
    fn nobodys_name_is_asked_for_but_of_whom_the_token_goes_to() {
        let endpoint: Endpoint = "flyte.example.com".parse().unwrap();
        let asked = |issuer: &str| {
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
        assert_eq!(asked("https://login.example.com/tenant"), "https://login.example.com/tenant");
        for other in ["sts.amazonaws.com", "https://bank.example.com", ""] {
            assert_eq!(asked(other), "https://flyte.example.com", "{other}");
        }
    }
}
