//! What can be wrong with a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A position in a file; line and column count from one.
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

/// Who named a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// The caller of [`Config::load`](crate::Config::load) or `find`.
    Caller,
    /// The environment variable of this name.
    Variable(&'static str),
}

/// Why the configuration cannot be found, read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The named file does not exist.
    #[error("the configuration file {} does not exist{}", path.display(), match named_by {
        NamedBy::Caller => String::new(),
        NamedBy::Variable(name) => format!(" (named by {name})"),
    })]
    Missing {
        /// The file.
        path: PathBuf,
        /// Who named it.
        named_by: NamedBy,
    },
    /// The file system returned an error.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The attempted action, a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The file system's error.
        source: io::Error,
    },
    /// The file is not YAML, or not one mapping of sections.
    #[error("{origin}: {reason}")]
    Malformed {
        /// The position in the file.
        origin: Origin,
        /// What is wrong.
        reason: String,
    },
    /// A value cannot be used for its key.
    #[error("{origin}: {key} {reason}")]
    Value {
        /// Where the value came from.
        origin: Origin,
        /// Full name of the key, for example `admin.insecure`.
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
    /// A key cannot be changed without changing something else, so the file was left unchanged.
    #[error("{origin}: {key} cannot be changed in place: {reason}")]
    NotEditable {
        /// The position in the file.
        origin: Origin,
        /// Full name of the key.
        key: String,
        /// What is in the way.
        reason: &'static str,
    },
}
