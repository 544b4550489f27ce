//! Calls that do not pass: what the caller gets, and what the audit log has.

use buffa::Message as _;
use flyte_access::{
    Caller, StreamEnd, TooManyStreams,
    door::{self, Rpc},
    policy::{self, Denied},
    step_up_challenge,
};
use flyte_audit::Audit;
use flyte_protocol::{Code, Detail, Refusal};
use http::header;

use crate::{UpstreamError, identity::IdentityError};

/// The error for a call that the door refuses, with the rule that decided as a detail. A denial is recorded in the audit log.
pub(crate) async fn of_door(audit: &Audit, caller: &Caller, rpc: &Rpc, refusal: door::Refusal) -> Refusal {
    let path = format!("/{}", rpc.name);
    refusal.record(audit, caller, &path).await;
    let value = refusal.error_info(&path).encode_to_vec().into();
    let mut error = match refusal {
        door::Refusal::Denied(reason) => denied(&reason),
        door::Refusal::NotFound { message, .. } => Refusal::new(Code::NotFound, message),
        door::Refusal::Invalid(message) | door::Refusal::Malformed(message) => {
            Refusal::new(Code::InvalidArgument, message)
        }
        refusal @ door::Refusal::Unknown(_) => Refusal::new(Code::Unimplemented, refusal.to_string()),
    };
    error.details.push(Detail { type_name: door::ERROR_INFO.to_owned(), value });
    error
}

fn denied(reason: &Denied) -> Refusal {
    if !matches!(reason, Denied::StepUp(_)) {
        return Refusal::new(Code::PermissionDenied, reason.to_string());
    }
    Refusal::new(Code::Unauthenticated, reason.to_string())
        .with_header(header::WWW_AUTHENTICATE, step_up_challenge(policy::RECENT_SIGN_IN))
}

/// The error for a path that is no RPC here.
pub(crate) fn unknown(path: &str) -> Refusal {
    let refusal = door::Refusal::Unknown(path.trim_start_matches('/').to_owned());
    Refusal::new(Code::Unimplemented, refusal.to_string())
}

/// The error for one stream too many.
pub(crate) fn too_many_streams(why: TooManyStreams, caller: &Caller) -> Refusal {
    tracing::warn!(subject = %caller.subject, "a stream was rejected: {why}");
    Refusal::new(Code::ResourceExhausted, why.to_string())
}

/// The error at the end of a stream whose caller has lost its rights.
pub(crate) fn stream_ended(why: StreamEnd) -> Refusal {
    let code = match why {
        StreamEnd::Unauthenticated(_) => Code::Unauthenticated,
        StreamEnd::Unchecked => Code::Unavailable,
    };
    Refusal::new(code, why.to_string())
}

/// The error if the backend gives no answer. The details go to the log, not to the caller.
pub(crate) fn of_upstream(backend: &str, error: &UpstreamError) -> Refusal {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(backend, %error, cause, "a backend did not answer a call");
    Refusal::new(error.code(), error.to_string())
}

/// The error if the caller cannot be described to the backend.
pub(crate) fn of_identity(error: &IdentityError) -> Refusal {
    match error {
        IdentityError::Gone | IdentityError::Expired => {
            Refusal::new(Code::Unauthenticated, error.to_string())
        }
        IdentityError::Store(_) | IdentityError::Keys(_) => {
            tracing::error!(%error, "a caller could not be described to a backend");
            Refusal::new(Code::Unavailable, "the server's database failed; try again later")
        }
    }
}
