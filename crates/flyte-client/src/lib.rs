//! Typed client of the Flyte control plane.
//!
//! [`Client`] speaks Connect through any [`Transport`]; the one of `flyte-auth` attaches credentials, logs in
//! and retries, so that nothing here knows about tokens. One module for each service: [`project`],
//! [`identity`], [`api_key`], [`trust`], [`audit`]. What can go wrong is in [`ClientError`], each with a hint for the person.
#![forbid(unsafe_code)]

mod access;
pub mod api_key;
pub mod audit;
mod client;
mod error;
pub mod identity;
mod pager;
pub mod project;
pub mod raw;
pub mod trust;

pub use access::Access;
pub use client::{Client, Transport};
pub use error::ClientError;
pub use pager::Pager;
