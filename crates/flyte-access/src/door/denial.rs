//! What the audit log has of calls that do not pass.

use super::Refusal;
use crate::Caller;
use flyte_audit::{Audit, Detail, Event, Kind};

impl Refusal {
    /// Records that `caller` was denied the RPC at `path`, to the end, even if the caller does not wait for the answer. A request
    /// that cannot be as it is, or that calls nothing, is no denial.
    pub async fn record(&self, audit: &Audit, caller: &Caller, path: &str) {
        let event = || {
            let event = Event::new(Kind::CallDenied).subject(&caller.subject).client(&caller.client_id);
            caller.add_starter(event.object(path))
        };
        let event = match self {
            Self::Denied(reason) => event().detail(Detail::Reason, reason),
            Self::NotFound { project, domain, .. } => {
                let mut event = event().detail(Detail::Reason, "outside of the caller's project and domain");
                for (detail, value) in [(Detail::Project, project), (Detail::Domain, domain)] {
                    if !value.is_empty() {
                        event = event.detail(detail, value);
                    }
                }
                event
            }
            Self::Invalid(_) | Self::Malformed(_) | Self::Unknown(_) => return,
        };
        let audit = audit.clone();
        let recorded = tokio::spawn(async move { audit.record(event).await });
        if let Err(error) = recorded.await {
            tracing::error!(%error, "a denied call was not recorded");
        }
    }
}
