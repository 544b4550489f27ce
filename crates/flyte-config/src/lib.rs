//! Finds, reads and edits `config.yaml`, the configuration file that every Flyte tool shares.
//!
//! [`Config::load`] finds the file ([`search`]), reads it, lets environment variables override it and converts
//! each value to its type. [`Document`] changes single settings in a file and leaves every other byte
//! alone. [`Endpoint`] is an address of a control plane in any of its spellings.
//!
//! Everything that can fail is in [`ConfigError`]; each error names the file, the line and the key.
//! No key holds a secret: the file says where a secret is (in a file, in an environment variable, or in the
//! output of a command).
#![forbid(unsafe_code)]

mod atomic;
mod auth_type;
pub mod busy;
mod config;
mod document;
mod endpoint;
mod environment;
mod error;
pub mod key;
mod nearby;
mod proxy;
mod scalar;
pub mod search;
mod store_kind;
mod tree;
mod value;

pub use auth_type::{AuthType, UnknownAuthType};
pub use config::{Admin, Config, Console, Image, Local, Task, UnknownKey};
pub use document::{Document, Setting};
pub use endpoint::{Endpoint, EndpointError};
pub use environment::Environment;
pub use error::{ConfigError, NamedBy, Origin};
pub use nearby::Nearby;
pub use proxy::parse_proxy;
pub use store_kind::{StoreKind, UnknownStoreKind};
