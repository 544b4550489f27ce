//! What every request passes before it reaches a handler: the client's address and the request's identifier, the refusal of
//! requests with two meanings, the span of its log lines, the task that works on it, limits, health.
#![forbid(unsafe_code)]

pub mod ambiguity;
pub mod edge;
pub mod finish;
pub mod health;
pub mod limits;
mod share;

pub use self::{
    health::Readiness,
    share::{Share, Shares},
};
