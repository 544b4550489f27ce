//! How this server authenticates at a provider's token endpoint (OpenID Connect Core section 9).

use std::{fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use url::form_urlencoded;

use crate::{Provider, ProviderError, metadata::Metadata};
use flyte_settings::{ProviderCredential, ProviderPreset};

/// `client_assertion_type` (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The lifetime of an assertion, in seconds.
const ASSERTION_SECONDS: i64 = 60;

impl Provider {
    /// Adds the authentication to a token request.
    pub(crate) fn authenticate(
        &self,
        metadata: &Metadata,
        headers: &mut HeaderMap,
        form: &mut form_urlencoded::Serializer<'_, String>,
    ) -> Result<(), ProviderError> {
        let client_id = &self.settings.client_id;
        match &self.settings.credential {
            ProviderCredential::None => {
                form.append_pair("client_id", client_id);
            }
            ProviderCredential::Secret(path) => {
                let secret = read(path)?;
                let supports = |method: &str| {
                    let methods = metadata.auth_methods.as_ref();
                    methods.is_some_and(|methods| methods.iter().any(|known| known == method))
                };
                // `client_secret_basic` is the default (Discovery section 3).
                let in_body = self.settings.preset == ProviderPreset::Github
                    || (supports("client_secret_post") && !supports("client_secret_basic"));
                if in_body {
                    form.append_pair("client_id", client_id)
                        .append_pair("client_secret", secret.expose_secret());
                } else {
                    headers.insert(header::AUTHORIZATION, basic(client_id, &secret)?);
                }
            }
            ProviderCredential::Key { file, id } => {
                let assertion = self.assertion(metadata, file, id.as_deref())?;
                form.append_pair("client_id", client_id)
                    .append_pair("client_assertion_type", ASSERTION_TYPE)
                    .append_pair("client_assertion", &assertion);
            }
        }
        Ok(())
    }

    /// Signs a `client_assertion` (RFC 7523 section 3).
    fn assertion(&self, metadata: &Metadata, file: &Path, id: Option<&str>) -> Result<String, ProviderError> {
        let pem = read(file)?;
        let pem = pem.expose_secret().as_bytes();
        let key = EncodingKey::from_rsa_pem(pem)
            .map(|key| (Algorithm::RS256, key))
            .or_else(|_| EncodingKey::from_ec_pem(pem).map(|key| (Algorithm::ES256, key)))
            .or_else(|_| EncodingKey::from_ed_pem(pem).map(|key| (Algorithm::EdDSA, key)));
        let (algorithm, key) = key.map_err(|_| {
            ProviderError::Credential(format!(
                "{} is not a PEM file (PKCS#8) of a private key",
                file.display()
            ))
        })?;
        let mut header = Header::new(algorithm);
        header.kid = id.map(str::to_owned);
        let now = self.clock.now();
        let claims = json!({
            "iss": self.settings.client_id,
            "sub": self.settings.client_id,
            "aud": metadata.token_endpoint.as_str(),
            "jti": uuid::Uuid::new_v4().to_string(),
            "iat": now,
            "exp": now.saturating_add(ASSERTION_SECONDS),
        });
        jsonwebtoken::encode(&header, &claims, &key)
            .map_err(|error| ProviderError::Credential(format!("{}: {error}", file.display())))
    }
}

/// HTTP Basic; both parts are encoded first (RFC 6749 section 2.3.1).
fn basic(client_id: &str, secret: &SecretString) -> Result<HeaderValue, ProviderError> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(client_id), encode(secret.expose_secret()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
        .map_err(|_| ProviderError::Credential("it cannot be sent".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(path: &Path) -> Result<SecretString, ProviderError> {
    let failed = |what: String| ProviderError::Credential(format!("cannot read {}: {what}", path.display()));
    let text = fs::read_to_string(path).map(SecretString::from).map_err(|error| failed(error.to_string()))?;
    let trimmed = text.expose_secret().trim();
    if trimmed.is_empty() {
        return Err(failed("it is empty".to_owned()));
    }
    Ok(SecretString::from(trimmed.to_owned()))
}
