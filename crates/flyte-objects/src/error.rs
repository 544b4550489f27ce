//! Why objects cannot be used.

use std::{io, path::PathBuf};

use super::InvalidKey;

/// The reason why the configured storage of objects cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The credentials file cannot be used.
    #[error("cannot use the credentials in {file}: {1}; see \"objects.credentials-file\"", file = .0.display())]
    Credentials(PathBuf, String),
    /// The settings of the bucket are invalid.
    #[error("cannot use the bucket {0}: {1}")]
    Bucket(String, String),
}

/// The reason why an object cannot be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The URL is not that of an object of this server.
    #[error("{0:?} is not an object of this server: its objects are below {1}")]
    Elsewhere(String, String),
    /// The URL is not that of an object.
    #[error("the name of the object {0}")]
    Key(#[from] InvalidKey),
    /// The object is too large to be read at once.
    #[error("the object is {length} bytes long; at most {most} are read at once")]
    TooLarge {
        /// Its length, in bytes.
        length: u64,
        /// The longest allowed length, in bytes.
        most: u64,
    },
    /// The object is not a message of the expected type.
    #[error("the object cannot be decoded: {0}")]
    Undecodable(#[from] buffa::DecodeError),
    /// An object of this name with other content exists.
    #[error("an object of this name with other content already exists; use another name")]
    Taken,
    /// The disk failed.
    #[error("the object store failed: {0}")]
    Io(#[from] io::Error),
    /// The bucket failed.
    #[error("the object store failed: {0}")]
    Bucket(#[from] object_store::Error),
}
