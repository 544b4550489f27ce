//! What can be wrong with a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A place in a file; line and column count from one.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// Why the configuration cannot be found, read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file named by an option or a variable does not exist.
    #[error("the configuration file {} does not exist (named by {named_by})", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The option or variable that names it.
        named_by: &'static str,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is no YAML, or not one mapping of sections.
    #[error("{origin}: {reason}")]
    Malformed {
        /// Where.
        origin: Origin,
        /// What is wrong.
        reason: String,
    },
    /// A value cannot be used for its key.
    #[error("{origin}: {key} {reason}")]
    Value {
        /// Where.
        origin: Origin,
        /// Full name of the key, such as `admin.insecure`.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Another program changed the file while it was being edited.
    #[error("{} was changed by another program meanwhile", path.display())]
    ChangedMeanwhile {
        /// The file.
        path: PathBuf,
    },
    /// A key cannot be changed without touching something else, so that nothing was changed.
    #[error("{origin}: {key} cannot be changed in place: {reason}")]
    NotEditable {
        /// Where.
        origin: Origin,
        /// Full name of the key.
        key: String,
        /// What is in the way.
        reason: &'static str,
    },
}

impl ConfigError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { named_by, .. } => {
                format!(
                    "Correct or remove {named_by}, or create the file: flyte create config --endpoint HOST -o FILE"
                )
            }
            Self::Io { action, .. } => {
                format!("Check that you may {action} it and that the disk is not full.")
            }
            Self::Malformed { origin, .. } | Self::Value { origin, .. } => match origin {
                Origin::File { path, .. } => format!("Correct that line of {}.", path.display()),
                Origin::Variable(name) => format!("Correct it or run: unset {name}"),
            },
            Self::ChangedMeanwhile { .. } => "Look at the file, then run the command again.".to_owned(),
            Self::NotEditable { origin, .. } => {
                format!("Change it by hand at {origin}; the file is as it was.")
            }
        }
    }
}
