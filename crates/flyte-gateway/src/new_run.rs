//! Runs that callers start at the backend: whose pods act with whose rights.

use flyte_access::{Caller, policy};
use flyte_model::clock::UnixMillis;
use flyte_protocol::Codec;
use flyte_store::RunId;

use crate::{
    Gateway, answer,
    message::{Field, texts},
    namesakes::PARTS,
};

/// The RPC that starts a run with pods.
pub(crate) const CREATE_RUN: &str = "flyteidl2.workflow.RunService/CreateRun";

/// The way to the run's identifier through its answer.
pub(crate) const RUN: [Field; 4] = [(1, "run"), (1, "action"), (1, "id"), (1, "run")];

/// Remembers who has started the run that an answer is about. `free_at` is a time before the backend has said that there was no
/// such run; without it, or if this fails, the backend is asked for the starter when the first pod of the run calls.
pub(crate) async fn remember(
    gateway: &Gateway,
    caller: &Caller,
    codec: Codec,
    answer: &answer::Received,
    free_at: Option<UnixMillis>,
) {
    let Some(message) = answer.message() else { return };
    let Some([project, domain, name]) = texts(message, codec, &RUN, PARTS) else {
        tracing::warn!("a backend did not say which run it has started");
        return;
    };
    let is_whole = [&project, &domain, &name].iter().all(|part| !part.is_empty());
    if !is_whole || !policy::may_see(caller, &project, Some(&domain)) {
        tracing::warn!(%project, %domain, %name, "a backend has answered with another run than it was asked to start");
        return;
    }
    let run = RunId { project, domain, name };
    if let Err(error) = gateway.parts.access.remember_run(caller, &run, free_at).await {
        tracing::error!(%error, %run, "it was not recorded who has started a run");
    }
}
