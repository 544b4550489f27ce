//! The values of OAuth 2 requests that are not plain text: client IDs, scopes and grant types.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A client identifier (RFC 6749 section 2.2). It is never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(String);

impl ClientId {
    /// Reads a client ID; `None` if it is empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The text of the client ID.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A scope token (RFC 6749 section 3.3). It is not empty and has no white space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scope(String);

impl Scope {
    /// Reads a list of scopes that white space separates, as the parameter `scope` has it.
    #[must_use]
    pub fn parse_list(text: &str) -> Vec<Self> {
        text.split_whitespace().map(|scope| Self(scope.to_owned())).collect()
    }

    /// Reads several lists of scopes.
    #[must_use]
    pub fn parse_lists<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<Self> {
        texts.into_iter().flat_map(|text| Self::parse_list(text.as_ref())).collect()
    }

    /// Writes scopes as the parameter `scope`, with a space between them.
    #[must_use]
    pub fn join(scopes: &[Self]) -> String {
        scopes.iter().map(Self::as_str).collect::<Vec<_>>().join(" ")
    }

    /// The text of the scope.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the scope asks for a person's identity or session, which a client that acts for itself does not have.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        matches!(self.as_str(), "openid" | "profile" | "email" | "offline_access")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for Scope {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Scope {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

/// The grant types of token requests (`grant_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantType {
    /// RFC 6749 section 4.1.3.
    AuthorizationCode,
    /// RFC 6749 section 4.4.2.
    ClientCredentials,
    /// RFC 8628 section 3.4.
    DeviceCode,
    /// RFC 6749 section 6.
    RefreshToken,
    /// RFC 8693 section 2.1.
    TokenExchange,
}

impl GrantType {
    /// The value of the parameter `grant_type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::RefreshToken => "refresh_token",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_words() {
        let scopes = Scope::parse_lists(["openid  all", "", " x\t"]);
        assert_eq!(scopes, ["openid", "all", "x"]);
        assert_eq!(Scope::join(&scopes), "openid all x");
        assert!(scopes[0].is_for_people() && !scopes[1].is_for_people());
    }

    #[test]
    fn types_are_plain_text_on_the_wire() {
        let client_id = ClientId::parse("flyte").unwrap();
        let text = serde_json::to_string(&(client_id, Scope::parse_list("all"))).unwrap();
        assert_eq!(text, r#"["flyte",["all"]]"#);
        assert_eq!(ClientId::parse(""), None);
    }
}
