//! The door: the one place that decides whether a call of an RPC may pass.
//!
//! [`Door::admit`] looks at the caller alone, before the request is read: the RPC's row in the [table](table::RPCS), the scope of
//! the token, the kind of principal, the permission. [`Door::pass`] looks at the request: every organization, project and domain that
//! it names, at any depth, and every URI of an object in the store. What serves the call is not the door's concern: our own
//! services, or a backend.
//!
//! A caller gets "not found" for a project or domain in which it has no permission, whether it exists or not. What a request does
//! *not* name is left to the service that answers: it filters listings that span projects by the grants of the caller.

mod backend;
mod binary;
mod buckets;
mod denial;
mod explain;
mod found;
mod json;
mod judge;
mod meaning;
mod plan;
mod pod;
mod rpc;
mod rules;
mod storage;
mod table;
mod tree;
mod words;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use self::{
    backend::Backend,
    buckets::{Buckets, NotPrefix},
    denial::ERROR_INFO,
    explain::{Explanation, Rule, Step},
    rpc::{Administrator, Callers, Reach, RequiredScope, Rpc},
    rules::{Forbidden, Rules},
    storage::{Location, Storage, locate_below},
    table::RPCS,
    words::UnknownWords,
};
use self::{
    judge::Judge,
    plan::{Entry, Plan},
};
use super::{
    Caller,
    policy::{self, Denied},
};
use flyte_model::{PrincipalKind, Scope};
use flyte_policy::{Grants, Permission};

/// The request messages of all RPCs, as `tests/peers/published-requests.py` prints them.
const REQUESTS: &str = include_str!("door/requests.txt");

/// The door for the published RPCs.
static DOOR: LazyLock<Door> = LazyLock::new(|| Door { plan: Plan::new(RPCS, REQUESTS) });

/// A request message in the form in which the caller sent it, decompressed.
#[derive(Clone, Copy, Debug)]
pub enum Message<'m> {
    /// The binary form of protobuf.
    Binary(&'m [u8]),
    /// Its JSON form.
    Json(&'m [u8]),
}

/// Why a call does not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller may not call this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The request names something that is not there for the caller.
    #[error("{message}")]
    NotFound {
        /// What to answer.
        message: String,
        /// The project, for the audit log.
        project: String,
        /// The domain, for the audit log.
        domain: String,
    },
    /// A field of the request cannot be as it is.
    #[error("{0}")]
    Invalid(String),
    /// The request cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// There is no such RPC.
    #[error("{0} is not an RPC of this server")]
    Unknown(String),
}

/// Decides which calls pass.
#[derive(Debug)]
pub struct Door {
    plan: Plan,
}

impl Door {
    /// The door for the published RPCs and our own.
    #[must_use]
    pub fn published() -> &'static Self {
        &DOOR
    }

    fn entry(&self, path: &str) -> Option<Entry> {
        // Half of a table is no table.
        if !self.plan.faults.is_empty() {
            return None;
        }
        self.plan.rpc(path.strip_prefix('/')?)
    }

    /// The row of the RPC at `/package.Service/Method`.
    #[must_use]
    pub fn rpc(&self, path: &str) -> Option<&'static Rpc> {
        self.entry(path).map(|entry| entry.rpc)
    }

    /// Decides by the caller alone. The caller of an RPC that needs no token need not be asked for.
    ///
    /// # Errors
    /// [`Refusal::Denied`] and [`Refusal::Unknown`].
    pub fn admit(&self, caller: &Caller, path: &str) -> Result<(), Refusal> {
        let has = |scope| caller.scopes.contains(scope);
        let Some(rpc) = self.rpc(path) else {
            if has(&Scope::ALL) || has(&Scope::READ) {
                return Err(Refusal::Unknown(path.trim_start_matches('/').to_owned()));
            }
            return Err(Denied::Scope(Scope::ALL).into());
        };
        if rpc.scope == RequiredScope::None {
            return Ok(());
        }
        admit_scope(caller, rpc)?;
        admit_kind(caller, rpc)?;
        admit_permission(caller, rpc)?;
        Ok(admit_administrator(caller, rpc)?)
    }

    /// Decides by what a request names. The caller was [admitted](Self::admit) before.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn pass(
        &self,
        caller: &Caller,
        path: &str,
        message: Message<'_>,
        storage: &dyn Storage,
    ) -> Result<(), Refusal> {
        let entry =
            self.entry(path).ok_or_else(|| Refusal::Unknown(path.trim_start_matches('/').to_owned()))?;
        let mut judge = Judge::new(caller, entry.rpc, storage);
        if let Some(node) = entry.request {
            match message {
                Message::Binary(bytes) => binary::read(&self.plan, node, bytes, &mut judge)?,
                Message::Json(bytes) => json::read(&self.plan, node, bytes, &mut judge)?,
            }
        }
        judge.end()
    }
}

/// Decides by the scope of the token.
fn admit_scope(caller: &Caller, rpc: &Rpc) -> Result<(), Denied> {
    let has = |scope| caller.scopes.contains(scope);
    match rpc.scope {
        RequiredScope::None => Ok(()),
        RequiredScope::Read if has(&Scope::ALL) || has(&Scope::READ) => Ok(()),
        RequiredScope::Read => Err(Denied::Scope(Scope::READ)),
        RequiredScope::All if has(&Scope::ALL) => Ok(()),
        RequiredScope::All => Err(Denied::Scope(Scope::ALL)),
    }
}

/// Decides by the permission: whether the caller has it somewhere. Where is decided by what the request names.
fn admit_permission(caller: &Caller, rpc: &Rpc) -> Result<(), Denied> {
    match rpc.permission {
        // Administration has its own refusals.
        Some(permission)
            if rpc.administrator == Administrator::No && !caller.grants.may_somewhere(permission) =>
        {
            Err(policy::lacks(caller, permission, rpc.method()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Decides by what the caller may administer.
fn admit_administrator(caller: &Caller, rpc: &Rpc) -> Result<(), Denied> {
    match (rpc.administrator, rpc.permission) {
        (Administrator::No, _) | (_, None) => {}
        (Administrator::OfServer(what), Some(permission)) => {
            policy::may_administer(caller, permission, what)?;
        }
        (Administrator::OfProject(what), Some(permission)) => {
            policy::may_administer_projects(caller, permission, what)?;
        }
    }
    if rpc.callers == Callers::KeyKeepers {
        policy::may_see_api_keys(caller)?;
    }
    Ok(())
}

/// Decides by the kind of principal.
fn admit_kind(caller: &Caller, rpc: &Rpc) -> Result<(), Denied> {
    let is_run = caller.principal == PrincipalKind::Run;
    match rpc.callers {
        Callers::Internal => Err(Denied::Internal(rpc.short_name())),
        Callers::OnlyRuns if !is_run => Err(Denied::NotRun(rpc.short_name())),
        Callers::NotRuns if is_run => Err(Denied::Run(rpc.method())),
        Callers::NotEmbeddedRuns if is_run && caller.workload_id().is_none() => {
            Err(Denied::Run(rpc.method()))
        }
        Callers::KeyKeepers if is_run && rpc.scope == RequiredScope::All => Err(Denied::Run(rpc.method())),
        Callers::All
        | Callers::NotRuns
        | Callers::NotEmbeddedRuns
        | Callers::OnlyRuns
        | Callers::KeyKeepers => Ok(()),
    }
}

/// Whether the caller has what an RPC needs in all projects and domains.
#[must_use]
pub fn is_unlimited(grants: &Grants, permission: Option<Permission>) -> bool {
    match permission {
        Some(permission) => grants.may_everywhere(permission),
        None => grants.see_everything(),
    }
}

/// Whether the caller has a permission in a project and its domain; with `None`, any permission. Parts that are empty are not named.
///
/// # Errors
/// [`Refusal::NotFound`] if the caller has no permission there, [`Refusal::Denied`] if it has another one.
fn check_named(caller: &Caller, rpc: &Rpc, project: &str, domain: &str) -> Result<(), Refusal> {
    let grants = &caller.grants;
    let of = |text| Some(text).filter(|text: &&str| !text.is_empty());
    let is_allowed = match (project, rpc.permission) {
        ("", _) if domain.is_empty() => true,
        ("", Some(permission)) => grants.may_in_domain(permission, domain),
        ("", None) => Permission::ALL.into_iter().any(|any| grants.may_in_domain(any, domain)),
        (_, Some(permission)) => grants.may(permission, project, of(domain)),
        (_, None) => grants.sees(project, of(domain)),
    };
    if is_allowed {
        return Ok(());
    }
    match rpc.permission {
        Some(permission) if !project.is_empty() && grants.sees(project, of(domain)) => {
            Err(policy::lacks_in(permission, rpc.method(), project, domain).into())
        }
        _ if !project.is_empty() && !grants.sees(project, None) => {
            Err(not_found(no_project(project), project, domain))
        }
        _ => {
            let own = grants.domains_of(project);
            let message = no_domain(project, domain, &own.join(", "));
            Err(not_found(message, project, domain))
        }
    }
}

fn not_found(message: String, project: &str, domain: &str) -> Refusal {
    Refusal::NotFound { message, project: project.to_owned(), domain: domain.to_owned() }
}

/// The message for a project that does not exist, or not for the caller.
#[must_use]
pub fn no_project(project: &str) -> String {
    format!("there is no project {project:?}: `flyte get project` lists those that there are")
}

/// The message for a domain that does not exist, or not for the caller, and the `others` that do.
#[must_use]
pub fn no_domain(project: &str, domain: &str, others: &str) -> String {
    format!("project {project:?} has no domain {domain:?}, only {others}")
}
