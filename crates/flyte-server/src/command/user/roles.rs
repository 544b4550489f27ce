//! `flyte-server user grant`, `revoke` and `roles`.

use super::{UserError, find};
use crate::cli::{NewUser, RoleOfUser};
use flyte_audit::{Detail, Event, Kind};
use flyte_model::{DOMAINS, Limit, Role, clock::Clock};
use flyte_policy::{Binding, Subject, builtin};
use flyte_settings::Config;
use flyte_store::{GroupStore as _, PolicyStore as _, ProjectStore as _, RoleIn, RoleStore as _, StoreError};
use flyte_store_sqlite::SqliteStore;

/// The name for no role.
const NONE: &str = "none";

/// Gives an account a role.
pub(super) async fn grant(
    config: &Config,
    store: &SqliteStore,
    wanted: &RoleOfUser,
) -> Result<String, UserError> {
    check(config, store, &wanted.role, &wanted.limit).await?;
    let user = find(store, &wanted.email).await?;
    let binding = binding(&user.id, wanted);
    let place = place(&wanted.limit);
    if !store.bind_role(&binding, Clock::default().now()).await? {
        return Ok(format!("{} already has the role {} {place}.\n", user.email, wanted.role));
    }
    super::super::record(store, event(Kind::RoleGranted, &user.email, &wanted.role, &wanted.limit)).await?;
    Ok(format!("{} now has the role {} {place}.\n", user.email, wanted.role))
}

/// Takes a role from an account.
pub(super) async fn revoke(store: &SqliteStore, wanted: &RoleOfUser) -> Result<String, UserError> {
    let user = find(store, &wanted.email).await?;
    let place = place(&wanted.limit);
    let removed = match store.unbind_role(&binding(&user.id, wanted)).await {
        Err(StoreError::LastAdministrator) => return Err(UserError::LastAdministrator(user.email)),
        other => other?,
    };
    if !removed {
        return Err(UserError::NoSuchRole(user.email, wanted.role.clone(), place));
    }
    super::super::record(store, event(Kind::RoleRevoked, &user.email, &wanted.role, &wanted.limit)).await?;
    Ok(format!("{} no longer has the role {} {place}.\n", user.email, wanted.role))
}

/// Lists the roles of an account: its own, and those of its groups and policies.
pub(super) async fn list(store: &SqliteStore, email: &str) -> Result<String, UserError> {
    let user = find(store, email).await?;
    let subject = Subject::user(&user.id);
    let mut sources = vec![(subject.clone(), "the account".to_owned())];
    for policy in store.policies_of(&subject).await? {
        sources.push((Subject::policy(&policy.name), format!("policy {}", policy.name)));
    }
    for group in store.groups_of_user(&user.id).await? {
        let subject = Subject::group(&group.id);
        for policy in store.policies_of(&subject).await? {
            let from = format!("policy {} of group {}", policy.name, group.name);
            sources.push((Subject::policy(&policy.name), from));
        }
        sources.push((subject, format!("group {}", group.name)));
    }
    let mut rows = Vec::new();
    for (subject, from) in sources {
        for Binding { role, limit, .. } in store.bindings_of(&subject).await? {
            let text = |part: Option<String>| part.unwrap_or_else(|| "all".to_owned());
            rows.push([role, text(limit.project), text(limit.domain), from.clone()]);
        }
    }
    if rows.is_empty() {
        return Ok(format!("{} has no roles.\n", user.email));
    }
    let width = flyte_table::terminal_width();
    Ok(flyte_table::table(["ROLE", "PROJECT", "DOMAIN", "FROM"], &["FROM"], rows, width))
}

/// What an account has, in one line: its own roles and where, its policies and its groups.
pub(super) async fn summary(store: &SqliteStore, id: &str) -> Result<String, UserError> {
    let subject = Subject::user(id);
    let mut parts: Vec<_> = store.bindings_of(&subject).await?.iter().map(short).collect();
    for policy in store.policies_of(&subject).await? {
        parts.push(format!("policy {}", policy.name));
    }
    for group in store.groups_of_user(id).await? {
        parts.push(format!("group {}", group.name));
    }
    Ok(if parts.is_empty() { NONE.to_owned() } else { parts.join(", ") })
}

/// A role with its place, as `flyte get user` writes it: `ROLE`, `ROLE@PROJECT`, `ROLE@PROJECT/DOMAIN` or `ROLE@/DOMAIN`.
fn short(binding: &Binding) -> String {
    let Limit { project, domain } = &binding.limit;
    let project = project.as_deref().unwrap_or_default();
    match domain {
        Some(domain) => format!("{}@{project}/{domain}", binding.role),
        None if project.is_empty() => binding.role.clone(),
        None => format!("{}@{project}", binding.role),
    }
}

/// The roles of a new account.
pub(super) async fn of_new(
    config: &Config,
    store: &SqliteStore,
    new: &NewUser,
) -> Result<Vec<RoleIn>, UserError> {
    let default = || config.access.default_role.clone();
    let role = match (&new.role, new.admin) {
        (_, true) => Role::Admin.to_string(),
        (Some(role), false) => role.clone(),
        // A place without a role would be ignored otherwise.
        (None, false) => default(),
    };
    if role == NONE {
        return match new.limit.is_none() {
            true => Ok(Vec::new()),
            false => Err(UserError::PlaceWithoutRole),
        };
    }
    check(config, store, &role, &new.limit).await?;
    Ok(vec![RoleIn { role, limit: new.limit.clone() }])
}

/// Where a role applies, at the end of a sentence.
pub(super) fn place(limit: &Limit) -> String {
    match (&limit.project, &limit.domain) {
        (None, None) => "everywhere".to_owned(),
        (None, Some(domain)) => format!("in domain {domain} of all projects"),
        (Some(project), None) => format!("in project {project}"),
        (Some(project), Some(domain)) => format!("in project {project} and domain {domain}"),
    }
}

/// Checks that a role exists, and its project and domain. The projects of a backend are not known here.
async fn check(config: &Config, store: &SqliteStore, role: &str, limit: &Limit) -> Result<(), UserError> {
    if builtin(role).is_none() && store.role_by_name(role).await?.is_none() {
        return Err(UserError::NoRole(role.to_owned()));
    }
    if config.upstream.is_some() {
        return Ok(());
    }
    if let Some(project) = &limit.project
        && store.project_by_id(project).await?.is_none()
    {
        return Err(UserError::NoProject(project.clone()));
    }
    match &limit.domain {
        Some(domain) if !DOMAINS.iter().any(|(id, _)| id == domain) => {
            Err(UserError::NoDomain(domain.clone()))
        }
        _ => Ok(()),
    }
}

fn binding(user_id: &str, wanted: &RoleOfUser) -> Binding {
    Binding { subject: Subject::user(user_id), role: wanted.role.clone(), limit: wanted.limit.clone() }
}

pub(super) fn event(kind: Kind, email: &str, role: &str, limit: &Limit) -> Event {
    let mut event = Event::new(kind).object(email).detail(Detail::Role, role);
    for (detail, value) in [(Detail::Project, &limit.project), (Detail::Domain, &limit.domain)] {
        if let Some(value) = value {
            event = event.detail(detail, value);
        }
    }
    event
}
