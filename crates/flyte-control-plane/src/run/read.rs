//! The query of `ListRuns`, and the streams of runs and actions.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use buffa::MessageField;
use connectrpc::{ConnectError, Response, ServiceResult, ServiceStream};
use flyte_idl::flyteidl2::{
    common::{Filter, ListRequest},
    workflow::{
        EnrichedAction, ListRunsRequest, WatchActionDetailsResponse, WatchActionsResponse,
        WatchRunDetailsResponse, WatchRunsRequest, WatchRunsResponse, list_runs_request::ScopeBy,
        watch_runs_request::Target,
    },
};

use super::{
    message::Messages,
    no_action, no_run, query,
    watch::{Look, Next, follow},
};
use crate::{ControlPlane, invalid, store_error, visible::Visible};
use flyte_access::Caller;
use flyte_model::clock::UnixMillis;
use flyte_policy::Permission;
use flyte_store::{self, ActionId, ActionQuery, RunId, RunQuery, RunSortKey, Span};

/// The number of actions or runs that are read at a time.
const PAGE_SIZE: u32 = 500;
/// The number of latest runs that a watch of runs sends first.
const MAX_INITIAL_RUNS: u32 = 100;

/// Adds a condition. Returns `false` if it contradicts the existing one, so that nothing can match both.
fn confine(condition: &mut Option<String>, wanted: Option<&str>) -> bool {
    match (condition.as_deref(), wanted.filter(|wanted| !wanted.is_empty())) {
        (_, None) => true,
        (None, Some(wanted)) => {
            *condition = Some(wanted.to_owned());
            true
        }
        (Some(own), Some(wanted)) => own == wanted,
    }
}

/// Limits a query to what the caller may see. Returns `false` if nothing can match it.
fn confine_to(caller: &Caller, query: &mut RunQuery) -> bool {
    let (project, domain) =
        (query.project.take().unwrap_or_default(), query.domain.take().unwrap_or_default());
    let Some(visible) = Visible::to(caller, Permission::ViewRuns, &project, &domain) else { return false };
    let Visible { project, domain, only_in } = visible;
    (query.project, query.domain, query.only_in) = (project, domain, only_in);
    true
}

/// The query of a list request; `None` if nothing can match it.
pub(super) fn run_query(
    caller: &Caller,
    request: &ListRunsRequest,
) -> Result<Option<RunQuery>, ConnectError> {
    let none = ListRequest::default();
    let mut query = query::runs(request.request.as_option().unwrap_or(&none))?;
    query.paused_only = request.paused_actions_only;
    let possible = match &request.scope_by {
        None | Some(ScopeBy::Org(_)) => true,
        Some(ScopeBy::ProjectId(id)) => {
            confine(&mut query.project, Some(&id.name)) && confine(&mut query.domain, Some(&id.domain))
        }
        Some(ScopeBy::TaskName(id)) => {
            confine(&mut query.project, Some(&id.project))
                && confine(&mut query.domain, Some(&id.domain))
                && confine(&mut query.task_name, Some(&id.name))
        }
        Some(ScopeBy::TaskId(id)) => {
            confine(&mut query.project, Some(&id.project))
                && confine(&mut query.domain, Some(&id.domain))
                && confine(&mut query.task_name, Some(&id.name))
                && confine(&mut query.task_version, Some(&id.version))
        }
        Some(ScopeBy::TriggerName(id)) => {
            let trigger = format!("{}/{}", id.task_name, id.name);
            confine(&mut query.project, Some(&id.project))
                && confine(&mut query.domain, Some(&id.domain))
                && confine(&mut query.trigger, Some(&trigger))
        }
    };
    Ok((possible && confine_to(caller, &mut query)).then_some(query))
}

/// Sends the run details each time the root action changes. Ends with the root action.
pub(super) async fn watch_run(
    plane: &Arc<ControlPlane>,
    id: RunId,
) -> ServiceResult<ServiceStream<WatchRunDetailsResponse>> {
    let watcher = plane.runs.watch(&id);
    plane.runs.run(&id).await.map_err(store_error)?.ok_or_else(|| no_run(&id))?;
    let root = ActionId::root(id);
    Response::stream_ok(follow(plane, watcher, 0, move |plane, seen| {
        let root = root.clone();
        async move {
            let Some((version, next)) = news(&plane, &root, seen).await? else { return Ok(nothing(seen)) };
            let details = Messages::new(&plane).run_details(&root.run).await?;
            let message = WatchRunDetailsResponse {
                details: details.map_or_else(MessageField::none, MessageField::some),
                ..WatchRunDetailsResponse::default()
            };
            Ok(Look { state: version, messages: vec![message], next })
        }
    }))
}

/// Sends the action details each time the action changes. Ends with the action.
pub(super) fn watch_action(
    plane: &Arc<ControlPlane>,
    run: flyte_store::Run,
    id: ActionId,
) -> ServiceResult<ServiceStream<WatchActionDetailsResponse>> {
    let watcher = plane.runs.watch(&id.run);
    Response::stream_ok(follow(plane, watcher, 0, move |plane, seen| {
        let (run, id) = (run.clone(), id.clone());
        async move {
            let action = plane.runs.action(&id).await.map_err(store_error)?.ok_or_else(|| no_action(&id))?;
            if action.version == seen {
                return Ok(nothing(seen));
            }
            let details = Messages::new(&plane).action_details(&run, &action).await?;
            let message = WatchActionDetailsResponse {
                details: MessageField::some(details),
                ..WatchActionDetailsResponse::default()
            };
            let next = if action.phase.is_terminal() { Next::End } else { Next::Wait };
            Ok(Look { state: action.version, messages: vec![message], next })
        }
    }))
}

/// The result of a read that found nothing new.
fn nothing<S, M>(state: S) -> Look<S, M> {
    Look { state, messages: Vec::new(), next: Next::Wait }
}

/// The version of the action if it has changed since `seen`, and the next step.
async fn news(plane: &ControlPlane, id: &ActionId, seen: i64) -> Result<Option<(i64, Next)>, ConnectError> {
    let action = plane.runs.action(id).await.map_err(store_error)?.ok_or_else(|| no_action(id))?;
    let next = if action.phase.is_terminal() { Next::End } else { Next::Wait };
    Ok((action.version != seen).then_some((action.version, next)))
}

/// Sends all actions of a run, and then each action that changes. Ends with the run.
pub(super) async fn watch_actions(
    plane: &Arc<ControlPlane>,
    id: RunId,
    filters: Vec<Filter>,
) -> ServiceResult<ServiceStream<WatchActionsResponse>> {
    let wanted = query::actions(&ListRequest { filters, ..ListRequest::default() })?;
    let watcher = plane.runs.watch(&id);
    let run = plane.runs.run(&id).await.map_err(store_error)?.ok_or_else(|| no_run(&id))?;
    Response::stream_ok(follow(plane, watcher, 0, move |plane, seen| {
        let (run, wanted) = (run.clone(), wanted.clone());
        async move {
            let root = ActionId::root(run.id.clone());
            // This comes before the changes are read. The watcher reports later changes.
            let ended = plane
                .runs
                .action(&root)
                .await
                .map_err(store_error)?
                .is_none_or(|root| root.phase.is_terminal());
            let actions =
                plane.runs.actions_since(&run.id, None, seen, PAGE_SIZE).await.map_err(store_error)?;
            let next = match actions.len() < PAGE_SIZE as usize {
                false => Next::More,
                true if ended => Next::End,
                true => Next::Wait,
            };
            let Some(state) = actions.last().map(|last| last.version) else {
                return Ok(Look { state: seen, messages: Vec::new(), next });
            };
            let mut messages = Messages::new(&plane);
            let mut answer = WatchActionsResponse::default();
            for action in &actions {
                let counts = plane.runs.count_children(&action.id).await.map_err(store_error)?;
                answer.enriched_actions.push(EnrichedAction {
                    action: MessageField::some(messages.action(&run, action).await?),
                    meets_filter: meets(&wanted, action),
                    children_phase_counts: counts
                        .into_iter()
                        .map(|(phase, count)| (phase as i32, i32::try_from(count).unwrap_or(i32::MAX)))
                        .collect(),
                    ..EnrichedAction::default()
                });
            }
            Ok(Look { state, messages: vec![answer], next })
        }
    }))
}

/// Whether an action matches the query.
fn meets(wanted: &ActionQuery, action: &flyte_store::Action) -> bool {
    let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    let within = |span: Span, at: UnixMillis| {
        span.from.is_none_or(|from| at >= from) && span.to.is_none_or(|to| at < to)
    };
    (wanted.phases.is_empty() || wanted.phases.contains(&action.phase))
        && !wanted.phases_not.contains(&action.phase)
        && is(&wanted.parent, &action.parent)
        && wanted.kind.is_none_or(|kind| kind == action.kind)
        && is(&wanted.name, &action.id.name)
        && is(&wanted.task_name, &action.task.name)
        && within(wanted.created, action.created_at)
        && within(wanted.updated, action.updated_at)
}

/// The progress of a watch of runs.
#[derive(Clone, Default)]
struct SeenRuns {
    /// The time of the latest change that was sent, in milliseconds; `None` before the first read.
    at: Option<UnixMillis>,
    /// The versions of the sent root actions that changed at that time.
    then: HashMap<RunId, i64>,
}

/// Sends the latest runs, and then each run that changes. Ends when the server stops.
pub(super) fn watch_runs(
    plane: &Arc<ControlPlane>,
    caller: &Arc<Caller>,
    request: WatchRunsRequest,
) -> ServiceResult<ServiceStream<WatchRunsResponse>> {
    let mut wanted = RunQuery { sort_key: RunSortKey::UpdatedAt, ..RunQuery::default() };
    let possible = match &request.target {
        None | Some(Target::Org(_)) => true,
        Some(Target::ClusterId(_)) => {
            return Err(invalid("cluster_id", "is not supported by this server"));
        }
        Some(Target::ProjectId(id)) => {
            confine(&mut wanted.project, Some(&id.name)) && confine(&mut wanted.domain, Some(&id.domain))
        }
        Some(Target::TaskId(id)) => {
            confine(&mut wanted.project, Some(&id.project))
                && confine(&mut wanted.domain, Some(&id.domain))
                && confine(&mut wanted.task_name, Some(&id.name))
                && confine(&mut wanted.task_version, Some(&id.version))
        }
    };
    let possible = possible && confine_to(caller, &mut wanted);
    let watcher = plane.runs.watch_all();
    Response::stream_ok(follow(plane, watcher, SeenRuns::default(), move |plane, mut seen| {
        let wanted = wanted.clone();
        async move {
            if !possible {
                return Ok(nothing(seen));
            }
            let mut runs = match seen.at {
                None => {
                    let latest = RunQuery { descending: true, limit: MAX_INITIAL_RUNS, ..wanted };
                    let mut runs = plane.runs.list(&latest).await.map_err(store_error)?.0;
                    runs.reverse();
                    runs
                }
                Some(at) => changed_since(&plane, &wanted, at).await?,
            };
            runs.retain(|(run, root)| seen.then.get(&run.id) != Some(&root.version));
            let Some(latest) = runs.iter().map(|(_, root)| root.updated_at).max() else {
                seen.at.get_or_insert(0);
                return Ok(nothing(seen));
            };
            if seen.at != Some(latest) {
                seen = SeenRuns { at: Some(latest), then: HashMap::new() };
            }
            let mut messages = Messages::new(&plane);
            let mut answer = WatchRunsResponse::default();
            for (run, root) in &runs {
                if root.updated_at == latest {
                    seen.then.insert(run.id.clone(), root.version);
                }
                answer.runs.push(messages.run(run, root).await?);
            }
            Ok(Look { state: seen, messages: vec![answer], next: Next::Wait })
        }
    }))
}

/// All runs whose root actions changed at `at` or later, the earliest first.
async fn changed_since(
    plane: &ControlPlane,
    wanted: &RunQuery,
    at: UnixMillis,
) -> Result<Vec<(flyte_store::Run, flyte_store::Action)>, ConnectError> {
    let mut page =
        RunQuery { updated: Span { from: Some(at), to: None }, limit: PAGE_SIZE, ..wanted.clone() };
    let (mut all, mut known) = (Vec::new(), BTreeSet::new());
    loop {
        let (runs, token) = plane.runs.list(&page).await.map_err(store_error)?;
        // A run that changes while the pages are read moves to the last page.
        all.extend(runs.into_iter().filter(|(run, root)| known.insert((run.id.clone(), root.version))));
        if token.is_empty() {
            return Ok(all);
        }
        page.page_token = token;
    }
}
