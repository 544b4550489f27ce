//! Gets, keeps and refreshes OAuth 2 tokens for Flyte clients.
//!
//! [`Session`] is the way in: it has a valid access token whenever one can be had, from memory, from the store that all
//! Flyte tools share, by a refresh, or by signing the person in. [`Transport`] sends it with each call.
//!
//! What can go wrong is an [`AuthError`]: each says what happened and why, and [`AuthError::hint`] what to do next.
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
mod layer;
mod session;
mod step_up;
pub mod store;
#[cfg(test)]
mod tests;
mod token;
mod userinfo;

pub use self::{
    answer::Intermediary,
    approval::Approval,
    browser::{browser_commands, has_browser, open_browser},
    error::{AuthError, ConnectFailure},
    interaction::{Absence, Interaction, Unattended, in_ci},
    layer::Transport,
    session::{Credentials, Doing, Holder, Session, SessionOptions, SignedOut, Status, state_dir},
    step_up::StepUp,
    token::{AccessToken, TokenResponse},
};
