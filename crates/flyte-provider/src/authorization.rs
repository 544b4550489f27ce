//! The request that the browser takes to the provider (OpenID Connect Core section 3.1.2.1).

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::{Provider, ProviderError, metadata::Metadata};
use flyte_model::clock::UnixTime;
use flyte_settings::ProviderPreset;

/// What the sign-in should be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The address that the user has probably (`login_hint`).
    pub login_hint: Option<String>,
    /// Whether the user wants to choose another account.
    pub another_account: bool,
    /// The largest time since the user's sign-in at the provider, in seconds. 0 asks for a new sign-in.
    pub max_age: Option<i64>,
}

/// A sign-in that has begun. It is kept until the browser comes back.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The provider.
    pub provider: String,
    /// The time at which it began.
    pub started_at: UnixTime,
    /// [`Wishes::max_age`].
    pub max_age: Option<i64>,
    /// Binds the ID token to this sign-in.
    pub(crate) nonce: String,
    /// Binds the code to this sign-in (RFC 7636).
    pub(crate) verifier: SecretString,
}

/// Returns 256 random bits in base64url.
pub(crate) fn random() -> Result<String, ProviderError> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| ProviderError::Random)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

impl Provider {
    /// Whether the provider signs a user in again if it is asked to. Google and GitHub do not.
    pub(crate) fn repeats_sign_ins(&self) -> bool {
        !matches!(self.settings.preset, ProviderPreset::Google | ProviderPreset::Github)
    }

    /// Returns the address to which the browser goes, and what must be remembered, with its `state`.
    ///
    /// # Errors
    /// [`ProviderError`] if the provider's endpoints are not known and cannot be read now, or if it cannot prove the new sign-in
    /// that is asked for.
    pub async fn begin(&self, wishes: &Wishes) -> Result<(Url, String, Attempt), ProviderError> {
        // A new sign-in is demanded, and nothing that comes back could prove one.
        if wishes.max_age == Some(0) && self.settings.preset == ProviderPreset::Github {
            return Err(ProviderError::NoSignInTime);
        }
        let metadata = self.metadata().await?;
        let state = random()?;
        let attempt = Attempt {
            provider: self.name().to_owned(),
            started_at: self.clock.now(),
            max_age: wishes.max_age,
            nonce: random()?,
            verifier: random()?.into(),
        };
        Ok((self.url(&metadata, wishes, &state, &attempt), state, attempt))
    }

    fn url(&self, metadata: &Metadata, wishes: &Wishes, state: &str, attempt: &Attempt) -> Url {
        let settings = &self.settings;
        let mut url = metadata.authorization_endpoint.clone();
        let challenge = digest(&SHA256, attempt.verifier.expose_secret().as_bytes());
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(challenge);
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &self.callback)
            .append_pair("scope", &self.scopes(metadata))
            .append_pair("state", state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let is_github = settings.preset == ProviderPreset::Github;
        if !is_github {
            query.append_pair("nonce", &attempt.nonce);
        }
        if let Some(hint) = &wishes.login_hint {
            query.append_pair(if is_github { "login" } else { "login_hint" }, hint);
        }
        if let Some(domain) = settings.domain_hint.as_deref().filter(|_| !is_github) {
            let name = if settings.preset == ProviderPreset::Google { "hd" } else { "domain_hint" };
            query.append_pair(name, domain);
        }
        if settings.preset == ProviderPreset::Google {
            // Google says when the user signed in if it is asked for it in this way (Core section 5.5).
            query.append_pair("claims", r#"{"id_token":{"auth_time":{"essential":true}}}"#);
            if self.rechecks() {
                query.append_pair("access_type", "offline");
            }
        }
        match wishes.max_age {
            Some(age) if self.repeats_sign_ins() => {
                query.append_pair("max_age", &age.to_string());
                if age == 0 {
                    query.append_pair("prompt", "login");
                } else if wishes.another_account {
                    query.append_pair("prompt", "select_account");
                }
            }
            // The page at least asks for a decision of the user.
            _ if wishes.another_account || wishes.max_age.is_some() => {
                query.append_pair("prompt", "select_account");
            }
            _ => {}
        }
        drop(query);
        url
    }
}
