//! What each caller may do.
//!
//! A caller has scopes, which its token was granted, and permissions in projects and domains, which its principal has now. Both must
//! allow a call. The [door](crate::door) asks these questions for each RPC, by its table.

mod api_keys;

pub use self::api_keys::{
    Issuance, LONGEST_UNATTENDED, RECENT_SIGN_IN, may_grant, may_issue, may_keep_api_keys, may_see_api_keys,
    recently_signed_in, sees_all_api_keys,
};

use super::{Caller, door::Forbidden};
use flyte_model::{Limit, Role, Scope, clock::UnixTime};
use flyte_policy::{Grants, Permission, Permissions};

/// A call that its caller may not make. The message says what is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token was not granted the scope that the call needs.
    #[error("this call needs a token with the scope {0:?}")]
    Scope(Scope),
    /// The caller may only read.
    #[error("{0} needs the role contributor, and the caller is a viewer")]
    Contributor(&'static str),
    /// The caller has no role with the permission that the call needs.
    #[error("{method} needs the permission {permission}{place}, and no role of the caller has it there")]
    Permission {
        /// The method.
        method: &'static str,
        /// The permission.
        permission: Permission,
        /// Where, as the end of a phrase; empty if the caller has it nowhere.
        place: String,
    },
    /// The caller would give away permissions that it does not have.
    #[error("you can give others only what you have: you do not have the permissions {missing} {place}")]
    HandOut {
        /// What the caller lacks.
        missing: Permissions,
        /// Where it lacks it.
        place: String,
    },
    /// The caller is a run, and this is not about its own actions.
    #[error("{0} is not for the identity of a run, which works on its own run's actions only")]
    Run(&'static str),
    /// The caller is not a run, and this is about a run's own actions.
    #[error("{0} is only for the run itself. Use RunService to start a run, and to abort and answer actions")]
    NotRun(&'static str),
    /// The parts of a backend call this among themselves.
    #[error("{0} is only called inside of a Flyte backend")]
    Internal(&'static str),
    /// The caller is no administrator.
    #[error("{0} needs an administrator of this server")]
    Admin(&'static str),
    /// The caller is a machine identity.
    #[error("{0} needs a person who administers this server")]
    Person(&'static str),
    /// The caller is a machine identity that does not administer.
    #[error("API keys are kept by people and by API keys of administrators, and the caller is neither")]
    Keeper,
    /// The user's client is not allowed to do this.
    #[error(
        "{0} is for the flyte command and for clients that may keep API keys; the server's administrator \
         registers one with --may-keep-api-keys"
    )]
    Client(&'static str),
    /// The sign-in is too long ago (RFC 9470).
    #[error(
        "{0} needs a sign-in of the last 15 minutes: run `flyte auth login --max-age 15m`, then try again within 15 minutes"
    )]
    StepUp(&'static str),
    /// The principal has no rights any more. Calls with its tokens are not authenticated, so this is an answer about others.
    #[error("{0}")]
    Ended(&'static str),
    /// The caller would give away more than it has.
    #[error("an API key cannot have more rights than its creator: {0}")]
    Beyond(String),
    /// The code in the request asks for what the rules of its project do not allow.
    #[error(transparent)]
    Code(Box<Forbidden>),
    /// The caller works in another project or domain.
    #[error("{0} is outside of the project or domain that the caller is limited to")]
    Limit(&'static str),
}

/// What only administrators of the whole server do; `what` names it in the message, such as `creating a project`.
///
/// # Errors
/// [`Denied::Admin`] and, for an administrator of one project, [`Denied::Limit`].
pub fn may_administer(caller: &Caller, permission: Permission, what: &'static str) -> Result<(), Denied> {
    if caller.grants.may_everywhere(permission) {
        return Ok(());
    }
    Err(if caller.grants.may_somewhere(permission) { Denied::Limit(what) } else { Denied::Admin(what) })
}

/// Checks that the caller administers at least one whole project or a part of it; `what` names the operation in the message.
///
/// # Errors
/// [`Denied::Admin`].
pub fn may_administer_projects(
    caller: &Caller,
    permission: Permission,
    what: &'static str,
) -> Result<(), Denied> {
    if caller.grants.may_somewhere(permission) { Ok(()) } else { Err(Denied::Admin(what)) }
}

/// Checks that a caller who administers a project is not limited to a domain of it; `what` names the operation in the message.
///
/// # Errors
/// [`Denied::Limit`].
pub fn may_administer_whole_project(
    caller: &Caller,
    permission: Permission,
    project: &str,
    what: &'static str,
) -> Result<(), Denied> {
    let limit = Limit { project: Some(project.to_owned()), domain: None };
    if caller.grants.hold(permission.into(), &limit) { Ok(()) } else { Err(Denied::Limit(what)) }
}

/// The refusal of a caller who has a permission nowhere.
pub(crate) fn lacks(caller: &Caller, permission: Permission, method: &'static str) -> Denied {
    let viewer = Permissions::of_role(Role::Viewer);
    let is_of_contributor = Permissions::of_role(Role::Contributor).contains(permission);
    let is_viewer =
        Permission::ALL.into_iter().all(|any| caller.grants.may_somewhere(any) == viewer.contains(any));
    match is_viewer && is_of_contributor {
        true => Denied::Contributor(method),
        false => Denied::Permission { method, permission, place: String::new() },
    }
}

/// The refusal of a caller who has other permissions in a project.
pub(crate) fn lacks_in(permission: Permission, method: &'static str, project: &str, domain: &str) -> Denied {
    let place = match domain {
        "" => format!(" in project {project:?}"),
        _ => format!(" in project {project:?} and domain {domain:?}"),
    };
    Denied::Permission { method, permission, place }
}

/// Giving others permissions in a part of the control plane: by a role, a policy, a group, or a change of one of them.
/// Whether the caller manages permissions at all is decided by [`may_manage_permissions`].
///
/// # Errors
/// [`Denied::HandOut`] if the caller does not have them there.
pub fn may_hand_out(caller: &Caller, permissions: Permissions, limit: &Limit) -> Result<(), Denied> {
    let own = caller.grants.permissions_over(limit);
    let missing = permissions.with_included().iter().filter(|permission| !own.contains(*permission));
    let missing: Permissions = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Denied::HandOut { missing, place: describe(limit) })
}

/// Giving others all that these grants are, for example by making them members of a group that has them.
///
/// # Errors
/// [`Denied::HandOut`] if the caller does not have all of it.
pub fn may_hand_out_all(caller: &Caller, grants: &Grants) -> Result<(), Denied> {
    if caller.grants.cover(grants) {
        return Ok(());
    }
    for permission in Permission::ALL {
        for limit in grants.limits(permission) {
            may_hand_out(caller, permission.into(), &limit)?;
        }
    }
    Ok(())
}

/// Changing groups, roles, policies and what they give in a part of the control plane; `what` names the operation in the message.
///
/// # Errors
/// [`Denied::Admin`] and [`Denied::Limit`].
pub fn may_manage_permissions(caller: &Caller, limit: &Limit, what: &'static str) -> Result<(), Denied> {
    let permission = Permission::ManagePermissions;
    if caller.grants.hold(permission.into(), limit) {
        return Ok(());
    }
    Err(if caller.grants.may_somewhere(permission) { Denied::Limit(what) } else { Denied::Admin(what) })
}

/// A part of the control plane in words, as the end of a phrase: "everywhere", "in project \"p\"".
#[must_use]
pub fn describe(limit: &Limit) -> String {
    match (&limit.project, &limit.domain) {
        (None, None) => "everywhere".to_owned(),
        (None, Some(domain)) => format!("in domain {domain:?} of all projects"),
        (Some(project), None) => format!("in project {project:?}"),
        (Some(project), Some(domain)) => format!("in project {project:?} and domain {domain:?}"),
    }
}

/// Letting other issuers' tokens in. By people only: a trust rule has no end, so that a key or a job which has one could live
/// on in it. For the same reason it takes what a key without an end does: a client that may keep keys (`by_keeper`), and a
/// recent sign-in. `what` names it in the message.
///
/// # Errors
/// Those of [`may_administer`], [`Denied::Person`], [`Denied::Client`] and [`Denied::StepUp`].
pub fn may_trust(caller: &Caller, by_keeper: bool, now: UnixTime, what: &'static str) -> Result<(), Denied> {
    may_administer(caller, Permission::ManageTrust, what)?;
    may_let_in(caller, by_keeper, now, what)
}

/// Letting others in by what outlives the caller's own sign-in: a trust rule, an account with a password, or a link to one. By
/// people only, who use this server's pages or a client that may keep such things (`by_keeper`), and have just signed in. `what`
/// names it in the message.
///
/// # Errors
/// [`Denied::Person`], [`Denied::Client`] and [`Denied::StepUp`].
pub fn may_let_in(caller: &Caller, by_keeper: bool, now: UnixTime, what: &'static str) -> Result<(), Denied> {
    if !caller.principal.is_person() {
        return Err(Denied::Person(what));
    }
    if !by_keeper {
        return Err(Denied::Client(what));
    }
    recently_signed_in(caller, now, what)
}

/// Letting a directory create, change and delete accounts and groups (SCIM). By people with a recent sign-in only, as for
/// [`may_trust`]: a directory decides who has an account.
///
/// # Errors
/// Those of [`may_administer`], [`Denied::Person`], [`Denied::Client`] and [`Denied::StepUp`].
pub fn may_provision(caller: &Caller, by_keeper: bool, now: UnixTime) -> Result<(), Denied> {
    let what = "creating a SCIM key";
    may_administer(caller, Permission::AdministerServer, what)?;
    may_administer(caller, Permission::ManagePermissions, what)?;
    may_trust(caller, by_keeper, now, what)
}

/// Whether what is in `project`, and in `domain` where it is in one, is there for the caller. Where it is not, say that it
/// does not exist.
#[must_use]
pub fn may_see(caller: &Caller, project: &str, domain: Option<&str>) -> bool {
    caller.grants.sees(project, domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyte_model::PrincipalKind;

    fn caller(role: Role, scope: &str, project: &str, domain: &str) -> Caller {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Caller {
            scopes: scope.parse().unwrap(),
            grants: Grants::of_role(role, &Limit { project: given(project), domain: given(domain) }),
            ..Caller::for_test()
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
    fn administrators_are_kept_to_their_part() {
        for (role, project, domain, server, own, other) in [
            (Role::Admin, "", "", true, true, true),
            (Role::Admin, "p", "", false, true, false),
            (Role::Admin, "p", "d", false, false, false),
            (Role::Contributor, "", "", false, false, false),
        ] {
            let caller = caller(role, "all", project, domain);
            let permission = Permission::AdministerProject;
            assert_eq!(may_administer(&caller, permission, "x").is_ok(), server, "{caller:?}");
            for (project, expected) in [("p", own), ("q", other)] {
                let verdict = may_administer_projects(&caller, permission, "x")
                    .and_then(|()| may_administer_whole_project(&caller, permission, project, "x"));
                assert_eq!(verdict.is_ok() && may_see(&caller, project, None), expected, "{caller:?}");
            }
        }
        assert!(may_see(&caller(Role::Viewer, "all", "p", "d"), "p", Some("d")));
        assert!(!may_see(&caller(Role::Viewer, "all", "p", "d"), "p", Some("e")));
    }
    #[test]
    fn no_one_hands_out_more_than_they_have_where_they_have_it() {
        use flyte_policy::Permission::{Deploy, ManagePermissions, Run};
        let of = |project: &str, domain: &str| {
            let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            Limit { project: given(project), domain: given(domain) }
        };
        let whole = |role: Role| Permissions::of_role(role);
        for (role, own, permissions, wanted, expected) in [
            (Role::Admin, of("", ""), whole(Role::Admin), of("", ""), true),
            (Role::Admin, of("", ""), whole(Role::Admin), of("p", "d"), true),
            (Role::Admin, of("p", ""), whole(Role::Admin), of("p", "d"), true),
            (Role::Admin, of("p", ""), whole(Role::Viewer), of("", ""), false),
            (Role::Admin, of("p", ""), whole(Role::Viewer), of("q", ""), false),
            (Role::Admin, of("p", "d"), whole(Role::Viewer), of("p", ""), false),
            (Role::Admin, of("", "d"), whole(Role::Viewer), of("p", "d"), true),
            (Role::Admin, of("p", ""), whole(Role::Viewer), of("", "d"), false),
            (Role::Contributor, of("", ""), whole(Role::Admin), of("", ""), false),
            (Role::Contributor, of("", ""), ManagePermissions.into(), of("p", ""), false),
            // What a permission includes counts as well.
            (Role::Contributor, of("", ""), Run.into(), of("", ""), true),
            (Role::Viewer, of("", ""), Deploy.into(), of("", ""), false),
            (Role::Viewer, of("", ""), Permissions::NONE, of("", ""), true),
        ] {
            let caller = Caller { grants: Grants::of_role(role, &own), ..Caller::for_test() };
            let verdict = may_hand_out(&caller, permissions, &wanted);
            assert_eq!(verdict.is_ok(), expected, "{role} {own:?} {permissions} {wanted:?}: {verdict:?}");
            let all = may_hand_out_all(&caller, &Grants::of(permissions, &wanted));
            assert_eq!(all.is_ok(), expected, "{role} {own:?} {permissions} {wanted:?}: {all:?}");
        }
        let viewer = Caller { grants: Grants::of_role(Role::Viewer, &of("p", "")), ..Caller::for_test() };
        let refused = may_hand_out(&viewer, Run.into(), &of("p", "d")).unwrap_err().to_string();
        assert_eq!(
            refused,
            "you can give others only what you have: you do not have the permissions run in project \"p\" and domain \"d\""
        );
    }
}
