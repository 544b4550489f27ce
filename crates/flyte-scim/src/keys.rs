//! New keys of SCIM clients.

use flyte_model::clock::UnixTime;
use flyte_secrets::opaque_token::{self, Kind};
use flyte_store::{ScimKey, ScimKeyStore, ScimRules, StoreError};
use secrecy::{ExposeSecret as _, SecretString};

/// The lifetime of a key for which none is given, in seconds: a year.
pub const DEFAULT_LIFETIME: i64 = 365 * 86_400;
/// The longest lifetime, in seconds: 100 years. A longer one is probably in a wrong unit.
const MAX_LIFETIME: i64 = 100 * 366 * 86_400;
/// The longest name of a key or a client, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// The reason why no key was created.
#[derive(Debug, thiserror::Error)]
pub enum NewKeyError {
    /// The name cannot be used.
    #[error(
        "{field} {name:?} must begin with a lower-case letter and have at most {MAX_NAME_BYTES} lower-case letters, digits \
         and hyphens"
    )]
    Name {
        /// The field.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// The role cannot be given to new accounts.
    #[error("role {0:?} must be viewer, contributor or empty: provisioning makes no administrators")]
    Role(String),
    /// The issuer is not one.
    #[error("issuer {0:?} must be an https URL without a query, exactly as the provider publishes it")]
    Issuer(String),
    /// The lifetime is out of range.
    #[error("lifetime must be 1 second to 100 years")]
    Lifetime,
    /// The database failed, or the name is taken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no random numbers.
    #[error("the system's random number generator failed")]
    Random,
}

/// A key to create.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// The name.
    pub name: String,
    /// The client; the name of the key if it is empty.
    pub client: String,
    /// What the client may do.
    pub rules: ScimRules,
    /// Subject of the administrator who creates it; empty at the server's console.
    pub created_by: String,
    /// Seconds until it expires; `None` if it never does.
    pub lifetime: Option<i64>,
}

fn check_name(field: &'static str, name: &str) -> Result<(), NewKeyError> {
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_name { Ok(()) } else { Err(NewKeyError::Name { field, name: name.to_owned() }) }
}

/// Whether an issuer is one that a provider can have (OpenID Connect Discovery section 3).
fn is_issuer(text: &str) -> bool {
    let url = url::Url::parse(text);
    url.is_ok_and(|url| url.scheme() == "https" && url.query().is_none() && url.fragment().is_none())
}

/// Creates a key. Returns it with its secret, which is not stored.
///
/// # Errors
/// [`NewKeyError`].
pub async fn create(
    store: &(impl ScimKeyStore + ?Sized),
    new: NewKey,
    now: UnixTime,
) -> Result<(ScimKey, SecretString), NewKeyError> {
    check_name("name", &new.name)?;
    let client = if new.client.is_empty() { new.name.clone() } else { new.client };
    check_name("client", &client)?;
    if let Some(role) =
        new.rules.role.as_ref().filter(|role| !["viewer", "contributor"].contains(&role.as_str()))
    {
        return Err(NewKeyError::Role(role.clone()));
    }
    if let Some(issuer) = new.rules.issuer.as_ref().filter(|issuer| !is_issuer(issuer)) {
        return Err(NewKeyError::Issuer(issuer.clone()));
    }
    if new.lifetime.is_some_and(|lifetime| !(1..=MAX_LIFETIME).contains(&lifetime)) {
        return Err(NewKeyError::Lifetime);
    }
    let secret = opaque_token::generate(Kind::ScimKey).map_err(|_| NewKeyError::Random)?;
    let key = ScimKey {
        name: new.name,
        client,
        secret_hash: opaque_token::hash(secret.expose_secret()),
        rules: new.rules,
        created_by: new.created_by,
        created_at: now,
        expires_at: new.lifetime.map(|lifetime| now.saturating_add(lifetime)),
        last_used_at: None,
    };
    store.create_scim_key(&key).await?;
    Ok((key, secret))
}
