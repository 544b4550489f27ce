//! Keyless CI: tokens of other issuers that are taken for ours, under rules that administrators make.
//!
//! A CI system gives each of its jobs a JSON Web Token that says which job it is. [`SubjectToken`] reads one,
//! [`TrustedIssuers`] fetches its issuer's keys and [`keys::KeySet`] verifies it, and [`rule::mismatch`] compares its
//! [`claims`] with a rule's [`Pattern`]s. `oauth::token::token_exchange` puts these together; `docs/reference/keyless-ci.md`
//! is the page for people.
#![forbid(unsafe_code)]

pub mod claims;
pub mod issuers;
pub mod keys;
pub mod pattern;
pub mod rule;
pub mod subject_token;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use self::{
    issuers::{IssuerError, TrustedIssuers},
    pattern::Pattern,
    subject_token::{SubjectToken, SubjectTokenError},
};
