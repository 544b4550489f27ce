//! Authorization server and control plane of Flyte in one binary.
//!
//! `docs/architecture.md` follows a request through these modules in order.
#![forbid(unsafe_code)]

pub mod app;
pub mod backup;
pub mod bootstrap;
pub mod cli;
pub mod command;
pub mod data_dir;
pub mod logging;
mod panic;
mod pods;
pub mod router;
pub mod serve;
#[cfg(test)]
mod testing;
pub mod tls;
mod upstream;
