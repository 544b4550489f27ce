//! Workload identity federation (keyless CI): tokens of other issuers are exchanged for ours, under trust rules that
//! administrators create.
//!
//! A CI system gives each of its jobs a JSON Web Token that identifies the job. [`SubjectToken`] parses the token,
//! [`TrustedIssuers`] fetches the issuer's keys, [`flyte_issuer::KeySet`] verifies the signature, and [`rule::mismatch`]
//! compares the [`claims`] with a rule's [`Pattern`]s. The token endpoint of flyte-oauth combines these steps;
//! `docs/reference/keyless-ci.md` describes them for users.
#![forbid(unsafe_code)]

pub mod claims;
pub mod issuers;
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
