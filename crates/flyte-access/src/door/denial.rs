//! What programs and the audit log get of calls that do not pass.

use std::fmt;

use super::{Refusal, Rule};
use crate::{Caller, policy::Denied};
use flyte_audit::{Audit, Detail, Event, Kind};
use flyte_idl::google::rpc::ErrorInfo;

/// The type of [`Refusal::error_info`].
pub const ERROR_INFO: &str = "google.rpc.ErrorInfo";
/// The domain of the reasons in it.
const DOMAIN: &str = "flyteauth";
/// The longest value of its metadata, in bytes. Values come from requests, and gRPC sends them in a header.
const MAX_VALUE: usize = 256;

impl Refusal {
    /// What programs can know about the refusal of a call of the RPC at `path`. It says no more than what the request names and
    /// what the caller's rights are: a resource that exists is refused like one that does not.
    #[must_use]
    pub fn error_info(&self, path: &str) -> ErrorInfo {
        let mut info =
            ErrorInfo { reason: self.reason().to_owned(), domain: DOMAIN.to_owned(), ..ErrorInfo::default() };
        let mut add = |name: &str, value: &dyn fmt::Display| {
            let mut value = value.to_string();
            if let Some(end) = (0..=MAX_VALUE).rev().find(|end| value.is_char_boundary(*end)) {
                value.truncate(end);
            }
            if !value.is_empty() {
                info.metadata.insert(name.to_owned(), value);
            }
        };
        add("rule", &self.rule());
        // What a key or a rule would be given is not a question that `ExplainAccess` answers.
        if !matches!(self, Self::Denied(Denied::Beyond(_))) {
            add("rpc", &path.trim_start_matches('/'));
        }
        match self {
            Self::Denied(Denied::Code(forbidden)) => {
                add("setting", &forbidden.rule);
                add("field", &forbidden.field);
                add("project", &forbidden.project);
            }
            Self::NotFound { project, domain, .. } => {
                add("project", project);
                add("domain", domain);
            }
            Self::Denied(_) | Self::Invalid(_) | Self::Malformed(_) | Self::Unknown(_) => {}
        }
        info
    }

    /// The reason in the form of [`ErrorInfo`].
    fn reason(&self) -> &'static str {
        if matches!(self, Self::Denied(Denied::StepUp(_))) {
            return "RECENT_SIGN_IN_REQUIRED";
        }
        match self.rule() {
            Rule::Table => "UNKNOWN_RPC",
            Rule::Scope => "INSUFFICIENT_SCOPE",
            Rule::Principal => "WRONG_PRINCIPAL",
            Rule::Role => "INSUFFICIENT_ROLE",
            Rule::Administrator => "NOT_ADMINISTRATOR",
            Rule::Limit => "OUTSIDE_OF_LIMIT",
            Rule::Request => "INVALID_REQUEST",
            Rule::Code => "CODE_NOT_ALLOWED",
        }
    }

    /// Records that `caller` was denied the RPC at `path`, to the end, even if the caller does not wait for the answer. A request
    /// that cannot be as it is, or that calls nothing, is no denial.
    pub async fn record(&self, audit: &Audit, caller: &Caller, path: &str) {
        let event = || {
            let event = Event::new(Kind::CallDenied).subject(&caller.subject).client(&caller.client_id);
            caller.add_starter(event.object(path).detail(Detail::Rule, self.rule()))
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
