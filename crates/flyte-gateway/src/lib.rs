//! The gateway: forwards the calls that pass the door to a Flyte 2 backend.
#![forbid(unsafe_code)]

pub mod identity;
