//! Typed client of the Flyte control plane.
//!
//! [`Client`] speaks Connect through any [`Transport`]. The transport of `flyte-auth` adds credentials, signs in and retries, so that
//! this crate does not handle tokens. There is one module for each service: [`project`], [`identity`], [`api_key`], [`trust`],
//! [`permission`], [`audit`], [`user`], [`group`], [`role`], [`policy`], [`member`] and [`assignment`]; and for what runs, [`task`], [`trigger`], [`run`], [`action`], [`condition`], [`data`], [`logs`], [`follow`], [`app`],
//! [`bundle`], [`code`], [`upload`], [`secret`] and [`settings`].
//! The error type is [`ClientError`].
#![forbid(unsafe_code)]

mod access;
pub mod action;
pub mod api_key;
pub mod app;
pub mod assignment;
pub mod audit;
pub mod bundle;
mod client;
pub mod code;
pub mod condition;
pub mod data;
mod error;
pub mod follow;
mod grant;
pub mod group;
pub mod identity;
mod listing;
mod literal;
pub mod logs;
pub mod member;
mod pager;
pub mod permission;
mod phase;
pub mod policy;
pub mod project;
mod project_domain;
pub mod raw;
pub mod role;
pub mod run;
pub mod secret;
pub mod settings;
pub mod task;
#[cfg(test)]
mod testing;
mod transport;
pub mod trigger;
pub mod trust;
pub mod upload;
pub mod user;
mod watch;

pub use access::Access;
pub use client::Client;
pub use error::{ClientError, DecidingRule};
pub use grant::{Grant, WrongGrant};
pub use listing::TimeRange;
pub use pager::Pager;
pub use phase::Phase;
pub use project_domain::ProjectDomain;
pub use transport::Transport;
pub use watch::Watch;
