mod code;
mod explanations;
mod isolation;
mod pods;
mod published;
mod reading;
mod requests;
mod roles;

use super::*;
use flyte_model::{Limit, Role};

/// A store at `s3://bucket/prefix`.
struct Bucket;

impl Storage for Bucket {
    fn locate<'u>(&self, uri: &'u [u8]) -> Location<'u> {
        uri.strip_prefix(b"s3://bucket/prefix/").map_or(Location::Outside, locate_below)
    }
}

fn caller(role: Role, scope: &str, project: &str, domain: &str) -> Caller {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Caller {
        grants: Grants::of_role(role, &Limit { project: given(project), domain: given(domain) }),
        scopes: scope.parse().unwrap(),
        ..Caller::for_test()
    }
}

/// The run `p/d/r`.
fn run() -> Caller {
    Caller {
        principal: PrincipalKind::Run,
        subject: "p/d/r".to_owned(),
        ..caller(Role::Contributor, "all", "p", "d")
    }
}

fn admit(caller: &Caller, path: &str) -> Result<(), Refusal> {
    Door::published().admit(caller, path)
}

fn denied(denied: Denied) -> Result<(), Refusal> {
    Err(Refusal::Denied(denied))
}

const GET: &str = "/flyteidl2.workflow.RunService/GetRunDetails";
const CREATE: &str = "/flyteidl2.workflow.RunService/CreateRun";
const ENQUEUE: &str = "/flyteidl2.actions.ActionsService/Enqueue";

#[test]
fn scope_and_role_must_both_allow_a_call() {
    for (role, scope, path, expected) in [
        (Role::Viewer, "all", GET, Ok(())),
        (Role::Viewer, "read", GET, Ok(())),
        (Role::Admin, "openid", GET, denied(Denied::Scope(Scope::READ))),
        (Role::Viewer, "all", CREATE, denied(Denied::Contributor("CreateRun"))),
        (Role::Admin, "read", CREATE, denied(Denied::Scope(Scope::ALL))),
        (Role::Contributor, "all", CREATE, Ok(())),
    ] {
        assert_eq!(admit(&caller(role, scope, "", ""), path), expected, "{role} {scope} {path}");
    }
}

#[test]
fn an_rpc_without_a_row_is_refused() {
    let admin = caller(Role::Admin, "all", "", "");
    for path in [
        "/flyteidl2.workflow.RunService/Nothing",
        "/flyteidl2.workflow.RunService/GetNothing",
        "/a.B/GetC",
        "/a.B/",
        "flyteidl2.workflow.RunService/CreateRun",
        "//flyteidl2.workflow.RunService/CreateRun",
        "",
    ] {
        assert!(matches!(admit(&admin, path), Err(Refusal::Unknown(_))), "{path}");
        let passed = Door::published().pass(&admin, path, Message::Binary(&[]), &Bucket);
        assert!(matches!(passed, Err(Refusal::Unknown(_))), "{path}");
    }
    // Without a scope, not even that is said.
    let nothing = caller(Role::Admin, "openid", "", "");
    assert_eq!(admit(&nothing, "/a.B/GetC"), denied(Denied::Scope(Scope::ALL)));
}

#[test]
fn the_parts_of_a_backend_are_closed_to_everyone() {
    for principal in
        [PrincipalKind::Person, PrincipalKind::ApiKey, PrincipalKind::Federated, PrincipalKind::Run]
    {
        let admin = Caller { principal, ..caller(Role::Admin, "all", "", "") };
        for name in [
            "flyteidl2.workflow.InternalRunService/RecordAction",
            "flyteidl2.workflow.EventsProxyService/Record",
            "flyteidl2.cacheservice.v2.CacheService/Get",
            "flyteidl2.app.AppService/Lease",
        ] {
            let refusal = admit(&admin, &format!("/{name}")).unwrap_err();
            assert!(matches!(refusal, Refusal::Denied(Denied::Internal(_))), "{name}: {refusal}");
        }
    }
}

#[test]
fn a_run_works_on_its_own_actions() {
    for (name, expected) in [
        ("flyteidl2.actions.ActionsService/Enqueue", true),
        ("flyteidl2.actions.ActionsService/WatchForUpdates", true),
        ("flyteidl2.dataproxy.DataProxyService/CreateUploadLocation", true),
        ("flyteidl2.workflow.RunService/GetRunDetails", true),
        ("flyteidl2.workflow.RunService/CreateRun", false),
        ("flyteidl2.workflow.RunService/AbortRun", false),
        ("flyteidl2.task.TaskService/DeployTask", false),
        ("cloudidl.identity.AppsService/Create", false),
        ("cloudidl.identity.AppsService/Get", false),
        ("flyteauth.TrustService/CreateTrust", false),
    ] {
        assert_eq!(admit(&run(), &format!("/{name}")).is_ok(), expected, "{name}");
    }
    for principal in [PrincipalKind::Person, PrincipalKind::ApiKey, PrincipalKind::Federated] {
        // Not even an API key with the name of a run.
        let subject = "p/d/r".to_owned();
        let caller = Caller { subject, principal, ..caller(Role::Admin, "all", "", "") };
        for method in ["Enqueue", "Abort", "Signal", "Update"] {
            let refusal = admit(&caller, &format!("/flyteidl2.actions.ActionsService/{method}")).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Denied(Denied::NotRun(_))),
                "{principal:?} {method}: {refusal}"
            );
        }
        assert_eq!(admit(&caller, "/flyteidl2.actions.ActionsService/WatchForUpdates"), Ok(()));
    }
}

#[test]
fn administration_takes_administrators() {
    let path = |name: &str| format!("/flyteidl2.project.ProjectService/{name}");
    let (create, update) = (path("CreateProject"), path("UpdateProject"));
    for (role, project, domain, creates, updates) in [
        (Role::Admin, "", "", true, true),
        (Role::Admin, "p", "", false, true),
        (Role::Admin, "p", "d", false, false),
        (Role::Contributor, "", "", false, false),
    ] {
        let caller = caller(role, "all", project, domain);
        assert_eq!(admit(&caller, &create).is_ok(), creates, "{caller:?}");
        let request = br#"{"project": {"id": "p"}}"#;
        let updated = admit(&caller, &update)
            .and_then(|()| Door::published().pass(&caller, &update, Message::Json(request), &Bucket));
        assert_eq!(updated.is_ok(), updates, "{caller:?}");
    }
    let job = Caller { principal: PrincipalKind::Federated, ..caller(Role::Admin, "all", "", "") };
    assert_eq!(admit(&job, "/flyteauth.ApiKeyService/ListApiKeys"), denied(Denied::Keeper));
}
