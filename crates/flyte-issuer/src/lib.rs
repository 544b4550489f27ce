//! Issuers of tokens elsewhere: what the server fetches from them, within limits, and the cache of their keys.
//!
//! Two crates use this one: flyte-federation for the tokens of workloads, and flyte-provider for the sign-in of people.
//! [`Fetcher`] sends the requests, [`Discovery`] is the document of an issuer, [`KeyCache`] keeps the keys, and [`KeySet`]
//! verifies signatures.
#![forbid(unsafe_code)]

mod cache;
mod discovery;
mod fetch;
mod internal;
mod keys;

pub use self::{
    cache::{KeyCache, KeySource},
    discovery::Discovery,
    fetch::{
        Answer, Authorities, CaFileError, Fetcher, IssuerError, MIN_FETCH_INTERVAL_SECONDS, Reach, is_safe,
    },
    internal::is_internal,
    keys::{KeySet, NoKeySet},
};
pub use flyte_keys::jwks::ACCEPTED as ALGORITHMS;
