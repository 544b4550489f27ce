//! Runs tasks on this machine.

pub mod log;
pub mod process;
pub(crate) mod supervise;
mod tree;
