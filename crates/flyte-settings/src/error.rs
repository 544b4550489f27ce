//! Errors in the configuration.

use std::{io, path::PathBuf};

use super::Origin;

/// An error in the configuration. Its message names the place and says what is expected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// The file has a key that is not a setting.
    #[error("{}:{line}: there is no setting {key:?}{}", path.display(), did_you_mean(*suggestion))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key with its section.
        key: String,
        /// The setting that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// The file has a value of the wrong type.
    #[error("{}:{line}: {key:?} is {} {found}, but {expected} is expected", path.display(), article(found))]
    WrongType {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key with its section.
        key: String,
        /// The type that it should be, with its article.
        expected: &'static str,
        /// The type that it is.
        found: &'static str,
    },
    /// The file has an invalid value.
    #[error("{}:{line}: {key:?} is {value:?}: {reason}", path.display())]
    InvalidInFile {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The setting.
        key: String,
        /// The value.
        value: String,
        /// The values that are expected.
        reason: String,
    },
    /// The environment or the command line has an invalid value.
    #[error("{origin}: {value:?} is not a value of {key:?}: {reason}")]
    Invalid {
        /// The source of the value.
        origin: Origin,
        /// The setting.
        key: String,
        /// The value.
        value: String,
        /// The values that are expected.
        reason: String,
    },
    /// Settings contradict each other.
    #[error("{0}")]
    Conflict(String),
    /// The data has no directory, because there is no home directory.
    #[error(
        "there is no directory for the data: neither HOME nor XDG_DATA_HOME is set; name one with --data-dir DIRECTORY"
    )]
    NoHome,
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|key| format!("; did you mean {key:?}?")).unwrap_or_default()
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
