//! GitHub, which has OAuth 2 but no OpenID Connect: the user is asked for at its API.

use http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use url::Url;

use crate::{Groups, Profile, Provider, ProviderError, claims::Documents, clean_name, metadata::Metadata};
use flyte_issuer::IssuerError;

/// The most entries of a list that is read in one request.
const PAGE: usize = 100;
/// GitHub's issuer in callbacks (RFC 9207), after the server's URL.
const ISSUER_PATH: &str = "/login/oauth";

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Email {
    email: String,
    primary: bool,
    verified: bool,
}

#[derive(Deserialize)]
struct Group {
    id: u64,
}

impl Provider {
    /// The endpoints of github.com or of a GitHub Enterprise Server.
    pub(crate) fn github_metadata(&self) -> Result<Metadata, IssuerError> {
        Ok(Metadata {
            issuer: self.settings.issuer.clone(),
            authorization_endpoint: self.github_url("/login/oauth/authorize")?,
            token_endpoint: self.github_url("/login/oauth/access_token")?,
            userinfo_endpoint: None,
            jwks_uri: String::new(),
            sends_issuer: false,
            has_offline_access: false,
            end_session_endpoint: None,
            auth_methods: None,
        })
    }

    fn github_url(&self, path: &str) -> Result<Url, IssuerError> {
        let url = format!("{}{path}", self.settings.issuer.trim_end_matches('/'));
        Url::parse(&url).map_err(|error| IssuerError::Answer { url, reason: error.to_string() })
    }

    /// Whether a callback's `iss` is GitHub's.
    pub(crate) fn is_github(&self, issuer: &str) -> bool {
        let server = self.settings.issuer.trim_end_matches('/');
        issuer.strip_prefix(server).is_some_and(|rest| rest.is_empty() || rest == ISSUER_PATH)
    }

    /// Returns the user of an access token.
    pub(crate) async fn github_profile(&self, access_token: &SecretString) -> Result<Profile, ProviderError> {
        let settings = &self.settings;
        let user: User = self.github(access_token, "/user").await?;
        let emails: Vec<Email> = self.github(access_token, &format!("/user/emails?per_page={PAGE}")).await?;
        let claims = email_claims(&emails, settings);
        let documents: [&Map<String, Value>; 1] = [&claims];
        let documents = Documents(&documents);
        let groups = match settings.groups_claim {
            Some(_) => self.github_groups(access_token).await?,
            None => Groups::Unknown,
        };
        Ok(Profile {
            provider: settings.name.clone(),
            issuer: settings.issuer.clone(),
            // The login can be changed, and then be taken by another person.
            subject: user.id.to_string(),
            email: documents.email(settings),
            verified_email: documents.verified_email(settings),
            name: user.name.as_deref().and_then(clean_name).or_else(|| clean_name(&user.login)),
            groups,
            organization: None,
            authenticated_at: None,
        })
    }

    async fn github_groups(&self, access_token: &SecretString) -> Result<Groups, ProviderError> {
        let mut listed = Vec::new();
        for (kind, path) in [("org", "/user/orgs"), ("team", "/user/teams")] {
            let groups: Vec<Group> = self.github(access_token, &format!("{path}?per_page={PAGE}")).await?;
            if groups.len() >= PAGE {
                return Ok(Groups::TooMany);
            }
            listed.extend(groups.iter().map(|group| format!("{kind}:{}", group.id)));
        }
        listed.sort();
        Ok(Groups::Listed(listed))
    }

    async fn github<T: DeserializeOwned>(
        &self,
        access_token: &SecretString,
        path: &str,
    ) -> Result<T, ProviderError> {
        let url = if self.settings.issuer.trim_end_matches('/') == "https://github.com" {
            let url = format!("https://api.github.com{path}");
            Url::parse(&url).map_err(|error| IssuerError::Answer { url, reason: error.to_string() })?
        } else {
            self.github_url(&format!("/api/v3{path}"))?
        };
        let answer = self.get_as_user(&url, access_token, "application/vnd.github+json").await?;
        // A token that was revoked; and 403 for a suspended account, which otherwise means that the limit of requests is reached.
        let is_suspended =
            || String::from_utf8_lossy(&answer.body).to_ascii_lowercase().contains("suspended");
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(ProviderError::Refused("invalid_grant".to_owned())),
            StatusCode::FORBIDDEN if is_suspended() => {
                return Err(ProviderError::Refused("invalid_grant".to_owned()));
            }
            status => {
                return Err(IssuerError::answer(&url, format!("the answer has status {status}")).into());
            }
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| ProviderError::Wrong("an answer of GitHub's API has another form than expected"))
    }
}

/// The claims of the one address that counts: the primary one, if GitHub has verified it. The public address of the profile
/// and the other addresses do not count.
fn email_claims(emails: &[Email], settings: &flyte_settings::ProviderConfig) -> Map<String, Value> {
    let primary = emails.iter().find(|email| email.primary && email.verified);
    let claims = primary.map(|email| {
        [
            (settings.email_claim.clone(), json!(email.email)),
            (settings.email_verified_claim.clone(), json!(true)),
        ]
    });
    claims.into_iter().flatten().collect()
}
