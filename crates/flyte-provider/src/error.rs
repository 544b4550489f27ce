//! Why a sign-in through a provider failed.

use flyte_issuer::IssuerError;

/// The reason why a provider did not sign a user in. The texts contain no secret and are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider cannot be reached, or does not work.
    #[error("the provider is not available: {0}")]
    Unavailable(#[from] IssuerError),
    /// The secret or the key of this server at the provider cannot be used.
    #[error("this server's credential at the provider: {0}")]
    Credential(String),
    /// The provider did not accept the code or this server, with its error code.
    #[error("the provider refused the code: {0}")]
    Refused(String),
    /// The answer of the provider must not be trusted.
    #[error("the answer of the provider is wrong: {0}")]
    Wrong(&'static str),
    /// The provider did not ask the user to sign in again, although it had to.
    #[error("the provider did not ask the user to sign in again")]
    NotFresh,
    /// The provider does not say when users sign in there.
    #[error("the provider does not say when the user signed in")]
    NoSignInTime,
    /// The system returned no random numbers.
    #[error("the system returned no random numbers")]
    Random,
}
