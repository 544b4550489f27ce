//! Typed client of the Flyte control plane.
//!
//! [`Client`] speaks Connect through any [`Transport`]; the one of `flyte-auth` attaches credentials, logs in
//! and retries, so that nothing here knows about tokens. One module for each service: [`project`],
//! [`identity`], [`api_key`], [`trust`], [`audit`], and for what is run [`task`], [`run`], [`action`], [`data`], [`logs`],
//! [`follow`], [`app`], [`bundle`], [`upload`]. What can go wrong is in [`ClientError`], each with a hint for the person.
#![forbid(unsafe_code)]

mod access;
pub mod action;
pub mod api_key;
pub mod app;
pub mod audit;
pub mod bundle;
mod client;
pub mod data;
mod error;
pub mod follow;
pub mod identity;
mod listing;
mod literal;
pub mod logs;
mod pager;
mod phase;
mod place;
pub mod project;
pub mod raw;
pub mod run;
pub mod task;
#[cfg(test)]
mod testing;
pub mod trust;
mod types;
pub mod upload;
mod watch;

pub use access::Access;
pub use client::{Client, Transport};
pub use error::ClientError;
pub use pager::Pager;
pub use phase::Phase;
pub use place::Place;
pub use watch::Watch;
