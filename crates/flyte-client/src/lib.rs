//! Typed client of the Flyte control plane.
//!
//! [`Client`] speaks Connect through any [`Transport`]; the one of `flyte-auth` attaches credentials, logs in
//! and retries, so that nothing here knows about tokens. One module for each service: [`project`],
//! [`identity`]. What can go wrong is in [`ClientError`], each with a hint for the person.
#![forbid(unsafe_code)]

mod client;
mod error;
pub mod identity;
pub mod project;

pub use client::{Client, Transport};
pub use error::ClientError;
