//! The real program: starting, stopping, killing and asking it.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod ambiguity;
mod commands;
mod connections;
mod first_start;
mod refusals;
mod server;
mod stopping;
mod supervised;
mod tasks;
