//! What the backend finds by a name alone, whatever the project in the request is.
//!
//! The backend keeps the actions of all projects as objects of one namespace that are called `RUN-ACTION`, and apps as objects
//! that are called `APP-PROJECT-DOMAIN`. It ends, answers and replaces them by these names. So the gateway asks it first to
//! which project the object of the name belongs:
//!
//! - A new run may not have the name of a run of another project or domain.
//! - The run of an action that is ended or answered must be the only one of its name that has not ended.
//! - An app that is created, changed or deleted, or whose logs are read, must be the one that has the name of its object.
//! - The logs of a replica are those of any pod of the namespace, so it must be one of the app's.
//!
//! The question for all runs of a name goes over all projects, and costs a backend without an index on `run_name` a scan of its table.
//! So only a few of them are open at the same time, and for a run that is to be there already, the gateway first asks for that run by
//! its identifier: a name that the caller has no run of is refused without the scan.
//!
//! What callers without a limit do is asked about for new runs alone: a run that shares its name would never start.
//!
//! Between the question and the call, another call could change the answer. So calls with the same name wait for each other,
//! see [`reserved_name`].

use flyte_access::{
    Caller,
    door::{self, Rpc},
};
use flyte_protocol::{Code, Codec, Refusal};
use flyte_store::RunId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Gateway, Upstream,
    message::{Field, texts},
    new_run::CREATE_RUN,
    question::Unanswered,
    refusal,
};

const GET_RUN: &str = "flyteidl2.workflow.RunService/GetRunDetails";
const LIST_RUNS: &str = "flyteidl2.workflow.RunService/ListRuns";
const GET_APP: &str = "flyteidl2.app.AppService/Get";
const CREATE_APP: &str = "flyteidl2.app.AppService/Create";
const UPDATE_APP: &str = "flyteidl2.app.AppService/Update";
const DELETE_APP: &str = "flyteidl2.app.AppService/Delete";
const TAIL_LOGS: &str = "flyteidl2.app.AppLogsService/TailLogs";

/// The most runs of one name that are looked at. With more, it is not known to which project the name belongs.
const MAX_RUNS: usize = 100;

/// The phases in which an action has ended.
const ENDED: [&str; 6] = [
    "ACTION_PHASE_SUCCEEDED",
    "ACTION_PHASE_FAILED",
    "ACTION_PHASE_ABORTED",
    "ACTION_PHASE_TIMED_OUT",
    "ACTION_PHASE_RECOVERED",
    "ACTION_PHASE_SKIPPED",
];

/// The fields of identifiers: the project, the domain and the name.
pub(crate) const PARTS: [Field; 3] = [(2, "project"), (3, "domain"), (4, "name")];
const RUN: Field = (1, "run");
const RUN_ID: Field = (1, "run_id");
const ACTION_ID: Field = (1, "action_id");
const APP_ID: Field = (1, "app_id");
const REPLICA_ID: Field = (2, "replica_id");
const APP: [Field; 3] = [(1, "app"), (1, "metadata"), (1, "id")];

/// An app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct AppId {
    pub(crate) project: String,
    pub(crate) domain: String,
    pub(crate) name: String,
}

/// What a request does to what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    NewRun(RunId),
    Run(RunId),
    NewApp(AppId),
    App(AppId),
    Replica(AppId, String),
}

/// What the gateway has found out about a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Known {
    /// What it asks for is new, as far as the backend has said, or it asks for nothing by a name.
    #[default]
    New,
    /// The run that it asks for is there already: the backend then answers with that one.
    OldRun,
    /// Whether the run that it asks for is there already was not found out.
    Unclear,
}

fn run_id([project, domain, name]: [String; 3]) -> RunId {
    RunId { project, domain, name }
}

fn app_id([project, domain, name]: [String; 3]) -> AppId {
    AppId { project, domain, name }
}

/// The name that a request is to have alone until it is answered; `None` if it creates, changes and deletes nothing that the backend
/// finds by its name alone. This is so for all callers: what one without a limit creates may be what another one is asked about.
pub(crate) fn reserved_name(rpc: &Rpc, codec: Codec, message: &[u8]) -> Option<String> {
    let find = |way: &[Field]| texts(message, codec, way, PARTS);
    let object = |id| format!("app {}", object_name(&app_id(id)));
    match rpc.name {
        CREATE_RUN => find(&[RUN_ID]).map(|id| format!("run {}", run_id(id).name)),
        CREATE_APP | UPDATE_APP => find(&APP).map(object),
        DELETE_APP => find(&[APP_ID]).map(object),
        _ => None,
    }
}

/// The name that the backend gives to the object of an app, unless it is longer than a label may be: that one ends in a hash.
pub(crate) fn object_name(AppId { project, domain, name }: &AppId) -> String {
    format!("{name}-{project}-{domain}").to_ascii_lowercase()
}

/// What a request is about; `None` if the backend does not find it by its name alone, or if the caller may reach everything.
pub(crate) fn target(caller: &Caller, rpc: &Rpc, codec: Codec, message: &[u8]) -> Option<Target> {
    let find = |way: &[Field]| texts(message, codec, way, PARTS);
    if rpc.name == CREATE_RUN {
        return Some(Target::NewRun(run_id(find(&[RUN_ID])?)));
    }
    if door::is_unlimited(&caller.grants, rpc.permission) {
        return None;
    }
    match rpc.name {
        "flyteidl2.workflow.RunService/AbortRun" => Some(Target::Run(run_id(find(&[RUN_ID])?))),
        "flyteidl2.workflow.RunService/AbortAction" | "flyteidl2.workflow.RunService/SignalEvent" => {
            Some(Target::Run(run_id(find(&[ACTION_ID, RUN])?)))
        }
        CREATE_APP => Some(Target::NewApp(app_id(find(&APP)?))),
        UPDATE_APP => Some(Target::App(app_id(find(&APP)?))),
        DELETE_APP => Some(Target::App(app_id(find(&[APP_ID])?))),
        TAIL_LOGS => match texts(message, codec, &[REPLICA_ID], [(2, "name")]) {
            Some([replica]) => Some(Target::Replica(app_id(find(&[REPLICA_ID, APP_ID])?), replica)),
            None => Some(Target::App(app_id(find(&[APP_ID])?))),
        },
        _ => None,
    }
}

/// Asks to which project the target of a request belongs.
///
/// # Errors
/// A refusal if it belongs to another project, or if that cannot be found out.
pub(crate) async fn check(
    gateway: &Gateway,
    upstream: &Upstream,
    (caller, rpc): (&Caller, &Rpc),
    target: Target,
) -> Result<Known, Refusal> {
    let is_limited = !door::is_unlimited(&caller.grants, rpc.permission);
    let organization = &gateway.parts.config.org;
    let found = match &target {
        Target::NewRun(run) => new_run(upstream, organization, run).await,
        Target::Run(run) => old_run(upstream, organization, run).await,
        Target::NewApp(app) | Target::App(app) => {
            let owner = app_with_the_name_of(upstream, organization, app).await;
            owner.map(|owner| match owner {
                Some(owner) if owner != *app => match target {
                    Target::NewApp(_) => Found::Taken(format!(
                        "there is an app that the backend cannot tell from {:?}: give the app another name",
                        app.name
                    )),
                    _ => not_there("app", &app.name, &app.project, &app.domain),
                },
                Some(_) | None => Found::Own(Known::default()),
            })
        }
        Target::Replica(app, replica) => {
            let has = has_replica(upstream, organization, app, replica).await;
            has.map(|has| match has {
                true => Found::Own(Known::default()),
                false => not_there("replica", replica, &app.project, &app.domain),
            })
        }
    };
    match found {
        Ok(Found::Own(known)) => Ok(known),
        Ok(Found::Taken(message)) => Err(Refusal::new(Code::AlreadyExists, message)),
        Ok(Found::Unclear(message)) => Err(Refusal::new(Code::FailedPrecondition, message)),
        Ok(Found::Others(why)) => Err(refusal::of_door(&gateway.parts.audit, caller, rpc, why).await),
        // Without a limit, nothing is out of reach.
        Err(error) if !is_limited => {
            tracing::warn!(%error, "it was not found out whether the name of a new run is free");
            Ok(Known::Unclear)
        }
        Err(error) => {
            tracing::warn!(%error, "a call is refused, because it was not found out to which project its object belongs");
            let message = "the backend did not say to which project this belongs; try again later";
            Err(Refusal::new(Code::Unavailable, message))
        }
    }
}

/// To which project something belongs.
enum Found {
    /// To the project that the request names.
    Own(Known),
    /// To another one, so that the name of something new is not free.
    Taken(String),
    /// To several.
    Unclear(String),
    /// To another one, or to none.
    Others(door::Refusal),
}

fn not_there(what: &str, name: &str, project: &str, domain: &str) -> Found {
    Found::Others(door::Refusal::NotFound {
        message: format!("there is no {what} {name:?} in project {project:?}, domain {domain:?}"),
        project: project.to_owned(),
        domain: domain.to_owned(),
    })
}

async fn new_run(upstream: &Upstream, organization: &str, run: &RunId) -> Result<Found, Unanswered> {
    let (own, others) = runs_of_the_name(upstream, organization, run).await?;
    if !others.is_empty() {
        let message = format!("there is a run {:?} already: give the run another name, or none", run.name);
        return Ok(Found::Taken(message));
    }
    Ok(Found::Own(if own.is_some() { Known::OldRun } else { Known::New }))
}

async fn old_run(upstream: &Upstream, organization: &str, run: &RunId) -> Result<Found, Unanswered> {
    let not_there = || not_there("run", &run.name, &run.project, &run.domain);
    if !is_there(upstream, organization, run).await? {
        return Ok(not_there());
    }
    let (own, others) = runs_of_the_name(upstream, organization, run).await?;
    if own.is_none() {
        return Ok(not_there());
    }
    if others.iter().all(Run::has_ended) {
        return Ok(Found::Own(Known::default()));
    }
    Ok(Found::Unclear(format!(
        "the backend cannot tell the run {:?} from another one that it has under the same name; ask the server's administrator to end it",
        run.name
    )))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GetRunDetailsResponse {
    details: RunDetails,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RunDetails {
    action: Action,
}

/// Whether the backend has the run itself.
async fn is_there(upstream: &Upstream, organization: &str, run: &RunId) -> Result<bool, Unanswered> {
    let RunId { project, domain, name } = run.clone();
    let wanted = AppId { project, domain, name };
    let question = json!({"runId": identifier(organization, &wanted)});
    let Some(answer) = upstream.ask(GET_RUN, &question).await? else { return Ok(false) };
    let GetRunDetailsResponse { details } = read(upstream, GET_RUN, &answer)?;
    Ok(details.action.id.run == wanted)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListRunsResponse {
    runs: Vec<Run>,
    token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Run {
    action: Action,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Action {
    id: ActionId,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ActionId {
    /// Runs and apps have identifiers of the same form.
    run: AppId,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
}

impl Run {
    fn is(&self, run: &RunId) -> bool {
        let id = &self.action.id.run;
        (&id.project, &id.domain) == (&run.project, &run.domain)
    }

    fn has_ended(&self) -> bool {
        ENDED.contains(&self.action.status.phase.as_str())
    }
}

/// The runs that have the name of a run: that run itself, and those of other projects and domains.
async fn runs_of_the_name(
    upstream: &Upstream,
    organization: &str,
    run: &RunId,
) -> Result<(Option<Run>, Vec<Run>), Unanswered> {
    let question = json!({
        "org": organization,
        "request": {
            "limit": MAX_RUNS,
            "filters": [{"function": "EQUAL", "field": "run_name", "values": [run.name]}],
        },
    });
    let answer = upstream.ask_rarely(LIST_RUNS, &question).await?;
    let answer = answer.ok_or_else(|| upstream.unanswered(LIST_RUNS, "it is not there"))?;
    let ListRunsResponse { runs, token } = read(upstream, LIST_RUNS, &answer)?;
    if !token.is_empty() {
        return Err(upstream.unanswered(LIST_RUNS, "there are too many runs"));
    }
    let named = runs.into_iter().filter(|one| one.action.id.run.name == run.name);
    let (mut own, others): (Vec<_>, Vec<_>) = named.partition(|one| one.is(run));
    Ok((own.pop(), others))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GetAppResponse {
    app: App,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct App {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    id: AppId,
}

/// The identifier of an app in a question.
fn identifier(organization: &str, AppId { project, domain, name }: &AppId) -> Value {
    json!({"org": organization, "project": project, "domain": domain, "name": name})
}

/// The app that has the object of this one, if there is one: itself, or another one whose name is the same when it is joined.
pub(crate) async fn app_with_the_name_of(
    upstream: &Upstream,
    organization: &str,
    app: &AppId,
) -> Result<Option<AppId>, Unanswered> {
    let question = json!({"appId": identifier(organization, app)});
    let Some(answer) = upstream.ask(GET_APP, &question).await? else { return Ok(None) };
    let GetAppResponse { app } = read(upstream, GET_APP, &answer)?;
    Ok(Some(app.metadata.id))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TailLogsResponse {
    replicas: Replicas,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Replicas {
    replicas: Vec<Replica>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Replica {
    name: String,
}

/// Whether an app has a replica of this name, and is the one that has the object of its name.
async fn has_replica(
    upstream: &Upstream,
    organization: &str,
    app: &AppId,
    replica: &str,
) -> Result<bool, Unanswered> {
    if app_with_the_name_of(upstream, organization, app).await?.as_ref() != Some(app) {
        return Ok(false);
    }
    let question = json!({"appId": identifier(organization, app)});
    let Some(answer) = upstream.ask_first(TAIL_LOGS, &question).await? else { return Ok(false) };
    let TailLogsResponse { replicas } = read(upstream, TAIL_LOGS, &answer)?;
    Ok(replicas.replicas.iter().any(|one| one.name == replica))
}

fn read<'a, T: Deserialize<'a>>(upstream: &Upstream, rpc: &str, answer: &'a [u8]) -> Result<T, Unanswered> {
    serde_json::from_slice(answer).map_err(|error| upstream.unanswered(rpc, &error.to_string()))
}
