//! What a person can do about an error, in commands of `flyte`.
//!
//! The libraries say what happened and why, and name no command: a program of another author may use them. The `flyte` command
//! and the Python package show their errors to people, and add the next step from here, so that both give the same advice.
#![forbid(unsafe_code)]

mod auth;
mod client;
mod command;
mod config;
mod connect;
mod store;
#[cfg(test)]
mod tests;

pub use client::resource;
pub use command::with_command;
pub use connect::unreachable;

/// An error that a person can do something about.
pub trait Hint {
    /// The next step: at most two sentences and one command. `None` if there is nothing that a person can do.
    fn hint(&self) -> Option<String>;
}
