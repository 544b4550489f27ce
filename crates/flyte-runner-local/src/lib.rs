//! Runs tasks on this machine.
//!
//! `scheduler` claims queued attempts ([`flyte_runs`]). `container` translates the task's container into a command, an
//! environment and limits. A supervisor ([`process`], `supervise`) starts the command and continues if the server ends.
//!
//! `starting` limits how many tasks start at the same time.
//!
//! [`log`] stores the output of a task, and `tail` follows it. `outcome` decides how the attempt ended. [`libraries`] are
//! Python packages for tasks. [`apps`] keeps apps running.
#![forbid(unsafe_code)]

pub mod apps;
pub mod authorities;
mod container;
mod directory;
pub mod environment;
mod identity;
mod inotify;
pub mod libraries;
mod local;
pub mod log;
mod outcome;
pub mod process;
mod quantity;
mod root;
mod scheduler;
mod starting;
mod state;
pub mod supervise;
mod tail;
mod template;
#[cfg(test)]
mod testing;
mod tree;

pub use self::directory::of_attempt;
pub use self::{directory::component, local::LocalRunner, root::refusal, state::State};
