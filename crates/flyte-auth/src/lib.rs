//! Gets, stores and refreshes OAuth 2 tokens for Flyte clients.
//!
//! [`Session`] is the entry point. It gives a valid access token: from memory, from the store that all Flyte tools share, by a refresh,
//! or by signing the person in. [`Transport`] sends the token with each call.
//!
//! The error type is [`AuthError`], which says what happened and why. What a person can do about it depends on the program: for the
//! `flyte` command and the Python package, that is in `flyte-hints`.
#![forbid(unsafe_code)]

mod answer;
pub mod api_key;
mod approval;
mod browser;
pub mod child_output;
pub mod clock;
pub mod discovery;
mod error;
pub mod flows;
pub mod http;
mod interaction;
pub mod oauth;
mod session;
mod step_up;
pub mod store;
#[cfg(test)]
mod tests;
mod token;
mod transport;
mod userinfo;

pub use self::{
    answer::Intermediary,
    approval::Approval,
    browser::{browser_commands, has_browser, open_browser},
    error::{AuthError, ConnectFailure},
    interaction::{Absence, Interaction, Unattended, in_ci},
    session::{
        Activity, Authorization, Credentials, Holder, Session, SessionOptions, SignedOut, Status, state_dir,
    },
    step_up::StepUp,
    token::{AccessToken, TokenResponse},
    transport::Transport,
};
