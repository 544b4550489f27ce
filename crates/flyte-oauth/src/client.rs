//! Client identification and authentication (RFC 6749 section 2.3).

use aws_lc_rs::constant_time;
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::form_urlencoded;

use super::{
    client_assertion,
    error::{ErrorCode, OAuthError},
    parameters::Parameters,
};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::{
    ClientId, ClientIdError, GrantType,
    clock::{UnixTime, rfc3339},
};
use flyte_secrets::SecretHash;
use flyte_secrets::{api_key_secret, opaque_token};
use flyte_settings::reserved;
use flyte_store::{ApiKey, Client, ClientKind, StoreError};

/// Base64 of an `Authorization` header; some clients omit the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The client credentials in a request.
#[derive(Debug)]
pub struct Credentials {
    /// `client_id`.
    id: String,
    /// The identifier as in the header, if decoding changes it. The published client form-encodes the secret but not
    /// the identifier.
    literal_id: Option<String>,
    secret: Option<SecretString>,
    /// `client_assertion`.
    assertion: Option<SecretString>,
}

/// An authenticated client.
#[derive(Clone, Debug)]
pub struct Authenticated {
    client: Client,
    api_key: Option<ApiKey>,
    proof_ends_at: Option<UnixTime>,
}

impl Authenticated {
    /// The API key, if the client is one.
    #[must_use]
    pub fn api_key(&self) -> Option<&ApiKey> {
        self.api_key.as_ref()
    }

    /// The expiry time of the credential; `None` if it does not expire.
    #[must_use]
    pub fn proof_ends_at(&self) -> Option<UnixTime> {
        self.proof_ends_at
    }

    /// Refuses a client that is not registered for a grant type.
    ///
    /// # Errors
    /// `unauthorized_client`.
    pub fn require_grant_type(&self, grant_type: GrantType) -> Result<(), OAuthError> {
        if self.client.grant_types.contains(&grant_type) {
            return Ok(());
        }
        let description = format!("the client is not registered for {grant_type}");
        Err(OAuthError::new(ErrorCode::UnauthorizedClient, description))
    }
}

impl std::ops::Deref for Authenticated {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl From<Client> for Authenticated {
    fn from(client: Client) -> Self {
        Self { client, api_key: None, proof_ends_at: None }
    }
}

impl From<ApiKey> for Authenticated {
    fn from(key: ApiKey) -> Self {
        let client = Client {
            id: key.client_id.clone(),
            name: key.name.clone(),
            kind: ClientKind::Confidential,
            secret_hash: key.secret_hash,
            jwks: key.jwks.clone(),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            grant_types: vec![GrantType::ClientCredentials],
            scopes: key.rights.scopes.clone(),
            first_party: false,
            may_keep_api_keys: false,
            id_token_signed_response_alg: None,
            created_at: key.created_at,
        };
        Self { client, proof_ends_at: key.expires_at, api_key: Some(key) }
    }
}

impl Credentials {
    /// Parses `client_secret_basic`, `client_secret_post`, `private_key_jwt` or `none`.
    ///
    /// # Errors
    /// `invalid_request` if the request has no client ID or several authentication methods; `invalid_client` if the
    /// header cannot be parsed.
    pub fn parse(headers: &HeaderMap, form: &Parameters<'_>) -> Result<Self, OAuthError> {
        let (form_id, form_secret) = (form.one("client_id")?, form.one("client_secret")?);
        let mut headers = headers.get_all(header::AUTHORIZATION).iter();
        if let Some(assertion) = form.one("client_assertion")? {
            if headers.next().is_some() || form_secret.is_some() {
                return Err(OAuthError::invalid_request(
                    "the request has more than one client authentication method",
                ));
            }
            return Self::of_assertion(form_id, form.one("client_assertion_type")?, assertion);
        }
        let Some(value) = headers.next() else {
            let id = form_id.ok_or_else(|| OAuthError::invalid_request("client_id is missing"))?;
            return Ok(Self {
                id: id.to_owned(),
                literal_id: None,
                secret: form_secret.map(SecretString::from),
                assertion: None,
            });
        };
        if headers.next().is_some() || form_secret.is_some() {
            return Err(OAuthError::invalid_request(
                "the request has more than one client authentication method",
            ));
        }
        let credentials = value
            .to_str()
            .ok()
            .and_then(Self::parse_basic)
            .ok_or_else(|| invalid_client("the Authorization header is not valid HTTP Basic"))?;
        match form_id {
            Some(id) if !credentials.is_named(id) => {
                Err(OAuthError::invalid_request("client_id in the header differs from client_id in the body"))
            }
            _ => Ok(credentials),
        }
    }

    /// Parses an assertion (RFC 7521 section 4.2). It contains the client ID, with or without `client_id` in the
    /// form.
    fn of_assertion(id: Option<&str>, kind: Option<&str>, assertion: &str) -> Result<Self, OAuthError> {
        if kind != Some(client_assertion::TYPE) {
            let description = format!("client_assertion_type must be {}", client_assertion::TYPE);
            return Err(OAuthError::invalid_request(description));
        }
        let claimed = client_assertion::claimed_client(assertion)?;
        if id.is_some_and(|id| id != claimed) {
            return Err(OAuthError::invalid_request("client_id differs from iss of client_assertion"));
        }
        Ok(Self {
            id: claimed,
            literal_id: None,
            secret: None,
            assertion: Some(SecretString::from(assertion)),
        })
    }

    /// Parses HTTP Basic. Its two parts are form-encoded before they are joined (RFC 6749 section 2.3.1).
    fn parse_basic(header: &str) -> Option<Self> {
        let (scheme, encoded) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = SecretString::from(String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?);
        let (literal_id, secret) = decoded.expose_secret().split_once(':')?;
        let id = form_decode(literal_id)?;
        let secret = form_decode(secret)?;
        if id.is_empty() {
            return None;
        }
        Some(Self {
            literal_id: (id != literal_id).then(|| literal_id.to_owned()),
            id,
            secret: (!secret.is_empty()).then(|| secret.into()),
            assertion: None,
        })
    }

    /// The client ID in the request, which is not verified yet.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn is_named(&self, id: &str) -> bool {
        self.id == id || self.literal_id.as_deref() == Some(id)
    }
}

/// Decodes one form-encoded value; `None` if it is invalid.
fn form_decode(value: &str) -> Option<String> {
    // The decoder parses pairs. With a one-letter name, `=` in the value is harmless; `&` is not allowed.
    if value.contains('&') {
        return None;
    }
    let pair = format!("v={value}");
    let (_, decoded) = form_urlencoded::parse(pair.as_bytes()).next()?;
    (!decoded.contains('\u{FFFD}')).then(|| decoded.into_owned())
}

/// Authenticates the client of a request. A public client has no credential; PKCE and rotation bind its codes and
/// tokens to it.
///
/// # Errors
/// `invalid_client` if the client is unknown or its credential is wrong, without saying which. The description is
/// more specific if the secret is malformed or the API key has expired.
pub async fn authenticate(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    form: &Parameters<'_>,
) -> Result<Authenticated, OAuthError> {
    let credentials = Credentials::parse(headers, form)?;
    let secret = credentials.secret.as_ref().map(secrecy::ExposeSecret::expose_secret);
    // The prefix of the secret shows that the client is an API key, so a valid key needs only one lookup.
    let is_key = secret.is_some_and(|secret| secret.trim_start().starts_with(api_key_secret::PREFIX));
    if let Some(secret) = secret.filter(|_| is_key) {
        api_key_secret::examine(secret).map_err(|malformed| invalid_client(malformed.to_string()))?;
    }
    let mut found = find(server, &credentials.id, is_key).await?;
    if let (None, Some(id)) = (&found, &credentials.literal_id) {
        found = find(server, id, is_key).await?;
    }
    let refused = || invalid_client("the client is unknown, or its secret is missing or wrong");
    let Some(mut client) = found else {
        if let Some(secret) = secret.filter(|_| is_key) {
            record_if_retired(server, secret).await?;
        }
        return Err(refused());
    };
    match (&credentials.assertion, &client.jwks) {
        (Some(assertion), Some(jwks)) => {
            client_assertion::verify(server, &client.id, jwks, assertion.expose_secret()).await?;
        }
        (Some(_), None) => return Err(refused()),
        (None, _) => {
            let now = server.clock.now();
            let proved = match &client.api_key {
                Some(key) => api_key_expiry(key, credentials.secret.as_ref(), now),
                None => has_valid_secret(&client, credentials.secret.as_ref()).then_some(None),
            };
            if let Some(ends_at) = proved {
                client.proof_ends_at = ends_at;
            } else {
                if let Some(secret) = secret.filter(|_| is_key) {
                    record_if_retired(server, secret).await?;
                }
                return Err(refused());
            }
        }
    }
    require_not_expired(server, &client).await?;
    Ok(client)
}

/// Returns the registered client that a request names. A text that is not a client identifier names none.
///
/// # Errors
/// [`StoreError`].
pub async fn registered(server: &AuthorizationServer, text: &str) -> Result<Option<Client>, StoreError> {
    match text.parse() {
        Ok(id) => server.store.client_by_id(&id).await,
        Err(ClientIdError::Empty | ClientIdError::Malformed) => Ok(None),
    }
}

/// Finds the client with this identifier: an API key or a registered client. `keys_first` says which is more likely.
async fn find(
    server: &AuthorizationServer,
    text: &str,
    api_keys_first: bool,
) -> Result<Option<Authenticated>, OAuthError> {
    let Ok(id) = text.parse::<ClientId>() else { return Ok(None) };
    for api_keys in [api_keys_first, !api_keys_first] {
        let found = if api_keys {
            // A key that was created before the identifier was reserved could be confused with runs.
            let key = server.store.api_key_by_id(&id).await?.filter(|key| key.client_id != reserved::RUN);
            key.map(Authenticated::from)
        } else {
            server.store.client_by_id(&id).await?.map(Authenticated::from)
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Records the use of a secret that is no longer valid. Only a holder of the secret can cause this record.
async fn record_if_retired(server: &AuthorizationServer, secret: &str) -> Result<(), OAuthError> {
    if let Some(retired) = server.store.retired_secret(&opaque_token::hash(secret)).await? {
        let id = &retired.client_id;
        let event = Event::new(Kind::ApiKeyUsedAfterDeletion).client(id).object(id.as_str());
        server.audit.record(event.detail(Detail::Reason, retired.why.as_str())).await;
    }
    Ok(())
}

/// Returns the expiry time of the given secret, if it is the key's secret or its previous one that is still valid;
/// `None` if it is neither.
fn api_key_expiry(key: &ApiKey, secret: Option<&SecretString>, now: UnixTime) -> Option<Option<UnixTime>> {
    let (expected, secret) = (key.secret_hash?, secret?);
    let presented = opaque_token::hash(secret.expose_secret());
    if equal(&presented, &expected) {
        return Some(key.expires_at);
    }
    let previous = key.previous_secret.as_ref().filter(|previous| previous.expires_at > now)?;
    let ends_at = key.expires_at.map_or(previous.expires_at, |end| end.min(previous.expires_at));
    equal(&presented, &previous.hash).then_some(Some(ends_at))
}

/// Refuses an expired API key with a specific message. The secret was verified before, so a stranger learns nothing.
async fn require_not_expired(server: &AuthorizationServer, client: &Authenticated) -> Result<(), OAuthError> {
    match client.api_key.as_ref().and_then(|key| key.expires_at) {
        Some(end) if end <= server.clock.now() => {
            let event =
                Event::new(Kind::ApiKeyUsedAfterDeletion).client(&client.id).object(client.id.as_str());
            server.audit.record(event.detail(Detail::Reason, "expired").detail(Detail::ExpiresAt, end)).await;
            Err(invalid_client(format!("the API key expired at {}: create a new one", rfc3339(end))))
        }
        _ => Ok(()),
    }
}

fn equal(one: &SecretHash, other: &SecretHash) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// Whether the secret, or its absence, matches the registration. Compares hashes in constant time.
fn has_valid_secret(client: &Client, secret: Option<&SecretString>) -> bool {
    match (client.kind, client.secret_hash, secret) {
        (ClientKind::Public, _, None) => true,
        (ClientKind::Confidential, Some(expected), Some(secret)) => {
            let presented = opaque_token::hash(secret.expose_secret());
            equal(&presented, &expected)
        }
        // A public client with a secret is misconfigured, or is another client.
        (ClientKind::Public, _, Some(_)) | (ClientKind::Confidential, ..) => false,
    }
}

fn invalid_client(description: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClient, description)
}

#[cfg(test)]
mod tests;
