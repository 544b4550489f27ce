//! Where the tokens of a person's login are stored.

use std::fmt;
use std::str::FromStr;

/// The value of `admin.tokenStore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// Only the operating system's keyring.
    Keyring,
    /// The encrypted file, even if there is a keyring.
    File,
    /// The memory of the process.
    Memory,
}

impl StoreKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Keyring, Self::File, Self::Memory];

    /// The spelling in the configuration file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a token store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a token store; use keyring, file or memory")]
pub struct UnknownStoreKind(pub String);

impl FromStr for StoreKind {
    type Err = UnknownStoreKind;

    /// Accepts upper and lower case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| UnknownStoreKind(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_is_parsed_and_other_texts_are_refused() {
        for kind in StoreKind::ALL {
            assert_eq!(kind.to_string().to_uppercase().parse(), Ok(kind));
        }
        let error = "plaintext".parse::<StoreKind>().unwrap_err();
        assert_eq!(error.to_string(), "\"plaintext\" is not a token store; use keyring, file or memory");
    }
}
