//! Pods: a pod may use the project and domain of its run while it runs, and while the principal that started the run may.

use super::{EffectiveRights, LookUpError, run};
use crate::{
    Access, Caller,
    workload::{Workload, WorkloadError, WorkloadId},
};
use flyte_store::RunId;

/// The rights of a token of this server that a pod got in exchange for its own.
pub(super) async fn look_up(
    access: &Access,
    caller: &Caller,
    id: &WorkloadId,
) -> Result<Result<EffectiveRights, &'static str>, LookUpError> {
    let workload = match access.running_workload(id).await {
        Ok(workload) => workload,
        Err(WorkloadError::Invalid(why)) => return Ok(Err(why)),
        Err(WorkloadError::Unavailable(error)) => return Err(error.into()),
    };
    if workload.run.to_string() != caller.subject {
        return Ok(Err("the pod works on another run"));
    }
    rights(access, &workload).await
}

/// The rights of a running pod.
pub(super) async fn rights(
    access: &Access,
    workload: &Workload,
) -> Result<Result<EffectiveRights, &'static str>, LookUpError> {
    let Some(starter) = access.run_starter(&workload.run).await? else {
        return Ok(Err("it is not known who started the run of this pod"));
    };
    let RunId { project, domain, .. } = &workload.run;
    Ok(run::limited(access, &starter.creator, starter.started_at, project, domain).await?)
}
