//! What an API key, or the holder of another issuer's token, may do.

use flyte_idl::flyteauth as wire;
use serde::Serialize;

/// Limits on what may be done. An empty field sets none beyond the rights of who made the key or rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Access {
    /// `viewer` (reads), `contributor` (also runs and deploys) or `admin`.
    pub role: String,
    /// The OAuth 2 scopes that tokens may have.
    pub scopes: Vec<String>,
    /// The one project to work in.
    pub project: String,
    /// The one domain of that project to work in.
    pub domain: String,
}

impl From<wire::Access> for Access {
    fn from(message: wire::Access) -> Self {
        let wire::Access { role, scopes, project, domain, .. } = message;
        Self { role, scopes, project, domain }
    }
}

impl From<Access> for wire::Access {
    fn from(access: Access) -> Self {
        let Access { role, scopes, project, domain } = access;
        Self { role, scopes, project, domain, ..Default::default() }
    }
}

/// Unix time in seconds, where the wire has 0 for none.
pub(crate) fn time(seconds: i64) -> Option<i64> {
    (seconds != 0).then_some(seconds)
}

/// A number of seconds as the wire has it.
pub(crate) fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
