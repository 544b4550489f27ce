//! Authorization server and control plane of Flyte in one binary.
//!
//! `docs/architecture.md` follows a request through these modules in order.
#![forbid(unsafe_code)]

pub mod access;
pub mod api;
pub mod app;
pub mod clock;
pub mod config;
pub mod http;
pub mod identity;
pub mod keys;
pub mod oauth;
pub mod store;
pub mod web;
