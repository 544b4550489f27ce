//! Where the tokens of a person's login are kept.

use std::fmt;
use std::str::FromStr;

/// The value of `admin.tokenStore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// The operating system's keyring, and nothing else.
    Keyring,
    /// The encrypted file, whatever keyring there is.
    File,
    /// The memory of the process.
    Memory,
}

impl StoreKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Keyring, Self::File, Self::Memory];

    /// The spelling of the file.
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

/// A word that names no token store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a token store; use keyring, file or memory")]
pub struct UnknownStoreKind(pub String);

impl FromStr for StoreKind {
    type Err = UnknownStoreKind;

    /// Takes the words in any case.
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
    fn each_word_reads_back_and_others_are_refused() {
        for kind in StoreKind::ALL {
            assert_eq!(kind.to_string().to_uppercase().parse(), Ok(kind));
        }
        let error = "plaintext".parse::<StoreKind>().unwrap_err();
        assert_eq!(error.to_string(), "\"plaintext\" is not a token store; use keyring, file or memory");
    }
}
