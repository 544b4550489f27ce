//! Who makes, changes and ends API keys.
//!
//! A key outlives the access token that made it. So that a stolen token, or one of a program that was let do something else,
//! does not become a key for ever: only clients that may keep keys make and change them; and a key that could do the most
//! harm (an administrator's, or one that does not end within [`LONGEST_UNATTENDED`]) takes a person who has just signed in.

use super::{super::Caller, Denied};
use flyte_model::{
    PrincipalKind, Rights, Role,
    clock::{UnixTime, rfc3339},
};
use flyte_policy::{Permission, Permissions};

/// How long ago the sign-in may be that [`may_issue`] and [`recently_signed_in`] ask for, in seconds.
pub const RECENT_SIGN_IN: i64 = 900;
/// The longest life of a key, in seconds, that takes no recent sign-in, and that an API key can give to another one.
pub const LONGEST_UNATTENDED: i64 = 366 * 86_400;

/// A secret that a key is to get, and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Issuance<'a> {
    /// What the key may do.
    pub rights: &'a Rights,
    /// When it ends.
    pub end: Option<UnixTime>,
    /// When the API key ends that asks; `None` where it does not, or a person asks.
    pub own_end: Option<UnixTime>,
    /// Now.
    pub now: UnixTime,
}

/// Seeing API keys. Of machines, only administrators' API keys; never jobs, which end with what they run for.
///
/// # Errors
/// [`Denied::Keeper`].
pub fn may_see_api_keys(caller: &Caller) -> Result<(), Denied> {
    match caller.principal {
        PrincipalKind::Person => Ok(()),
        PrincipalKind::ApiKey if caller.grants.may_somewhere(Permission::ManagePermissions) => Ok(()),
        PrincipalKind::ApiKey | PrincipalKind::Federated | PrincipalKind::Run => Err(Denied::Keeper),
    }
}

/// Making, changing and ending API keys. `by_keeper` says whether the client that a person uses is ours, or is registered as
/// one that may keep keys.
///
/// # Errors
/// [`Denied::Keeper`] and [`Denied::Client`].
pub fn may_keep_api_keys(caller: &Caller, by_keeper: bool) -> Result<(), Denied> {
    may_see_api_keys(caller)?;
    if caller.principal.is_person() && !by_keeper {
        return Err(Denied::Client("making, changing and deleting API keys"));
    }
    Ok(())
}

/// Giving an API key a secret, or public keys. Whether the caller has the rights is [`may_grant`]'s question.
///
/// # Errors
/// [`Denied::StepUp`] for people, [`Denied::Beyond`] for API keys.
pub fn may_issue(caller: &Caller, issuance: &Issuance<'_>) -> Result<(), Denied> {
    let Issuance { rights, end, own_end, now } = *issuance;
    let lasts = end.is_none_or(|end| end.saturating_sub(now) > LONGEST_UNATTENDED);
    let administers = rights.role == Role::Admin;
    if caller.principal.is_person() {
        return match (administers, end) {
            (true, _) => recently_signed_in(caller, now, "an administrator's API key"),
            (false, None) => recently_signed_in(caller, now, "an API key without an end"),
            (false, Some(_)) if lasts => {
                recently_signed_in(caller, now, "an API key that lasts for more than a year")
            }
            (false, Some(_)) => Ok(()),
        };
    }
    // An API key cannot sign in again. The server cannot distinguish its holder from a thief.
    let refused = |what: String| Err(Denied::Beyond(what));
    match (own_end, end) {
        _ if administers => refused("only users create administrators' keys".to_owned()),
        (_, None) => refused("an API key cannot create one without an expiry".to_owned()),
        (Some(own), Some(end)) if end > own => refused(format!(
            "the caller is an API key that ends at {}, and the other one would end later",
            rfc3339(own)
        )),
        _ if lasts => {
            refused("the caller is an API key, and the other one would last for more than a year".to_owned())
        }
        _ => Ok(()),
    }
}

/// What takes a person who has signed in within [`RECENT_SIGN_IN`] (RFC 9470); `what` names it in the message. A refresh does
/// not count: `auth_time` stays that of the sign-in.
///
/// # Errors
/// [`Denied::StepUp`].
pub fn recently_signed_in(caller: &Caller, now: UnixTime, what: &'static str) -> Result<(), Denied> {
    let recent = caller.authenticated_at.is_some_and(|at| now.saturating_sub(at) <= RECENT_SIGN_IN);
    if recent { Ok(()) } else { Err(Denied::StepUp(what)) }
}

/// Whether the caller sees the API keys that others made, too.
#[must_use]
pub fn sees_all_api_keys(caller: &Caller) -> bool {
    super::may_administer(caller, Permission::AdministerServer, "seeing all API keys").is_ok()
}

/// Giving rights to an API key.
///
/// # Errors
/// [`Denied::Beyond`] where the caller does not have them.
pub fn may_grant(caller: &Caller, rights: &Rights) -> Result<(), Denied> {
    let wanted = Permissions::of_role(rights.role);
    if caller.grants.hold(wanted, &rights.limit) {
        return Ok(());
    }
    // The strongest role there, or in parts of it.
    let own = caller.grants.role_over(&rights.limit);
    let is_somewhere = Permission::ALL
        .into_iter()
        .filter(|permission| wanted.contains(*permission))
        .all(|permission| caller.grants.may_somewhere(permission));
    Err(Denied::Beyond(match own {
        Some(own) => format!("you are a {own}, so you cannot create a key with the role {}", rights.role),
        None if is_somewhere => "your access is limited to a project or domain".to_owned(),
        None => format!("you do not have the permissions of the role {} there", rights.role),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyte_model::{Limit, Scopes};
    use flyte_policy::Grants;

    const NOW: UnixTime = 1_800_000_000;

    #[test]
    fn jobs_keep_no_keys_whatever_their_role_nor_do_programs_of_others() {
        use PrincipalKind::{ApiKey, Federated, Person, Run};
        for (principal, role, by_keeper, sees, keeps) in [
            (Person, Role::Contributor, true, true, true),
            (Person, Role::Admin, true, true, true),
            (Person, Role::Admin, false, true, false),
            (ApiKey, Role::Admin, false, true, true),
            (ApiKey, Role::Contributor, true, false, false),
            (Federated, Role::Admin, true, false, false),
            (Run, Role::Admin, true, false, false),
        ] {
            let grants = Grants::of_role(role, &Limit::default());
            let caller = Caller { principal, grants, ..Caller::for_test() };
            assert_eq!(may_see_api_keys(&caller).is_ok(), sees, "{principal:?} {role}");
            assert_eq!(
                may_keep_api_keys(&caller, by_keeper).is_ok(),
                keeps,
                "{principal:?} {role} {by_keeper}"
            );
        }
    }

    #[test]
    fn what_could_do_the_most_harm_takes_a_recent_sign_in() {
        let day = 86_400;
        for (role, lifetime, age, expected) in [
            (Role::Contributor, Some(90 * day), Some(3600), true),
            (Role::Viewer, Some(LONGEST_UNATTENDED), None, true),
            (Role::Viewer, Some(LONGEST_UNATTENDED + 1), Some(RECENT_SIGN_IN + 1), false),
            (Role::Viewer, Some(LONGEST_UNATTENDED + 1), Some(RECENT_SIGN_IN), true),
            (Role::Viewer, None, Some(RECENT_SIGN_IN + 1), false),
            (Role::Viewer, None, None, false),
            (Role::Viewer, None, Some(0), true),
            (Role::Admin, Some(1), Some(RECENT_SIGN_IN + 1), false),
            (Role::Admin, Some(1), Some(RECENT_SIGN_IN), true),
        ] {
            let caller = Caller { authenticated_at: age.map(|age| NOW - age), ..Caller::for_test() };
            let rights = Rights { role, scopes: Scopes::new(), limit: Limit::default() };
            let end = lifetime.map(|lifetime| NOW + lifetime);
            let verdict = may_issue(&caller, &Issuance { rights: &rights, end, own_end: None, now: NOW });
            assert_eq!(verdict.is_ok(), expected, "{role} {lifetime:?} {age:?}");
            assert!(matches!(verdict, Ok(()) | Err(Denied::StepUp(_))), "{verdict:?}");
        }
    }

    #[test]
    fn a_key_gives_no_more_than_it_is_itself_and_never_for_ever() {
        for (role, lifetime, own, expected) in [
            (Role::Contributor, Some(100), None, true),
            (Role::Contributor, Some(100), Some(100), true),
            (Role::Contributor, Some(101), Some(100), false),
            (Role::Contributor, None, None, false),
            (Role::Contributor, Some(LONGEST_UNATTENDED + 1), None, false),
            (Role::Admin, Some(100), None, false),
        ] {
            let caller = Caller {
                principal: PrincipalKind::ApiKey,
                grants: Grants::of_role(Role::Admin, &Limit::default()),
                // A machine has none; were there one, it would say nothing.
                authenticated_at: Some(NOW),
                ..Caller::for_test()
            };
            let rights = Rights { role, scopes: Scopes::new(), limit: Limit::default() };
            let at = |seconds| NOW + seconds;
            let issuance =
                Issuance { rights: &rights, end: lifetime.map(at), own_end: own.map(at), now: NOW };
            let verdict = may_issue(&caller, &issuance);
            assert_eq!(verdict.is_ok(), expected, "{role} {lifetime:?} {own:?}");
            assert!(matches!(verdict, Ok(()) | Err(Denied::Beyond(_))), "{verdict:?}");
        }
    }
}
