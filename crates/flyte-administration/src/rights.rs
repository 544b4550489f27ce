//! Reads and checks the rights of API keys and trust rules in requests.

use connectrpc::ConnectError;

use crate::Administration;
use flyte_access::{Caller, policy};
use flyte_model::{DOMAINS, Limit, Rights, Role, Scope, Scopes, UnknownRole};
use flyte_rpc::{invalid, store_error};

/// The scopes of API keys and trust rules. The other scopes, for example `openid`, describe a user.
const SCOPES: [Scope; 2] = [Scope::ALL, Scope::READ];

/// The longest project and the longest domain of a backend, in bytes: the length of a DNS label.
const MAX_NAME_BYTES: usize = 63;

/// Reads the role in a request; `None` if it is left out.
///
/// # Errors
/// `invalid_argument` that names `field`.
pub(super) fn role(field: &str, text: &str) -> Result<Option<Role>, ConnectError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: UnknownRole| invalid(field, &error.to_string()))
}

/// Reads the scopes in a request: without duplicates, sorted, and all scopes if there are none.
fn scopes(field: &str, texts: &[String]) -> Result<Scopes, ConnectError> {
    let mut scopes = Scopes::new();
    for text in texts {
        let Some(scope) = SCOPES.into_iter().find(|scope| scope == text.as_str()) else {
            let known = SCOPES.each_ref().map(Scope::as_str).join(", ");
            let what = format!("has {text:?}, which is not one of {known}");
            return Err(invalid(&format!("{field}.scopes"), &what));
        };
        scopes.insert(scope);
    }
    scopes.sort();
    Ok(if scopes.is_empty() { [Scope::ALL].into() } else { scopes })
}

/// The strongest built-in role that the caller has, in all of the only place where it has rights, or everywhere.
pub(super) fn strongest_role(caller: &Caller) -> Role {
    let place = caller.grants.only_limit().unwrap_or_default();
    caller.grants.role_over(&place).unwrap_or(Role::Viewer)
}

/// Rights that a request asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The field of the request that has them.
    pub(super) field: &'static str,
    pub(super) role: Role,
    /// As in the request. All scopes if it is empty.
    pub(super) scopes: Vec<String>,
    /// The caller's own project and domain if both are empty.
    pub(super) project: String,
    pub(super) domain: String,
}

impl Wanted {
    /// Checks that the rights are valid. Whether the caller may grant them is decided by [`policy::may_grant`].
    ///
    /// # Errors
    /// `invalid_argument` that names the field.
    pub(super) async fn check(self, state: &Administration, caller: &Caller) -> Result<Rights, ConnectError> {
        let Self { field, role, scopes, project, domain } = self;
        let scopes = self::scopes(field, &scopes)?;
        let non_empty = |text: String| Some(text).filter(|text| !text.is_empty());
        let limit = Limit { project: non_empty(project), domain: non_empty(domain) };
        if limit.domain.is_some() && limit.project.is_none() {
            let what = format!("needs {field}.project: a domain is one of a project");
            return Err(invalid(&format!("{field}.domain"), &what));
        }
        check_limit(state, caller, field, &limit).await?;
        // A caller with rights in one place gives rights there, unless it says otherwise.
        let limit = match limit.is_none() {
            true => caller.grants.only_limit().unwrap_or_default(),
            false => limit,
        };
        Ok(Rights { role, scopes, limit })
    }
}

/// Checks that the project and the domain of a limit exist, as far as this server can know.
///
/// # Errors
/// `invalid_argument` that names the field.
pub(super) async fn check_limit(
    state: &Administration,
    caller: &Caller,
    field: &str,
    limit: &Limit,
) -> Result<(), ConnectError> {
    match &state.config.upstream {
        None => own_limit(state, caller, field, limit).await,
        Some(_) => foreign_limit(field, limit),
    }
}

/// Checks that this server has the project and the domain.
async fn own_limit(
    state: &Administration,
    caller: &Caller,
    field: &str,
    limit: &Limit,
) -> Result<(), ConnectError> {
    if let Some(domain) = &limit.domain
        && !DOMAINS.iter().any(|(id, _)| id == domain)
    {
        let ids: Vec<_> = DOMAINS.iter().map(|(id, _)| *id).collect();
        return Err(invalid(&format!("{field}.domain"), &format!("is not one of {}", ids.join(", "))));
    }
    if let Some(project) = &limit.project {
        // The door checks only identifiers, and rights are not an identifier.
        let exists = policy::may_see(caller, project, limit.domain.as_deref())
            && state.store.project_by_id(project).await.map_err(store_error)?.is_some();
        if !exists {
            return Err(invalid(&format!("{field}.project"), "names no project"));
        }
    }
    Ok(())
}

/// Checks that a project and a domain of a backend can exist. Rights to a project that the backend does not have yet are rights to
/// nothing.
fn foreign_limit(field: &str, limit: &Limit) -> Result<(), ConnectError> {
    for (name, value) in [("project", &limit.project), ("domain", &limit.domain)] {
        let is_name = |value: &String| {
            value.len() <= MAX_NAME_BYTES
                && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !value.as_ref().is_none_or(is_name) {
            let what =
                format!("is not a name: letters, digits, hyphens, at most {MAX_NAME_BYTES} characters");
            return Err(invalid(&format!("{field}.{name}"), &what));
        }
    }
    Ok(())
}
