//! The client credentials grant (RFC 6749 section 4.4), for a machine that has a secret or a private key (RFC 7523).

use std::{
    fmt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flyte_api_key::is_altered;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::authenticated_token_request;
use crate::{
    AuthError,
    api_key::ApiKey,
    clock::UnixTime,
    discovery::Provider,
    http::Http,
    oauth::{ClientId, GrantType, Scope},
    token::TokenResponse,
};

/// The longest file that is read as a secret or a key, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The lifetime of a signed assertion, in seconds. It is as short as clock differences allow (RFC 7523 section 3).
const ASSERTION_LIFETIME: i64 = 120;
/// RFC 7521 section 4.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A confidential client, and where its credentials are.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The client's ID; `None` if the configuration names none.
    pub client_id: Option<ClientId>,
    /// Where the client's secret or private key is.
    pub source: CredentialSource,
}

/// Where the secret or the private key of a client is. It is read each time it is needed, so that a rotated one is found.
#[derive(Clone)]
#[non_exhaustive]
pub enum CredentialSource {
    /// The secret of an API key.
    Secret(SecretString),
    /// An environment variable that holds the secret (`admin.clientSecretEnvVar`).
    Variable {
        /// The variable's name.
        name: String,
        /// The variable's value; `None` if it is not set.
        value: Option<SecretString>,
    },
    /// A file that holds the secret (`admin.clientSecretLocation`).
    File(PathBuf),
    /// A PEM file with the private key (`admin.clientPrivateKeyLocation`).
    PrivateKey(PathBuf),
    /// The keyring's entry of the endpoint for the user `client-secret:CLIENT_ID`.
    Keyring,
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret"),
            Self::Variable { name, .. } => write!(f, "Variable({name})"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::PrivateKey(path) => write!(f, "PrivateKey({})", path.display()),
            Self::Keyring => f.write_str("Keyring"),
        }
    }
}

impl From<ApiKey> for ClientCredentials {
    fn from(key: ApiKey) -> Self {
        Self { client_id: Some(key.client_id), source: CredentialSource::Secret(key.client_secret) }
    }
}

/// The secret or the private key of a client.
#[derive(Debug)]
pub(crate) enum Credential {
    Secret(SecretString),
    Key(Box<SigningKey>),
}

pub(crate) struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.algorithm)
    }
}

impl ClientCredentials {
    /// The client's ID.
    ///
    /// # Errors
    /// [`AuthError::Credentials`] if the configuration names none.
    pub(crate) fn client_id(&self) -> Result<&ClientId, AuthError> {
        self.client_id.as_ref().ok_or_else(|| AuthError::Credentials {
            location: "authType ClientSecret".to_owned(),
            reason: "admin.clientId is not set, so it is not known which client the secret belongs to"
                .to_owned(),
        })
    }

    /// Reads the secret or the private key; `None` if it is in the keyring, which the caller reads.
    pub(crate) fn read(&self) -> Result<Option<Credential>, AuthError> {
        let secret = match &self.source {
            CredentialSource::Keyring => return Ok(None),
            CredentialSource::PrivateKey(path) => {
                return read_signing_key(path).map(|key| Some(Credential::Key(Box::new(key))));
            }
            CredentialSource::Secret(secret) => secret.clone(),
            CredentialSource::Variable { name, value } => {
                value.clone().ok_or_else(|| AuthError::Credentials {
                    location: format!("the environment variable {name} (admin.clientSecretEnvVar)"),
                    reason: "it is not set".to_owned(),
                })?
            }
            CredentialSource::File(path) => {
                let text = read_file(path, "admin.clientSecretLocation")?;
                let secret = text.trim_end_matches(['\r', '\n']);
                if secret.is_empty() {
                    return Err(unusable(path, "admin.clientSecretLocation", "it is empty"));
                }
                SecretString::from(secret)
            }
        };
        if is_altered(secret.expose_secret()) {
            return Err(AuthError::Credentials {
                location: format!(
                    "the secret of {}",
                    self.client_id.as_ref().map_or("the client", ClientId::as_str)
                ),
                reason: "it was truncated or altered: the check at its end is not right. Copy it again"
                    .to_owned(),
            });
        }
        Ok(Some(Credential::Secret(secret)))
    }
}

fn unusable(path: &Path, setting: &str, reason: impl fmt::Display) -> AuthError {
    AuthError::Credentials { location: format!("{} ({setting})", path.display()), reason: reason.to_string() }
}

/// Reads a small text file that holds a secret.
fn read_file(path: &Path, setting: &str) -> Result<Zeroizing<String>, AuthError> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| unusable(path, setting, error);
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(unusable(path, setting, format_args!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

fn read_signing_key(path: &Path) -> Result<SigningKey, AuthError> {
    const SETTING: &str = "admin.clientPrivateKeyLocation";
    let pem = read_file(path, SETTING)?;
    let found = EncodingKey::from_ec_pem(pem.as_bytes())
        .map(|key| (Algorithm::ES256, key))
        .or_else(|_| EncodingKey::from_rsa_pem(pem.as_bytes()).map(|key| (Algorithm::RS256, key)));
    let (algorithm, key) = found.map_err(|_| {
        unusable(path, SETTING, "it holds no private key in PEM form (EC P-256 as PKCS #8, or RSA)")
    })?;
    let key = SigningKey { algorithm, key };
    // Signing detects a key on another curve here, before the server refuses it.
    key.sign(&serde_json::json!({})).map_err(|_| unusable(path, SETTING, "it is not EC P-256 or RSA"))?;
    Ok(key)
}

impl SigningKey {
    fn sign(&self, claims: &impl Serialize) -> Result<SecretString, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(self.algorithm), claims, &self.key).map(SecretString::from)
    }
}

/// The claims of a client assertion (RFC 7523 section 3).
#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: UnixTime,
    exp: UnixTime,
}

/// Requests a token for a client. Its scopes are the configured `scopes`, otherwise those that the provider advertises.
///
/// # Errors
/// [`AuthError::ClientRefused`] if the server rejects the client, and the errors of any token request.
pub(crate) async fn token(
    http: &Http,
    provider: &Provider,
    endpoint: &str,
    scopes: &[Scope],
    client_id: &ClientId,
    credential: &Credential,
    now: UnixTime,
) -> Result<TokenResponse, AuthError> {
    let scope = if scopes.is_empty() { machine_scopes(&provider.scopes) } else { Scope::join(scopes) };
    let mut form = Vec::new();
    if !scope.is_empty() {
        form.push(("scope", scope.as_str()));
    }
    if let Some(audience) = &provider.audience {
        form.push(("audience", audience.as_str()));
    }
    let mut authorization = None;
    let assertion;
    match credential {
        Credential::Secret(secret) if wants_secret_in_body(provider) => {
            form.extend([("client_id", client_id.as_str()), ("client_secret", secret.expose_secret())]);
        }
        Credential::Secret(secret) => authorization = Some(basic_authorization(client_id, secret)?),
        Credential::Key(key) => {
            assertion = key.sign_assertion(client_id, &provider.token_endpoint, now)?;
            form.extend([
                ("client_id", client_id.as_str()),
                ("client_assertion_type", JWT_BEARER),
                ("client_assertion", assertion.expose_secret()),
            ]);
        }
    }
    let grant_type = GrantType::ClientCredentials;
    let answer = authenticated_token_request(authorization, http, provider, grant_type, &form).await;
    answer.map_err(|error| match error {
        // RFC 6749 section 5.2: these codes are about the client. Others (invalid_scope, for example) are not.
        AuthError::Refused { code, description }
            if matches!(code.as_str(), "invalid_client" | "invalid_grant" | "unauthorized_client") =>
        {
            AuthError::ClientRefused {
                endpoint: endpoint.to_owned(),
                client_id: client_id.clone(),
                code,
                description,
            }
        }
        other => other,
    })
}

/// The advertised scopes that a machine can use, as the parameter `scope`. A client that acts for itself has no personal identity
/// and no refresh token (RFC 6749 section 4.4.3).
pub(super) fn machine_scopes(advertised: &[Scope]) -> String {
    let scopes: Vec<_> = advertised.iter().filter(|scope| !scope.is_for_people()).cloned().collect();
    Scope::join(&scopes)
}

/// Whether the secret goes into the body: only if the server accepts it nowhere else (RFC 6749 section 2.3.1).
fn wants_secret_in_body(provider: &Provider) -> bool {
    let accepts = |method: &str| provider.client_authentication.iter().any(|known| known == method);
    accepts("client_secret_post") && !accepts("client_secret_basic")
}

/// The header of HTTP Basic as every Flyte client sends it: the ID unencoded, the secret form-encoded.
fn basic_authorization(client_id: &ClientId, secret: &SecretString) -> Result<HeaderValue, AuthError> {
    let encoded: String = form_urlencoded::byte_serialize(secret.expose_secret().as_bytes()).collect();
    let encoded = Zeroizing::new(encoded);
    let pair = Zeroizing::new(format!("{client_id}:{}", encoded.as_str()));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::try_from(text.as_str()).map_err(|_| AuthError::Credentials {
        location: "the client secret".to_owned(),
        reason: "it cannot be sent in a header".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl SigningKey {
    fn sign_assertion(
        &self,
        client_id: &ClientId,
        token_endpoint: &Url,
        now: UnixTime,
    ) -> Result<SecretString, AuthError> {
        let claims = Assertion {
            iss: client_id.as_str(),
            sub: client_id.as_str(),
            aud: token_endpoint.as_str(),
            jti: uuid::Uuid::new_v4().to_string(),
            iat: now,
            exp: now + ASSERTION_LIFETIME,
        };
        self.sign(&claims).map_err(|error| AuthError::Credentials {
            location: "the private key (admin.clientPrivateKeyLocation)".to_owned(),
            reason: format!("it cannot sign: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basic_header_is_that_of_the_published_client() {
        let client_id = ClientId::parse("my id").unwrap();
        let header = basic_authorization(&client_id, &SecretString::from("p w:%")).unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic bXkgaWQ6cCt3JTNBJTI1");
        assert!(!format!("{header:?}").contains("bXk"));
    }

    #[test]
    fn a_machine_requests_no_scopes_for_people() {
        assert_eq!(machine_scopes(&Scope::parse_list("openid all offline_access x")), "all x");
        assert_eq!(machine_scopes(&Scope::parse_list("openid")), "");
    }

    #[test]
    fn the_secret_of_a_file_ends_before_its_newline() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let client = ClientCredentials { client_id: None, source: CredentialSource::File(path.clone()) };
        let secret = |text: &str| {
            std::fs::write(&path, text).unwrap();
            match client.read() {
                Ok(Some(Credential::Secret(secret))) => Ok(secret.expose_secret().to_owned()),
                other => Err(format!("{other:?}")),
            }
        };
        assert_eq!(secret(" a b \r\n").as_deref(), Ok(" a b "));
        assert!(secret("\n").unwrap_err().contains("empty"));
        let cut = secret("flyte_key_0123456789\n").unwrap_err();
        assert!(cut.contains("truncated or altered") && !cut.contains("0123456789"), "{cut}");
        std::fs::remove_file(&path).unwrap();
        let error = client.read().unwrap_err();
        assert!(error.to_string().contains("clientSecretLocation"), "{error}");
        assert!(client.client_id().unwrap_err().to_string().contains("admin.clientId"));
    }

    #[test]
    fn only_p256_and_rsa_keys_are_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let client =
            ClientCredentials { client_id: None, source: CredentialSource::PrivateKey(path.clone()) };
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        std::fs::write(&path, key.serialize_pem()).unwrap();
        assert!(matches!(client.read(), Ok(Some(Credential::Key(key))) if key.algorithm == Algorithm::ES256));
        let key =
            rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        std::fs::write(&path, key.serialize_pem()).unwrap();
        assert!(matches!(client.read(), Ok(Some(Credential::Key(key))) if key.algorithm == Algorithm::RS256));
        for other in [
            rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
        ] {
            let pem = other.unwrap().serialize_pem();
            std::fs::write(&path, &pem).unwrap();
            let error = client.read().unwrap_err().to_string();
            assert!(error.contains("P-256") && !error.contains(&pem[40..60]), "{error}");
        }
    }
}
