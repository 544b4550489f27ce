//! The access of API keys and trust rules.

use flyte_idl::flyteauth as wire;
use serde::Serialize;

/// Limits of access. An empty field sets no limit beyond the rights of the key's or rule's creator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Access {
    /// `viewer` (reads), `contributor` (also runs and deploys) or `admin`.
    pub role: String,
    /// The OAuth 2 scopes that tokens may have.
    pub scopes: Vec<String>,
    /// The only accessible project.
    pub project: String,
    /// The only accessible domain of that project.
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

/// Unix time in seconds; `None` for 0, which means no time on the wire.
pub(crate) fn time(seconds: i64) -> Option<i64> {
    (seconds != 0).then_some(seconds)
}

/// A duration in seconds, as on the wire.
pub(crate) fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
