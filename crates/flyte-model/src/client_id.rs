//! Client identifiers (RFC 6749 section 2.2).

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The identifier of an OAuth client or of an API key. It is never empty, and it has only the characters of RFC 6749
/// appendix A.1: printable ASCII characters and spaces. Identifiers are compared exactly.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(Cow<'static, str>);

/// A text that is not a client identifier. The message completes a sentence that begins with the name of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdError {
    /// It is empty.
    #[error("cannot be empty")]
    Empty,
    /// It has characters outside the grammar.
    #[error("must have only printable ASCII characters")]
    Malformed,
}

impl ClientId {
    /// Creates an identifier from a text in the source code.
    ///
    /// # Panics
    /// If the text is not an identifier. A constant with an invalid text does not compile.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(check(text).is_ok(), "a client identifier has printable ASCII characters");
        Self(Cow::Borrowed(text))
    }

    /// Takes an identifier from a record that the server wrote. It is not checked again, so that records of earlier
    /// versions, which accepted more characters, stay readable. A text from outside must be parsed.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    /// Returns the text of the identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks the grammar: `client-id = *VSCHAR`, `VSCHAR = %x20-7E`.
const fn check(text: &str) -> Result<(), ClientIdError> {
    if text.is_empty() {
        return Err(ClientIdError::Empty);
    }
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        if !matches!(byte, b' '..=b'~') {
            return Err(ClientIdError::Malformed);
        }
        rest = tail;
    }
    Ok(())
}

impl FromStr for ClientId {
    type Err = ClientIdError;

    fn from_str(text: &str) -> Result<Self, ClientIdError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ClientId {
    type Error = ClientIdError;

    fn try_from(text: String) -> Result<Self, ClientIdError> {
        check(&text).map(|()| Self(Cow::Owned(text)))
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0.into_owned()
    }
}

/// The text in quotes, as messages show it.
impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl PartialEq<str> for ClientId {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for ClientId {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RUN: ClientId = ClientId::from_static("flyte-run");

    #[test]
    fn an_identifier_has_printable_ascii_characters() {
        for text in ["flyte", "web app", " ", "a~", "https://client.example/?a=b#c", RUN.as_str()] {
            assert_eq!(text.parse::<ClientId>().unwrap(), text);
        }
        assert_eq!("".parse::<ClientId>(), Err(ClientIdError::Empty));
        for text in ["ada\u{e9}", "a\tb", "a\n", "\0", "\u{7f}", "\u{2028}"] {
            assert_eq!(text.parse::<ClientId>(), Err(ClientIdError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn json_has_its_text() {
        let id = ClientId::from_static("web app");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"web app\"");
        assert_eq!(format!("{id} {id:?} {id:9}|"), "web app \"web app\" web app  |");
        assert_eq!(serde_json::from_str::<ClientId>("\"web app\"").unwrap(), id);
        for json in ["\"\"", "\"\\u0000\"", "1", "null"] {
            assert!(serde_json::from_str::<ClientId>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn stored_identifiers_of_earlier_versions_stay_readable() {
        assert_eq!(ClientId::from_stored("ada\u{e9}".to_owned()).to_string(), "ada\u{e9}");
    }

    proptest! {
        #[test]
        fn a_parsed_identifier_is_displayed_as_it_was_written(text in "[ -~]{1,200}") {
            let id: ClientId = text.parse().unwrap();
            prop_assert_eq!(id.to_string(), text.as_str());
            prop_assert_eq!(id.to_string().parse(), Ok(id.clone()));
            prop_assert_eq!(String::from(id), text);
        }

        #[test]
        fn any_text_is_parsed_or_rejected(text in any::<String>()) {
            let good = !text.is_empty() && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            prop_assert_eq!(text.parse::<ClientId>().is_ok(), good);
        }
    }
}
