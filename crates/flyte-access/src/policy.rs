//! What each caller may do.
//!
//! A caller has scopes, which its token was granted; a role, which its principal has now; and perhaps a limit to one project
//! and one domain of it. All three must allow a call. The control plane's calls need the scope `all`, or `read` where they
//! only read, and a contributor where they do more than that; only administrators create and change projects.

mod api_keys;

pub use self::api_keys::{
    Issuance, LONGEST_UNATTENDED, RECENT_SIGN_IN, may_grant, may_issue, may_keep_api_keys, may_see_api_keys,
    recently_signed_in, sees_all_api_keys,
};

use super::Caller;
use flyte_model::PrincipalKind;
use flyte_model::{Role, clock::UnixTime, scope};

/// How the names of methods begin that change nothing. A method that reads and is called otherwise is only refused where it
/// could be allowed.
const READING: [&str; 6] = ["Get", "List", "Watch", "Tail", "Stream", "UserInfo"];

/// Methods that change nothing although their names begin otherwise.
const ALSO_READING: [&str; 2] = [
    "/flyteidl2.cluster.ClusterService/SelectCluster",
    "/flyteidl2.dataproxy.DataProxyService/CreateDownloadLink",
];
/// What only a run's own identity calls: it works on its own actions. What it enqueues runs with its rights and in the name
/// of whoever started the run, so nobody else does.
const ONLY_OF_RUNS: [&str; 4] = [
    "/flyteidl2.actions.ActionsService/Enqueue",
    "/flyteidl2.actions.ActionsService/Abort",
    "/flyteidl2.actions.ActionsService/Signal",
    "/flyteidl2.actions.ActionsService/Update",
];
/// What a run's own identity may call besides that and what only reads: it keeps its own data.
const OF_RUNS: [&str; 2] = [
    "/flyteidl2.dataproxy.DataProxyService/CreateUploadLocation",
    "/flyteidl2.dataproxy.DataProxyService/UploadInputs",
];

/// A call that its caller may not make. The message says what is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token was not granted the scope that the call needs.
    #[error("this call needs a token with the scope {0:?}")]
    Scope(&'static str),
    /// The caller may only read.
    #[error("{0} needs the role contributor, and the caller is a viewer")]
    Contributor(String),
    /// The caller is a run, and this is not about its own actions.
    #[error("{0} is not for the identity of a run, which works on its own run's actions only")]
    Run(String),
    /// The caller is not a run, and this is about a run's own actions.
    #[error(
        "ActionsService/{0} is only for the run itself. Use RunService to start a run, and to abort and answer actions"
    )]
    NotRun(String),
    /// The caller is no administrator.
    #[error("{0} needs an administrator of this server")]
    Admin(&'static str),
    /// The caller is a machine identity.
    #[error("{0} needs a person who administers this server")]
    Person(&'static str),
    /// The caller is a machine identity that does not administer.
    #[error("API keys are kept by people and by API keys of administrators, and the caller is neither")]
    Keeper,
    /// The client that the person uses was let do other things.
    #[error(
        "{0} is for the flyte command and for clients that may keep API keys; the server's administrator registers such a \
         client with --may-keep-api-keys"
    )]
    Client(&'static str),
    /// The sign-in is too long ago (RFC 9470).
    #[error(
        "{0} needs a sign-in of the last 15 minutes: run `flyte auth login --max-age 15m`, then try again within 15 minutes"
    )]
    StepUp(&'static str),
    /// The caller would give away more than it has.
    #[error("a key can do no more than whoever makes it: {0}")]
    Beyond(String),
    /// The caller works in another project or domain.
    #[error("{0} is outside of the project or domain that the caller is limited to")]
    Limit(&'static str),
}

/// Calls of the control plane, by their path `/package.Service/Method`.
///
/// # Errors
/// [`Denied::Scope`], [`Denied::Contributor`], [`Denied::Run`] and [`Denied::NotRun`].
pub fn may_call(caller: &Caller, path: &str) -> Result<(), Denied> {
    let has = |scope| scope::contains(&caller.scopes, scope);
    if only_reads(path) {
        return if has(scope::ALL) || has(scope::READ) { Ok(()) } else { Err(Denied::Scope(scope::READ)) };
    }
    if !has(scope::ALL) {
        return Err(Denied::Scope(scope::ALL));
    }
    let method = path.rsplit('/').next().unwrap_or(path);
    let only_of_runs = ONLY_OF_RUNS.contains(&path);
    match caller.principal {
        PrincipalKind::Run if !only_of_runs && !OF_RUNS.contains(&path) => {
            return Err(Denied::Run(method.to_owned()));
        }
        PrincipalKind::Person | PrincipalKind::ApiKey | PrincipalKind::Federated if only_of_runs => {
            return Err(Denied::NotRun(method.to_owned()));
        }
        _ => {}
    }
    may_write(caller, method)
}

/// Whether the method at `/package.Service/Method` changes nothing.
#[must_use]
pub fn only_reads(path: &str) -> bool {
    let method = path.rsplit('/').next().unwrap_or_default();
    ALSO_READING.contains(&path)
        || READING.iter().any(|verb| {
            // `GetRun` is a reading; `Getaway` is not.
            method.strip_prefix(verb).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()))
        })
}

/// What changes something; `what` names it in the message.
///
/// # Errors
/// [`Denied::Contributor`].
pub fn may_write(caller: &Caller, what: &str) -> Result<(), Denied> {
    if caller.role >= Role::Contributor { Ok(()) } else { Err(Denied::Contributor(what.to_owned())) }
}

/// Changing what is deployed: tasks, triggers and apps, which act later on in nobody's presence. `what` names it in the
/// message. Jobs of CI systems do; it is what they are for. Runs do not.
///
/// # Errors
/// [`Denied::Contributor`] and [`Denied::Run`].
pub fn may_deploy(caller: &Caller, what: &'static str) -> Result<(), Denied> {
    match caller.principal {
        PrincipalKind::Person | PrincipalKind::ApiKey | PrincipalKind::Federated => may_write(caller, what),
        PrincipalKind::Run => Err(Denied::Run(what.to_owned())),
    }
}

/// What only administrators of the whole server do; `what` names it in the message, such as `creating a project`.
///
/// # Errors
/// [`Denied::Admin`] and, for an administrator of one project, [`Denied::Limit`].
pub fn may_administer(caller: &Caller, what: &'static str) -> Result<(), Denied> {
    match caller.role {
        Role::Admin if caller.limit.is_none() => Ok(()),
        Role::Admin => Err(Denied::Limit(what)),
        Role::Viewer | Role::Contributor => Err(Denied::Admin(what)),
    }
}

/// What only administrators do to a project; who is limited to that project may be one too, who is limited to a domain of it
/// may not.
///
/// # Errors
/// [`Denied::Admin`] and [`Denied::Limit`].
pub fn may_administer_project(caller: &Caller, project: &str, what: &'static str) -> Result<(), Denied> {
    match caller.role {
        Role::Admin if caller.limit.domain.is_none() && may_see(caller, project, None) => Ok(()),
        Role::Admin => Err(Denied::Limit(what)),
        Role::Viewer | Role::Contributor => Err(Denied::Admin(what)),
    }
}

/// Letting other issuers' tokens in. By people only: a trust rule has no end, so that a key or a job which has one could live
/// on in it. For the same reason it takes what a key without an end does: a client that may keep keys (`by_keeper`), and a
/// recent sign-in. `what` names it in the message.
///
/// # Errors
/// Those of [`may_administer`], [`Denied::Person`], [`Denied::Client`] and [`Denied::StepUp`].
pub fn may_trust(caller: &Caller, by_keeper: bool, now: UnixTime, what: &'static str) -> Result<(), Denied> {
    may_administer(caller, what)?;
    if !caller.principal.is_person() {
        return Err(Denied::Person(what));
    }
    if !by_keeper {
        return Err(Denied::Client(what));
    }
    recently_signed_in(caller, now, what)
}

/// Changing actions of the run named `project/domain/name` as that run itself. `what` names it in the message.
///
/// # Errors
/// [`Denied::Run`] and [`Denied::NotRun`].
pub fn may_act_in(caller: &Caller, run: &str, what: &str) -> Result<(), Denied> {
    match caller.principal {
        PrincipalKind::Run if caller.subject == run => Ok(()),
        PrincipalKind::Run => Err(Denied::Run(what.to_owned())),
        PrincipalKind::Person | PrincipalKind::ApiKey | PrincipalKind::Federated => {
            Err(Denied::NotRun(what.to_owned()))
        }
    }
}

/// Whether what is in `project`, and in `domain` where it is in one, is there for the caller. Where it is not, say that it
/// does not exist.
#[must_use]
pub fn may_see(caller: &Caller, project: &str, domain: Option<&str>) -> bool {
    caller.limit.includes(project, domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyte_model::Limit;

    fn caller(role: Role, scope: &str, project: &str, domain: &str) -> Caller {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Caller {
            role,
            scopes: vec![scope.to_owned()],
            limit: Limit { project: given(project), domain: given(domain) },
            ..Caller::nobody()
        }
    }

    #[test]
    fn a_method_that_reads_is_told_by_its_name() {
        for (path, expected) in [
            ("/flyteidl2.project.ProjectService/ListProjects", true),
            ("/flyteidl2.project.ProjectService/CreateProject", false),
            ("/flyteidl2.auth.IdentityService/UserInfo", true),
            ("/flyteidl2.app.AppService/Get", true),
            ("/flyteidl2.app.AppService/List", true),
            ("/flyteidl2.workflow.RunService/WatchActionDetails", true),
            ("/flyteidl2.workflow.RunLogsService/TailLogs", true),
            ("/flyteidl2.workflow.RunService/AbortRun", false),
            ("/flyteidl2.dataproxy.DataProxyService/CreateUploadLocation", false),
            ("/flyteidl2.dataproxy.DataProxyService/CreateDownloadLink", true),
            ("/flyteidl2.cluster.ClusterService/SelectCluster", true),
            ("/a.B/SelectCluster", false),
            ("/a.B/Getaway", false),
            ("/a.GetB/Delete", false),
            ("/a.B/", false),
        ] {
            assert_eq!(only_reads(path), expected, "{path}");
        }
    }

    #[test]
    fn scope_and_role_must_both_allow_a_call() {
        let (read, write) = ("/a.B/GetC", "/a.B/CreateC");
        for (role, scope, path, expected) in [
            (Role::Viewer, "all", read, Ok(())),
            (Role::Viewer, "read", read, Ok(())),
            (Role::Admin, "openid", read, Err(Denied::Scope("read"))),
            (Role::Viewer, "all", write, Err(Denied::Contributor("CreateC".into()))),
            (Role::Admin, "read", write, Err(Denied::Scope("all"))),
            (Role::Contributor, "all", write, Ok(())),
        ] {
            assert_eq!(may_call(&caller(role, scope, "", ""), path), expected, "{role} {scope} {path}");
        }
    }

    #[test]
    fn whoever_may_write_deploys_but_runs_do_not() {
        use PrincipalKind::{ApiKey, Federated, Person, Run};
        for (principal, role, expected) in [
            (Person, Role::Contributor, Ok(())),
            (ApiKey, Role::Contributor, Ok(())),
            (Federated, Role::Contributor, Ok(())),
            (Run, Role::Contributor, Err(Denied::Run("x".into()))),
            (Person, Role::Viewer, Err(Denied::Contributor("x".into()))),
        ] {
            let caller = Caller { principal, ..caller(role, "all", "", "") };
            assert_eq!(may_deploy(&caller, "x"), expected, "{principal:?} {role}");
        }
    }

    #[test]
    fn only_people_who_have_just_signed_in_let_others_in() {
        use PrincipalKind::{ApiKey, Federated, Person};
        for (principal, role, project, by_keeper, now, expected) in [
            (Person, Role::Admin, "", true, 900, Ok(())),
            (Person, Role::Admin, "", true, 901, Err(Denied::StepUp("x"))),
            (Person, Role::Admin, "", false, 0, Err(Denied::Client("x"))),
            (Person, Role::Contributor, "", true, 0, Err(Denied::Admin("x"))),
            (Person, Role::Admin, "p", true, 0, Err(Denied::Limit("x"))),
            (ApiKey, Role::Admin, "", true, 0, Err(Denied::Person("x"))),
            (Federated, Role::Admin, "", true, 0, Err(Denied::Person("x"))),
        ] {
            let caller = Caller { principal, authenticated_at: Some(0), ..caller(role, "all", project, "") };
            assert_eq!(
                may_trust(&caller, by_keeper, now, "x"),
                expected,
                "{principal:?} {role} {project} {by_keeper} {now}"
            );
        }
    }

    #[test]
    fn a_run_works_on_its_own_actions() {
        let run = Caller {
            principal: PrincipalKind::Run,
            subject: "p/d/r".to_owned(),
            ..caller(Role::Contributor, "all", "p", "d")
        };
        for (path, expected) in [
            ("/flyteidl2.actions.ActionsService/Enqueue", true),
            ("/flyteidl2.actions.ActionsService/WatchForUpdates", true),
            ("/flyteidl2.dataproxy.DataProxyService/CreateUploadLocation", true),
            ("/flyteidl2.workflow.RunService/GetRunDetails", true),
            ("/flyteidl2.workflow.RunService/CreateRun", false),
            ("/flyteidl2.workflow.RunService/AbortRun", false),
            ("/flyteidl2.task.TaskService/DeployTask", false),
            ("/cloudidl.identity.AppsService/Create", false),
            ("/flyteauth.TrustService/CreateTrust", false),
        ] {
            assert_eq!(may_call(&run, path).is_ok(), expected, "{path}");
        }
        assert_eq!(may_act_in(&run, "p/d/r", "x"), Ok(()));
        assert_eq!(may_act_in(&run, "p/d/s", "x"), Err(Denied::Run("x".into())));
        assert!(may_trust(&Caller { role: Role::Admin, ..run }, true, 0, "x").is_err());
    }

    #[test]
    fn nobody_else_works_on_the_actions_of_a_run() {
        use PrincipalKind::{ApiKey, Federated, Person};
        for principal in [Person, ApiKey, Federated] {
            // Not even an API key whose name is that of a run.
            let subject = "p/d/r".to_owned();
            let caller = Caller { principal, subject, ..caller(Role::Admin, "all", "", "") };
            for method in ["Enqueue", "Abort", "Signal", "Update"] {
                let denied = Err(Denied::NotRun(method.to_owned()));
                let path = format!("/flyteidl2.actions.ActionsService/{method}");
                assert_eq!(may_call(&caller, &path), denied, "{principal:?}");
                assert_eq!(may_act_in(&caller, "p/d/r", method), denied, "{principal:?}");
            }
            assert_eq!(may_call(&caller, "/flyteidl2.actions.ActionsService/WatchForUpdates"), Ok(()));
        }
    }

    #[test]
    fn administrators_are_kept_to_their_part() {
        for (role, project, domain, server, own, other) in [
            (Role::Admin, "", "", true, true, true),
            (Role::Admin, "p", "", false, true, false),
            (Role::Admin, "p", "d", false, false, false),
            (Role::Contributor, "", "", false, false, false),
        ] {
            let caller = caller(role, "all", project, domain);
            assert_eq!(may_administer(&caller, "x").is_ok(), server, "{caller:?}");
            assert_eq!(may_administer_project(&caller, "p", "x").is_ok(), own, "{caller:?}");
            assert_eq!(may_administer_project(&caller, "q", "x").is_ok(), other, "{caller:?}");
        }
        assert!(may_see(&caller(Role::Viewer, "all", "p", "d"), "p", Some("d")));
        assert!(!may_see(&caller(Role::Viewer, "all", "p", "d"), "p", Some("e")));
    }
}
