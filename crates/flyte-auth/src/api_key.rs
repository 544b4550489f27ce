//! API keys: everything that a machine needs to call a control plane, in one string.
//!
//! A key is standard base64 with padding (RFC 4648 section 4) of `endpoint:client_id:client_secret:org`; the organization is
//! the word `None` where there is none. The published client splits that at the first three colons, so it reads no endpoint
//! with a port and no secret with a colon. What it can read is written exactly as it expects it: the endpoint without a
//! scheme, and without the port where that is 443, which TLS implies. Any other port follows the host, as in
//! `host:8443:client_id:client_secret:org`, which only we can read; nothing that the published client could read says so.
//!
//! Reading takes both forms. The second part is a port where it is a number from 1 to 65535 and at least three more parts
//! follow. Where only two follow, the key is one with a port that lost its end, and its secret would be taken for the
//! organization: it is refused, unless the organization is the word `None`. A client ID that is such a number is therefore written
//! behind the port, also behind 443, where there is an organization. An IPv6 address stands in brackets. The organization is the part after the last colon, so that a colon in a secret
//! survives.

pub(crate) mod secret;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flyte_config::{Endpoint, Environment};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

/// The environment variable that an API key is read from.
pub const VARIABLE: &str = "FLYTE_API_KEY";

/// The word for no organization.
const NO_ORG: &str = "None";
/// The port that is left out.
const DEFAULT_PORT: u16 = 443;
/// The longest key that is read, in characters.
const MAX_KEY: usize = 64 * 1024;

/// An API key, taken apart.
#[derive(Clone)]
pub struct ApiKey {
    /// The control plane that it is for; never over plain HTTP.
    pub endpoint: Endpoint,
    /// The client (RFC 6749 section 2.2).
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// The organization that requests are about.
    pub org: Option<String>,
}

/// Why a text is no API key, or why none can be written. No part of a key is in the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// There is nothing in it.
    #[error("the API key is empty")]
    Empty,
    /// It is longer than any key.
    #[error("the API key is {0} characters long, which no key is")]
    TooLong(usize),
    /// It was broken where a line ended or a space was.
    #[error("the API key has white space after {0} characters; a key is one word")]
    WhiteSpace(usize),
    /// It has a character that keys do not have.
    #[error(
        "the API key has {what} after {position} characters; keys have only letters, digits, +, / and = at the end"
    )]
    Alphabet {
        /// How many characters stand before it.
        position: usize,
        /// What kind of character it is.
        what: &'static str,
    },
    /// Its end is missing.
    #[error(
        "the API key is cut off: it is {0} characters long, and the length of a whole key can be divided by four"
    )]
    Truncated(usize),
    /// It is not what any encoder writes.
    #[error("the API key is damaged: it is not base64")]
    NotBase64,
    /// It was made for flytekit, the client of Flyte 1.
    #[error("the API key is one of Flyte 1 (flytekit), which names no endpoint")]
    Flyte1,
    /// It decodes to bytes that are no text.
    #[error("the API key is damaged: it does not decode to text")]
    NotText,
    /// It has too few parts.
    #[error(
        "the API key is cut off or none: it has {0} of the four parts endpoint, client ID, secret and organization"
    )]
    MissingParts(usize),
    /// Its endpoint has a port, or its client ID looks like one, and the part behind the secret is missing.
    #[error(
        "the API key is cut off: of endpoint, port, client ID, secret and organization the last is missing (behind a client ID \
        that is a number, too, a key has all five)"
    )]
    LostEnd,
    /// The secret is one of `flyte-server`, and its check is not right.
    #[error("the API key was truncated or altered: the check at the end of its secret is not right")]
    Altered,
    /// A part is not what it should be.
    #[error("the API key's {part} {problem}")]
    Part {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl ApiKeyError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Flyte1 => "Create a key for this control plane: `flyte create api-key NAME`.".to_owned(),
            _ => "Copy the whole key again, as one line and without quotation marks; a lost one is replaced with \
                `flyte create api-key NAME`."
                .to_owned(),
        }
    }
}

impl ApiKey {
    /// The key in `FLYTE_API_KEY`, where that is set.
    ///
    /// # Errors
    /// Those of [`ApiKey::decode`].
    pub fn from_environment(environment: &Environment) -> Result<Option<Self>, ApiKeyError> {
        environment.variable(VARIABLE).map(Self::decode).transpose()
    }

    /// Reads a key. White space around it is no part of it: files end with a newline.
    ///
    /// # Errors
    /// Everything that [`ApiKeyError`] says of reading.
    pub fn decode(text: &str) -> Result<Self, ApiKeyError> {
        let text = text.trim();
        check(text)?;
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
        // The colons of an IPv6 address are between its brackets.
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
            // Of `host:port:client:secret:org` the end is missing: what stands here for the organization is the secret.
            return Err(ApiKeyError::LostEnd);
        }
        if secret::is_altered(client_secret) {
            return Err(ApiKeyError::Altered);
        }
        if address.trim() != address {
            // An endpoint that is typed may have it. In a key it would hide a scheme from `without_scheme`.
            return Err(part("endpoint", "has white space around it"));
        }
        let endpoint: Endpoint =
            address.parse().map_err(|_| part("endpoint", "is no host name or IP address"))?;
        let key = Self {
            endpoint: without_default_port(&endpoint).unwrap_or(endpoint),
            client_id: client_id.to_owned(),
            client_secret: SecretString::from(client_secret),
            org: Some(org).filter(|org| !org.is_empty() && *org != NO_ORG).map(str::to_owned),
        };
        key.checked()?;
        Ok(key)
    }

    /// The key as one string, as short and as widely understood as it can be.
    ///
    /// # Errors
    /// [`ApiKeyError::Part`] for what no key can say: an empty part, or a colon where only a secret may have one.
    pub fn encode(&self) -> Result<SecretString, ApiKeyError> {
        self.checked()?;
        let secret = self.client_secret.expose_secret();
        let shortened = without_default_port(&self.endpoint);
        let mut address = shortened.as_ref().unwrap_or(&self.endpoint).keyring_service();
        if self.port_is_needed() {
            // Else the client ID would be read as the port.
            let (host, path) = address.find('/').map_or((address.as_str(), ""), |at| address.split_at(at));
            address = format!("{host}:{DEFAULT_PORT}{path}");
        }
        let org = self.org.as_deref().unwrap_or(NO_ORG);
        let text = Zeroizing::new(format!("{address}:{}:{secret}:{org}", self.client_id));
        Ok(SecretString::from(STANDARD.encode(text.as_bytes())))
    }

    /// Whether the published client reads the same out of it as we do.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        self.port().is_none()
            && !self.port_is_needed()
            && !self.endpoint.host().contains(':')
            && !self.client_secret.expose_secret().contains(':')
    }

    /// The port that has to be written.
    fn port(&self) -> Option<u16> {
        self.endpoint.port().filter(|port| *port != DEFAULT_PORT)
    }

    /// Whether the port is written although TLS implies it: for a client ID that looks like one.
    fn port_is_needed(&self) -> bool {
        self.port().is_none()
            && is_port(&self.client_id)
            && (self.org.is_some() || self.client_secret.expose_secret().contains(':'))
    }

    fn checked(&self) -> Result<(), ApiKeyError> {
        let address = self.endpoint.keyring_service();
        let path = address.find('/').map_or("", |at| &address[at..]);
        if self.endpoint.is_insecure() {
            return Err(part("endpoint", "is one over plain HTTP, to which no credentials are sent"));
        }
        if path.contains(':') {
            return Err(part("endpoint", "has a path with a colon, which no key can hold"));
        }
        let mut named = vec![("client ID", self.client_id.as_str())];
        named.extend(self.org.as_deref().map(|org| ("organization", org)));
        for (name, text) in named {
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
        if self.client_id.starts_with("//") {
            // Behind a host named `https` or `dns` it would be read as the rest of a URL, which then has another host or none.
            return Err(part("client ID", "begins with //, which makes a scheme of the host before it"));
        }
        if self.client_secret.expose_secret().is_empty() {
            return Err(part("secret", "is empty"));
        }
        Ok(())
    }
}

/// A decoded key without the scheme that its endpoint may be written with.
fn without_scheme(decoded: &str) -> &str {
    ["dns:///", "https://", "http://"]
        .iter()
        .find_map(|scheme| {
            let (start, rest) = decoded.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })
        .unwrap_or(decoded)
}

/// What is wrong with a text that cannot be base64, told apart by how keys get broken.
fn check(text: &str) -> Result<(), ApiKeyError> {
    if text.is_empty() {
        return Err(ApiKeyError::Empty);
    }
    let length = text.chars().count();
    if length > MAX_KEY {
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
            _ => "a character that is none of a key's",
        };
        return Err(ApiKeyError::Alphabet { position, what });
    }
    if length.is_multiple_of(4) { Ok(()) } else { Err(ApiKeyError::Truncated(length)) }
}

fn part(part: &'static str, problem: &'static str) -> ApiKeyError {
    ApiKeyError::Part { part, problem }
}

/// Whether a part is a port, with or without the path that follows it in an endpoint.
fn is_port(text: &str) -> bool {
    let port = text.split('/').next().unwrap_or_default();
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The endpoint without the port that TLS implies, where it has that.
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
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("endpoint", &self.endpoint)
            .field("client_id", &self.client_id)
            .field("org", &self.org)
            .finish_non_exhaustive()
    }
}
