//! The layers that every request passes before its handler: client address and request identifier, rejection of
//! ambiguous requests, log span, own task, limits. Also the health checks.
#![forbid(unsafe_code)]

pub mod ambiguity;
pub mod drain;
pub mod edge;
pub mod finish;
pub mod health;
pub mod limits;
mod share;

pub use self::{
    health::Readiness,
    share::{Share, Shares},
};
