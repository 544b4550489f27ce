//! Runs tasks on this machine.
//!
//! `scheduler` takes what is queued ([`flyte_runs`]), makes of each task's container a command, an environment and limits
//! (`container`), and has it started by a supervisor of its own ([`process`], `supervise`), which goes on when the server
//! does not. What the task writes is kept ([`log`]) and can be followed (`tail`); `outcome` tells how it ended. [`libraries`] are given to tasks.
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
mod state;
pub mod supervise;
mod tail;
mod template;
#[cfg(test)]
mod testing;
mod tree;

pub use self::directory::of_attempt;
pub use self::{directory::component, local::LocalRunner, root::refusal, state::State};
