//! The client credentials grant (RFC 6749 section 4.4): a machine with a secret, or a private key (RFC 7523), of its own.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::token_request_as;
use crate::{
    AuthError,
    api_key::{ApiKey, secret::is_altered},
    clock::UnixTime,
    discovery::Provider,
    http::Http,
    token::TokenResponse,
};

/// The longest file that is read as a secret or a key, in bytes.
const MAX_FILE: u64 = 64 * 1024;
/// How long a signed assertion is good for, in seconds: as short as clocks allow (RFC 7523 section 3).
const ASSERTION_LIFE: i64 = 120;
/// RFC 7521 section 4.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client of its own, and what proves that it is it.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// Its ID; `None` where the configuration names none.
    pub client_id: Option<String>,
    /// Where the proof is.
    pub proof: Proof,
}

/// Where the proof of a client is. It is read each time that it is needed, so that a rotated one is found.
#[derive(Clone)]
#[non_exhaustive]
pub enum Proof {
    /// The secret itself, of an API key.
    Secret(SecretString),
    /// An environment variable of this process (`admin.clientSecretEnvVar`).
    Variable {
        /// Its name.
        name: String,
        /// What it held, if it was set.
        value: Option<SecretString>,
    },
    /// A file that holds the secret (`admin.clientSecretLocation`).
    File(PathBuf),
    /// A PEM file with the private key (`admin.clientPrivateKeyLocation`).
    PrivateKey(PathBuf),
    /// The keyring's entry of the endpoint for the user `client-secret:CLIENT_ID`.
    Keyring,
}

impl fmt::Debug for Proof {
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
        Self { client_id: Some(key.client_id), proof: Proof::Secret(key.client_secret) }
    }
}

/// A proof that was read.
#[derive(Debug)]
pub(crate) enum Evidence {
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
    /// The client's ID, or the error that tells how to give one.
    pub(crate) fn client_id(&self) -> Result<&str, AuthError> {
        self.client_id.as_deref().ok_or_else(|| AuthError::Credentials {
            place: "authType ClientSecret".to_owned(),
            reason: "admin.clientId is not set, so that nobody knows whose secret it is".to_owned(),
        })
    }

    /// What the client proves itself with; `None` where it is in the keyring, which the caller asks.
    pub(crate) fn evidence(&self) -> Result<Option<Evidence>, AuthError> {
        let secret = match &self.proof {
            Proof::Keyring => return Ok(None),
            Proof::PrivateKey(path) => {
                return signing_key(path).map(|key| Some(Evidence::Key(Box::new(key))));
            }
            Proof::Secret(secret) => secret.clone(),
            Proof::Variable { name, value } => value.clone().ok_or_else(|| AuthError::Credentials {
                place: format!("the environment variable {name} (admin.clientSecretEnvVar)"),
                reason: "it is not set".to_owned(),
            })?,
            Proof::File(path) => {
                let text = read(path, "admin.clientSecretLocation")?;
                let secret = text.trim_end_matches(['\r', '\n']);
                if secret.is_empty() {
                    return Err(unusable(path, "admin.clientSecretLocation", "it is empty"));
                }
                SecretString::from(secret)
            }
        };
        if is_altered(secret.expose_secret()) {
            return Err(AuthError::Credentials {
                place: format!("the secret of {}", self.client_id.as_deref().unwrap_or("the client")),
                reason: "it was truncated or altered: the check at its end is not right. Copy it again"
                    .to_owned(),
            });
        }
        Ok(Some(Evidence::Secret(secret)))
    }
}

fn unusable(path: &Path, setting: &str, reason: impl fmt::Display) -> AuthError {
    AuthError::Credentials { place: format!("{} ({setting})", path.display()), reason: reason.to_string() }
}

/// A small text file that holds a secret.
fn read(path: &Path, setting: &str) -> Result<Zeroizing<String>, AuthError> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| unusable(path, setting, error);
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(unusable(path, setting, format_args!("it is longer than {MAX_FILE} bytes")));
    }
    Ok(text)
}

fn signing_key(path: &Path) -> Result<SigningKey, AuthError> {
    const SETTING: &str = "admin.clientPrivateKeyLocation";
    let pem = read(path, SETTING)?;
    let found = EncodingKey::from_ec_pem(pem.as_bytes())
        .map(|key| (Algorithm::ES256, key))
        .or_else(|_| EncodingKey::from_rsa_pem(pem.as_bytes()).map(|key| (Algorithm::RS256, key)));
    let (algorithm, key) = found.map_err(|_| {
        unusable(path, SETTING, "it holds no private key in PEM form (EC P-256 as PKCS #8, or RSA)")
    })?;
    let key = SigningKey { algorithm, key };
    // A key on another curve is found out here, and not as the server's refusal.
    key.sign(&serde_json::json!({}))
        .map_err(|_| unusable(path, SETTING, "it is neither EC P-256 nor RSA"))?;
    Ok(key)
}

impl SigningKey {
    fn sign(&self, claims: &impl Serialize) -> Result<SecretString, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(self.algorithm), claims, &self.key).map(SecretString::from)
    }
}

/// RFC 7523 section 3.
#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: UnixTime,
    exp: UnixTime,
}

/// Gets a token for a client, for `scopes` where they are configured and else for those that the provider advertises.
///
/// # Errors
/// [`AuthError::ClientRefused`] where the server does not take the client, and those of any token request.
pub(crate) async fn token(
    http: &Http,
    provider: &Provider,
    endpoint: &str,
    scopes: &[String],
    client_id: &str,
    evidence: &Evidence,
    now: UnixTime,
) -> Result<TokenResponse, AuthError> {
    let scope = if scopes.is_empty() { own_scopes(&provider.scopes) } else { scopes.join(" ") };
    let mut form = vec![("grant_type", "client_credentials")];
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    if let Some(audience) = &provider.audience {
        form.push(("audience", audience));
    }
    let mut authorization = None;
    let assertion;
    match evidence {
        Evidence::Secret(secret) if by_post(provider) => {
            form.extend([("client_id", client_id), ("client_secret", secret.expose_secret())]);
        }
        Evidence::Secret(secret) => authorization = Some(basic(client_id, secret)?),
        Evidence::Key(key) => {
            assertion = key.assertion(client_id, &provider.token_endpoint, now)?;
            form.extend([
                ("client_id", client_id),
                ("client_assertion_type", JWT_BEARER),
                ("client_assertion", assertion.expose_secret()),
            ]);
        }
    }
    token_request_as(authorization, http, provider, &form).await.map_err(|error| match error {
        // RFC 6749 section 5.2: these are about the client; others, such as invalid_scope, say nothing against its secret.
        AuthError::Refused { code, description }
            if matches!(code.as_str(), "invalid_client" | "invalid_grant" | "unauthorized_client") =>
        {
            AuthError::ClientRefused {
                endpoint: endpoint.to_owned(),
                client_id: client_id.to_owned(),
                code,
                description,
            }
        }
        other => other,
    })
}

/// Those of the advertised scopes that are not about a person: a client that acts for itself has no identity to ask for, and
/// no refresh token (RFC 6749 section 4.4.3).
pub(super) fn own_scopes(advertised: &[String]) -> String {
    let persons = |scope: &&str| !matches!(*scope, "openid" | "profile" | "email" | "offline_access");
    advertised.iter().map(String::as_str).filter(persons).collect::<Vec<_>>().join(" ")
}

/// Whether the secret goes into the body: only where the server takes it nowhere else (RFC 6749 section 2.3.1).
fn by_post(provider: &Provider) -> bool {
    let takes = |method: &str| provider.client_authentication.iter().any(|known| known == method);
    takes("client_secret_post") && !takes("client_secret_basic")
}

/// The header of HTTP Basic as every Flyte client sends it: the ID as it is, the secret form-encoded.
fn basic(client_id: &str, secret: &SecretString) -> Result<HeaderValue, AuthError> {
    let encoded: String = form_urlencoded::byte_serialize(secret.expose_secret().as_bytes()).collect();
    let encoded = Zeroizing::new(encoded);
    let pair = Zeroizing::new(format!("{client_id}:{}", encoded.as_str()));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::try_from(text.as_str()).map_err(|_| AuthError::Credentials {
        place: "the client secret".to_owned(),
        reason: "it cannot stand in a header".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl SigningKey {
    fn assertion(
        &self,
        client_id: &str,
        token_endpoint: &Url,
        now: UnixTime,
    ) -> Result<SecretString, AuthError> {
        let claims = Assertion {
            iss: client_id,
            sub: client_id,
            aud: token_endpoint.as_str(),
            jti: uuid::Uuid::new_v4().to_string(),
            iat: now,
            exp: now + ASSERTION_LIFE,
        };
        self.sign(&claims).map_err(|error| AuthError::Credentials {
            place: "the private key (admin.clientPrivateKeyLocation)".to_owned(),
            reason: format!("it cannot sign: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_what_the_published_client_sends() {
        let header = basic("my id", &SecretString::from("p w:%")).unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic bXkgaWQ6cCt3JTNBJTI1");
        assert!(!format!("{header:?}").contains("bXk"));
    }

    #[test]
    fn a_client_asks_for_no_persons_scopes() {
        assert_eq!(own_scopes(&["openid", "all", "offline_access", "x"].map(str::to_owned)), "all x");
        assert_eq!(own_scopes(&["openid".to_owned()]), "");
    }

    #[test]
    fn the_secret_of_a_file_ends_before_its_newline() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let client = ClientCredentials { client_id: None, proof: Proof::File(path.clone()) };
        let secret = |text: &str| {
            std::fs::write(&path, text).unwrap();
            match client.evidence() {
                Ok(Some(Evidence::Secret(secret))) => Ok(secret.expose_secret().to_owned()),
                other => Err(format!("{other:?}")),
            }
        };
        assert_eq!(secret(" a b \r\n").as_deref(), Ok(" a b "));
        assert!(secret("\n").unwrap_err().contains("empty"));
        let cut = secret("flyte_key_0123456789\n").unwrap_err();
        assert!(cut.contains("truncated or altered") && !cut.contains("0123456789"), "{cut}");
        std::fs::remove_file(&path).unwrap();
        let error = client.evidence().unwrap_err();
        assert!(error.to_string().contains("clientSecretLocation"), "{error}");
        assert!(client.client_id().unwrap_err().to_string().contains("admin.clientId"));
    }

    #[test]
    fn keys_are_told_apart_and_others_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let client = ClientCredentials { client_id: None, proof: Proof::PrivateKey(path.clone()) };
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        std::fs::write(&path, key.serialize_pem()).unwrap();
        assert!(
            matches!(client.evidence(), Ok(Some(Evidence::Key(key))) if key.algorithm == Algorithm::ES256)
        );
        let key =
            rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        std::fs::write(&path, key.serialize_pem()).unwrap();
        assert!(
            matches!(client.evidence(), Ok(Some(Evidence::Key(key))) if key.algorithm == Algorithm::RS256)
        );
        for other in [
            rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
        ] {
            let pem = other.unwrap().serialize_pem();
            std::fs::write(&path, &pem).unwrap();
            let error = client.evidence().unwrap_err().to_string();
            assert!(error.contains("P-256") && !error.contains(&pem[40..60]), "{error}");
        }
    }
}
