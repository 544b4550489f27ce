//! Scopes (RFC 6749 section 3.3).

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ScopeError;

/// A scope: one word of the parameter `scope`. Scopes are ordered by their text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(Cow<'static, str>);

impl Scope {
    /// Asks for an ID token (OpenID Connect Core section 3.1.2.1).
    pub const OPENID: Self = Self(Cow::Borrowed("openid"));
    /// Asks for the user's name (OpenID Connect Core section 5.4).
    pub const PROFILE: Self = Self(Cow::Borrowed("profile"));
    /// Asks for the user's e-mail address (OpenID Connect Core section 5.4).
    pub const EMAIL: Self = Self(Cow::Borrowed("email"));
    /// Asks for a refresh token (OpenID Connect Core section 11).
    pub const OFFLINE_ACCESS: Self = Self(Cow::Borrowed("offline_access"));
    /// Asks for all that the user may do at the control plane. The published `flyte` client asks for this scope.
    pub const ALL: Self = Self(Cow::Borrowed("all"));
    /// Asks for read access to the control plane; [`Scope::ALL`] includes it.
    pub const READ: Self = Self(Cow::Borrowed("read"));

    /// Every scope that the server supports.
    pub const SUPPORTED: [Self; 6] =
        [Self::OPENID, Self::PROFILE, Self::EMAIL, Self::OFFLINE_ACCESS, Self::ALL, Self::READ];

    /// Returns the text of the scope.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    /// Parses one scope.
    ///
    /// # Errors
    /// [`ScopeError::Malformed`] if it is empty or has characters outside the grammar.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if let Some(known) = Self::SUPPORTED.into_iter().find(|known| known == text) {
            return Ok(known);
        }
        // scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
        if text.is_empty()
            || !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        {
            return Err(ScopeError::Malformed);
        }
        Ok(Self(Cow::Owned(text.to_owned())))
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0.into_owned()
    }
}

/// The text in quotes, as messages show it.
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scope_is_one_word() {
        for text in ["openid", "all", "urn:x:y/z!#[]^_`{|}~", "ALL"] {
            assert_eq!(text.parse::<Scope>().unwrap(), text);
        }
        for text in ["", " ", "a b", "a\"b", "a\\b", "a\tb", "a\nb", "\u{e9}", "\u{7f}"] {
            assert_eq!(text.parse::<Scope>(), Err(ScopeError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn json_has_its_text() {
        for scope in Scope::SUPPORTED {
            let json = serde_json::to_value(&scope).unwrap();
            assert_eq!(json, scope.as_str());
            assert_eq!(format!("{scope:?}"), format!("{:?}", scope.as_str()));
            assert_eq!(serde_json::from_value::<Scope>(json).unwrap(), scope);
        }
        assert!(serde_json::from_str::<Scope>("\"a b\"").is_err());
    }

    proptest! {
        #[test]
        fn a_parsed_scope_is_displayed_as_it_was_written(text in "[!#-\\[\\]-~]{1,64}") {
            let scope: Scope = text.parse().unwrap();
            prop_assert_eq!(scope.to_string(), text.as_str());
            prop_assert_eq!(scope.to_string().parse(), Ok(scope.clone()));
            prop_assert_eq!(String::from(scope), text);
        }
    }
}
