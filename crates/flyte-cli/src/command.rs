//! The verbs; one module each.

pub(crate) mod abort;
pub(crate) mod auth;
pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod deploy;
pub(crate) mod generate;
pub(crate) mod get;
pub(crate) mod rerun;
pub(crate) mod rotate;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod signal;
pub(crate) mod update;
pub(crate) mod whoami;
