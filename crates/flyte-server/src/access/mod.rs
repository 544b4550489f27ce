//! Who may call: access tokens, their verification and revocation.

/// Verifies callers.
#[derive(Debug, Default)]
pub struct Access {}
