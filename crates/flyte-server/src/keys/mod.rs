//! Keys that sign tokens.

/// The keys that sign tokens.
#[derive(Debug, Default)]
pub struct SigningKeys {}
