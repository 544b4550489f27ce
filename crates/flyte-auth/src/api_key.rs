//! API keys: everything that a machine needs to call a control plane, in one string.
//!
//! A key is standard base64 with padding (RFC 4648 section 4) of `endpoint:client_id:client_secret:org`. Without an organization, the
//! last part is the word `None`. The published client splits this text at the first three colons, so it does not support an endpoint
//! with a port or a secret with a colon. If it supports the values, the key has exactly the form that it expects: the endpoint without
//! a scheme, and without the port 443, which TLS implies. Any other port follows the host, as in
//! `host:8443:client_id:client_secret:org`. Only this implementation can read that form.
//!
//! Reading accepts both forms:
//!
//! - The second part is a port if it is a number from 1 to 65535 and at least three more parts follow.
//! - If only two parts follow this number, the key lost its end, and its secret would be taken for the organization. The key is
//!   rejected, unless the organization is the word `None`.
//! - Therefore, if a client ID looks like a port and there is an organization, the port is written before it, even 443.
//! - An IPv6 address is in brackets.
//! - The organization is the part after the last colon, so that a secret may contain colons.

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flyte_api_key::is_altered;
use flyte_config::{Endpoint, Environment};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::oauth::ClientId;

/// The environment variable that holds an API key.
pub const VARIABLE: &str = "FLYTE_API_KEY";

/// The word for no organization.
const NO_ORG: &str = "None";
/// The port that is left out.
const DEFAULT_PORT: u16 = 443;
/// The longest key that is read, in characters.
const MAX_KEY_CHARS: usize = 64 * 1024;

/// The parts of an API key.
#[derive(Clone)]
pub struct ApiKey {
    /// The control plane; never over plain HTTP.
    pub endpoint: Endpoint,
    /// The client (RFC 6749 section 2.2).
    pub client_id: ClientId,
    /// The client's secret.
    pub client_secret: SecretString,
    /// The organization of the requests.
    pub org: Option<String>,
}

/// Why a text is not an API key, or why a key cannot be written. No part of a key is in the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// The key is empty.
    #[error("the API key is empty")]
    Empty,
    /// The text is longer than any key.
    #[error("the API key is too long: it has {0} characters")]
    TooLong(usize),
    /// The key has white space in the middle.
    #[error("the API key has white space after {0} characters; a key is one word")]
    WhiteSpace(usize),
    /// The key has an invalid character.
    #[error(
        "the API key has {what} after {position} characters; keys have only letters, digits, +, / and = at the end"
    )]
    Alphabet {
        /// The number of characters before it.
        position: usize,
        /// The kind of character.
        what: &'static str,
    },
    /// The end is missing: the length is not a multiple of four.
    #[error("the API key is incomplete: the end is missing (it has {0} characters, not a multiple of four)")]
    Truncated(usize),
    /// The key is not valid base64.
    #[error("the API key is damaged: it is not base64")]
    NotBase64,
    /// The key is for flytekit, the client of Flyte 1.
    #[error("the API key is for Flyte 1 (flytekit) and names no endpoint")]
    Flyte1,
    /// The decoded bytes are not text.
    #[error("the API key is damaged: it does not decode to text")]
    NotText,
    /// The key has too few parts.
    #[error(
        "the API key is incomplete: it has {0} of the four parts endpoint, client ID, secret and organization"
    )]
    MissingParts(usize),
    /// The part after the secret is missing, in a key with a port or with a client ID that looks like a port.
    #[error("the API key is incomplete: the end is missing")]
    LostEnd,
    /// The secret comes from `flyte-server`, and its checksum is wrong.
    #[error("the API key was truncated or altered: the check at the end of its secret is not right")]
    Altered,
    /// A part is not valid.
    #[error("the API key's {part} {problem}")]
    Part {
        /// The part.
        part: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl ApiKey {
    /// Reads the key in `FLYTE_API_KEY`; `None` if it is not set.
    ///
    /// # Errors
    /// The errors of [`ApiKey::decode`].
    pub fn from_environment(environment: &Environment) -> Result<Option<Self>, ApiKeyError> {
        environment.variable(VARIABLE).map(Self::decode).transpose()
    }

    /// Reads a key. Surrounding white space is ignored, because files end with a newline.
    ///
    /// # Errors
    /// Any [`ApiKeyError`].
    pub fn decode(text: &str) -> Result<Self, ApiKeyError> {
        let text = text.trim();
        check_alphabet(text)?;
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| ApiKeyError::NotBase64)?);
        let decoded = std::str::from_utf8(&bytes).map_err(|_| ApiKeyError::NotText)?;
        if decoded.starts_with('{') {
            return Err(ApiKeyError::Flyte1);
        }
        Self::split(decoded)
    }

    fn split(decoded: &str) -> Result<Self, ApiKeyError> {
        let bare = without_scheme(decoded);
        let missing = || ApiKeyError::MissingParts(decoded.split(':').count());
        // The colons of an IPv6 address are inside the brackets.
        let host_start = if bare.starts_with('[') { bare.find(']').ok_or_else(missing)? } else { 0 };
        let host_end = host_start + bare[host_start..].find(':').ok_or_else(missing)?;
        let mut address = &bare[..host_end];
        let mut rest = &bare[host_end + 1..];
        if let Some((port, after)) = rest.split_once(':')
            && is_port(port)
            && after.matches(':').count() >= 2
        {
            address = &bare[..host_end + 1 + port.len()];
            rest = after;
        }
        let (client_id, rest) = rest.split_once(':').ok_or_else(missing)?;
        let (client_secret, org) = rest.rsplit_once(':').ok_or_else(missing)?;
        if address.len() == host_end && is_port(client_id) && org != NO_ORG {
            // The end of `host:port:client:secret:org` is missing, so `org` holds the secret.
            return Err(ApiKeyError::LostEnd);
        }
        if is_altered(client_secret) {
            return Err(ApiKeyError::Altered);
        }
        if address.trim() != address {
            // `Endpoint` accepts white space, but in a key it would hide a scheme from `without_scheme`.
            return Err(part("endpoint", "has white space around it"));
        }
        let endpoint: Endpoint =
            address.parse().map_err(|_| part("endpoint", "is not a host name or IP address"))?;
        let key = Self {
            endpoint: without_default_port(&endpoint).unwrap_or(endpoint),
            client_id: ClientId::parse(client_id).ok_or_else(|| part("client ID", "is empty"))?,
            client_secret: SecretString::from(client_secret),
            org: Some(org).filter(|org| !org.is_empty() && *org != NO_ORG).map(str::to_owned),
        };
        key.check()?;
        Ok(key)
    }

    /// Writes the key as one string, in the form that most clients can read.
    ///
    /// # Errors
    /// [`ApiKeyError::Part`] if a part is empty, or if another part than the secret contains a colon.
    pub fn encode(&self) -> Result<SecretString, ApiKeyError> {
        self.check()?;
        let secret = self.client_secret.expose_secret();
        let shortened = without_default_port(&self.endpoint);
        let mut address = shortened.as_ref().unwrap_or(&self.endpoint).keyring_service();
        if self.port_is_needed() {
            // Otherwise the client ID would be read as the port.
            let (host, path) = address.find('/').map_or((address.as_str(), ""), |at| address.split_at(at));
            address = format!("{host}:{DEFAULT_PORT}{path}");
        }
        let org = self.org.as_deref().unwrap_or(NO_ORG);
        let text = Zeroizing::new(format!("{address}:{}:{secret}:{org}", self.client_id));
        Ok(SecretString::from(STANDARD.encode(text.as_bytes())))
    }

    /// Whether the published client reads the same values from the key.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        self.port().is_none()
            && !self.port_is_needed()
            && !self.endpoint.host().contains(':')
            && !self.client_secret.expose_secret().contains(':')
    }

    /// The port, unless TLS implies it.
    fn port(&self) -> Option<u16> {
        self.endpoint.port().filter(|port| *port != DEFAULT_PORT)
    }

    /// Whether the implied port must be written, because the client ID looks like a port.
    fn port_is_needed(&self) -> bool {
        self.port().is_none()
            && is_port(self.client_id.as_str())
            && (self.org.is_some() || self.client_secret.expose_secret().contains(':'))
    }

    fn check(&self) -> Result<(), ApiKeyError> {
        let address = self.endpoint.keyring_service();
        let path = address.find('/').map_or("", |at| &address[at..]);
        if self.endpoint.is_insecure() {
            return Err(part("endpoint", "uses plain HTTP, over which no credentials are sent"));
        }
        if path.contains(':') {
            return Err(part("endpoint", "has a path with a colon, which no key can hold"));
        }
        let mut parts = vec![("client ID", self.client_id.as_str())];
        parts.extend(self.org.as_deref().map(|org| ("organization", org)));
        for (name, text) in parts {
            if text.is_empty() {
                return Err(part(name, "is empty"));
            }
            if text.contains(':') {
                return Err(part(name, "has a colon, which separates the parts of a key"));
            }
            if text.chars().any(char::is_control) {
                return Err(part(name, "has control characters"));
            }
        }
        if self.client_id.as_str().starts_with("//") {
            // After a host named `https` or `dns`, the key would be read as a URL.
            return Err(part("client ID", "begins with //, which turns the host before it into a scheme"));
        }
        if self.client_secret.expose_secret().is_empty() {
            return Err(part("secret", "is empty"));
        }
        Ok(())
    }
}

/// Removes the scheme that may precede the endpoint.
fn without_scheme(decoded: &str) -> &str {
    ["dns:///", "https://", "http://"]
        .iter()
        .find_map(|scheme| {
            let (start, rest) = decoded.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })
        .unwrap_or(decoded)
}

/// Checks that a text can be base64. The errors describe the usual ways in which keys are damaged.
fn check_alphabet(text: &str) -> Result<(), ApiKeyError> {
    if text.is_empty() {
        return Err(ApiKeyError::Empty);
    }
    let length = text.chars().count();
    if length > MAX_KEY_CHARS {
        return Err(ApiKeyError::TooLong(length));
    }
    for (position, c) in text.chars().enumerate() {
        let what = match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '+' | '/' => continue,
            '=' if text.chars().skip(position).all(|c| c == '=') && length - position <= 2 => continue,
            c if c.is_whitespace() => return Err(ApiKeyError::WhiteSpace(position)),
            '=' => "a = sign",
            '-' | '_' => "a - or _ (of the URL-safe alphabet)",
            '"' | '\'' | '`' | '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}' => "a quotation mark",
            _ => "an invalid character",
        };
        return Err(ApiKeyError::Alphabet { position, what });
    }
    if length.is_multiple_of(4) { Ok(()) } else { Err(ApiKeyError::Truncated(length)) }
}

fn part(part: &'static str, problem: &'static str) -> ApiKeyError {
    ApiKeyError::Part { part, problem }
}

/// Whether a part is a port. The path of an endpoint may follow it.
fn is_port(text: &str) -> bool {
    let port = text.split('/').next().unwrap_or_default();
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The endpoint without the port that TLS implies; `None` if it does not have that port.
fn without_default_port(endpoint: &Endpoint) -> Option<Endpoint> {
    endpoint.port().filter(|port| *port == DEFAULT_PORT)?;
    let (authority, address) = (endpoint.authority(), endpoint.keyring_service());
    let host = authority.rsplit_once(':')?.0;
    format!("{host}{}", &address[authority.len()..]).parse().ok()
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::decode(text)
    }
}

impl fmt::Debug for ApiKey {
    /// Leaves out the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("endpoint", &self.endpoint)
            .field("client_id", &self.client_id)
            .field("org", &self.org)
            .finish_non_exhaustive()
    }
}
