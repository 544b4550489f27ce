//! The layers that every request passes before its handler: client address and request identifier, rejection of
//! ambiguous requests, log span, own task, limits. Also the health checks, and the origin of requests from pages.
#![forbid(unsafe_code)]

pub mod ambiguity;
pub mod drain;
pub mod edge;
pub mod finish;
pub mod health;
pub mod limits;
mod same_origin;
mod share;

pub use self::{
    health::Readiness,
    same_origin::is_same_origin,
    share::{Share, Shares},
};
