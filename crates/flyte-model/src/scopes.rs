//! Sets of scopes: the parameter `scope` (RFC 6749 section 3.3) and what was granted.

use std::{fmt, slice, str::FromStr, vec};

use serde::{Deserialize, Serialize};

use crate::Scope;

/// The most scopes that one request may have.
const MAX_SCOPES: usize = 32;

/// The reason why a `scope` parameter was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// It has characters outside the grammar.
    #[error("scope has characters that a scope cannot have")]
    Malformed,
    /// It has no scope.
    #[error("scope is missing: name the scopes that you need, for example openid")]
    Missing,
    /// It has more scopes than any client needs.
    #[error("scope has too many values")]
    TooMany,
    /// It has a scope outside what the client may ask for or was granted. The text is that scope, or several.
    #[error("scope {0} is not allowed for this client")]
    Excessive(String),
}

/// Scopes without duplicates, in the order in which they were named. JSON has them as an array; requests, answers and
/// tokens have them as one text with spaces (see [`space_separated`]).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Scope>", into = "Vec<Scope>")]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Creates an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns every scope that the server supports.
    #[must_use]
    pub fn supported() -> Self {
        Self(Scope::SUPPORTED.to_vec())
    }

    /// Returns whether the set has this scope.
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Returns whether the set has no scope.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns an iterator over the scopes.
    pub fn iter(&self) -> slice::Iter<'_, Scope> {
        self.0.iter()
    }

    /// Adds a scope at the end, unless the set has it.
    pub fn insert(&mut self, scope: Scope) {
        if !self.contains(&scope) {
            self.0.push(scope);
        }
    }

    /// Sorts the scopes by their text.
    pub fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// Checks that every scope is in `allowed`.
    ///
    /// # Errors
    /// [`ScopeError::Excessive`] with the first scope that is not.
    pub fn require_within(&self, allowed: &Self) -> Result<(), ScopeError> {
        match self.iter().find(|scope| !allowed.contains(scope)) {
            Some(scope) => Err(ScopeError::Excessive(scope.to_string())),
            None => Ok(()),
        }
    }

    /// Returns whether every scope is in `allowed`.
    #[must_use]
    pub fn is_within(&self, allowed: &Self) -> bool {
        self.require_within(allowed).is_ok()
    }
}

impl FromStr for Scopes {
    type Err = ScopeError;

    /// Parses a `scope` parameter and drops duplicates; the order stays.
    ///
    /// # Errors
    /// [`ScopeError::Malformed`], [`ScopeError::TooMany`], and [`ScopeError::Missing`] if it has no scope. There is no
    /// default scope, so that no client gets a token for more than it asked for.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let mut scopes = Self::new();
        for word in words(text) {
            scopes.insert(word.parse()?);
            if scopes.0.len() > MAX_SCOPES {
                return Err(ScopeError::TooMany);
            }
        }
        if scopes.is_empty() { Err(ScopeError::Missing) } else { Ok(scopes) }
    }
}

/// Splits a list of scopes.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl fmt::Display for Scopes {
    /// Writes the scopes with a space between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl Extend<Scope> for Scopes {
    fn extend<I: IntoIterator<Item = Scope>>(&mut self, scopes: I) {
        scopes.into_iter().for_each(|scope| self.insert(scope));
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut all = Self::new();
        all.extend(scopes);
        all
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(scopes: Vec<Scope>) -> Self {
        scopes.into_iter().collect()
    }
}

impl<const N: usize> From<[Scope; N]> for Scopes {
    fn from(scopes: [Scope; N]) -> Self {
        scopes.into_iter().collect()
    }
}

impl From<Scopes> for Vec<Scope> {
    fn from(scopes: Scopes) -> Self {
        scopes.0
    }
}

/// For messages of the control plane.
impl From<Scopes> for Vec<String> {
    fn from(scopes: Scopes) -> Self {
        scopes.into_iter().map(String::from).collect()
    }
}

impl IntoIterator for Scopes {
    type Item = Scope;
    type IntoIter = vec::IntoIter<Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Scopes {
    type Item = &'a Scope;
    type IntoIter = slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The form of [`Scopes`] in tokens and answers, for `#[serde(with = "...")]`: one text, with a space between the
/// scopes (RFC 8693 section 4.2). An empty text is an empty set.
pub mod space_separated {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::{Scopes, words};

    /// Writes the text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(scopes: &Scopes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(scopes)
    }

    /// Reads the text.
    ///
    /// # Errors
    /// Those of the deserializer, and one for a text that is not a list of scopes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scopes, D::Error> {
        let text = String::deserialize(deserializer)?;
        words(&text).map(|word| word.parse().map_err(D::Error::custom)).collect::<Result<Scopes, _>>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Scopes, ScopeError> {
        text.parse()
    }

    #[test]
    fn a_parameter_is_split_in_order_without_duplicates() {
        let expected = Scopes::from([Scope::OPENID, Scope::ALL, Scope::EMAIL]);
        assert_eq!(parse("openid  all openid email "), Ok(expected.clone()));
        assert_eq!(expected.to_string(), "openid all email");
        assert_eq!(format!("{expected:?}"), r#"["openid", "all", "email"]"#);
        assert_ne!(parse("all openid email"), Ok(expected), "the order counts");
        assert_eq!(parse("urn:x:y/z!#[]^_`{|}~").unwrap().to_string(), "urn:x:y/z!#[]^_`{|}~");
    }

    #[test]
    fn invalid_parameters_are_rejected() {
        for (text, error) in [
            ("", ScopeError::Missing),
            ("   ", ScopeError::Missing),
            ("a\"b", ScopeError::Malformed),
            ("a\\b", ScopeError::Malformed),
            ("a\tb", ScopeError::Malformed),
            ("a\nb", ScopeError::Malformed),
            ("é", ScopeError::Malformed),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
        let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert!(parse(&format!("{} 0 1", many(MAX_SCOPES))).is_ok(), "duplicates do not count");
        assert_eq!(parse(&many(MAX_SCOPES + 1)), Err(ScopeError::TooMany));
    }

    #[test]
    fn only_narrowing_is_allowed() {
        let granted = Scopes::from([Scope::OPENID, Scope::ALL]);
        assert!(granted.is_within(&granted) && Scopes::from([Scope::ALL]).is_within(&granted));
        for (wanted, excessive) in [("all email", "email"), ("ALL", "ALL"), ("al", "al")] {
            let error = parse(wanted).unwrap().require_within(&granted).unwrap_err();
            assert_eq!(error, ScopeError::Excessive(excessive.to_owned()));
        }
    }

    #[test]
    fn json_is_an_array() {
        let json = r#"["openid","all"]"#;
        let scopes = Scopes::from([Scope::OPENID, Scope::ALL]);
        assert_eq!(serde_json::to_string(&scopes).unwrap(), json);
        assert_eq!(serde_json::from_str::<Scopes>(json).unwrap(), scopes);
        assert_eq!(serde_json::from_str::<Scopes>(r#"["all","all"]"#).unwrap(), [Scope::ALL].into());
        assert!(serde_json::from_str::<Scopes>(r#"["a b"]"#).is_err());
    }

    #[test]
    fn a_claim_is_one_text() {
        #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
        struct Claims {
            #[serde(with = "space_separated")]
            scope: Scopes,
        }
        for (json, scopes) in [
            (r#"{"scope":"openid all"}"#, Scopes::from([Scope::OPENID, Scope::ALL])),
            (r#"{"scope":""}"#, Scopes::new()),
        ] {
            assert_eq!(serde_json::from_str::<Claims>(json).unwrap().scope, scopes);
            assert_eq!(serde_json::to_string(&Claims { scope: scopes }).unwrap(), json);
        }
        assert!(serde_json::from_str::<Claims>(r#"{"scope":"a\\b"}"#).is_err());
    }

    proptest! {
        #[test]
        fn displayed_scopes_parse_to_the_same_scopes(text in "[ -~]{0,128}") {
            if let Ok(scopes) = parse(&text) {
                prop_assert_eq!(parse(&scopes.to_string()), Ok(scopes.clone()));
                prop_assert!(scopes.is_within(&scopes));
            }
        }

        #[test]
        fn any_text_is_parsed_or_rejected(text in any::<String>()) {
            if let Ok(scopes) = parse(&text) {
                prop_assert!(scopes.iter().all(|scope| text.contains(scope.as_str())));
            }
        }

        #[test]
        fn json_and_back_changes_nothing(text in "[a-e ]{1,64}") {
            if let Ok(scopes) = parse(&text) {
                let json = serde_json::to_string(&scopes).unwrap();
                prop_assert_eq!(serde_json::from_str::<Scopes>(&json).unwrap(), scopes);
            }
        }
    }
}
