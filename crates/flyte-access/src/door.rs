//! The door: the one place that decides whether a call of an RPC may pass.
//!
//! [`Door::admit`] looks at the caller alone, before the request is read: the RPC's row in the [table](table::RPCS), the scope of
//! the token, the kind of principal, the role. [`Door::pass`] looks at the request: every organization, project and domain that
//! it names, at any depth, and every URI of an object in the store. What serves the call is not the door's concern: our own
//! services, or a backend.
//!
//! A caller who is limited to a project gets "not found" for everything outside of it, whether it exists or not. What a request
//! does *not* name is left to the service that answers: it filters listings that span projects by the caller's limit.

mod binary;
mod found;
mod json;
mod meaning;
mod plan;
mod rpc;
mod storage;
mod table;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use self::{
    found::{Identifier, Path, Visitor},
    plan::{Entry, Plan},
};
pub use self::{
    rpc::{Administrator, Callers, Reach, RequiredScope, Rpc},
    storage::{Location, Storage, locate_below},
    table::RPCS,
};
use super::{
    Caller,
    policy::{self, Denied},
};
use flyte_model::{PrincipalKind, Role, Scope};

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
        match rpc.scope {
            RequiredScope::None => return Ok(()),
            RequiredScope::Read if has(&Scope::ALL) || has(&Scope::READ) => {}
            RequiredScope::Read => return Err(Denied::Scope(Scope::READ).into()),
            RequiredScope::All if has(&Scope::ALL) => {}
            RequiredScope::All => return Err(Denied::Scope(Scope::ALL).into()),
        }
        self::admit_kind(caller, rpc)?;
        if rpc.scope == RequiredScope::All && caller.role < Role::Contributor {
            return Err(Denied::Contributor(rpc.method()).into());
        }
        match rpc.administrator {
            Administrator::No => {}
            Administrator::OfServer(what) => policy::may_administer(caller, what)?,
            Administrator::OfProject(what) => policy::may_administer_projects(caller, what)?,
        }
        if rpc.callers == Callers::KeyKeepers {
            policy::may_see_api_keys(caller)?;
        }
        Ok(())
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
        let mut judge = Judge {
            caller,
            rpc: entry.rpc,
            storage,
            own_run_only: entry.rpc.own_run && caller.principal == PrincipalKind::Run,
            names_project: false,
            names_run: false,
        };
        if let Some(node) = entry.request {
            match message {
                Message::Binary(bytes) => binary::read(&self.plan, node, bytes, &mut judge)?,
                Message::Json(bytes) => json::read(&self.plan, node, bytes, &mut judge)?,
            }
        }
        judge.end()
    }
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

/// Judges what one request names.
struct Judge<'j> {
    caller: &'j Caller,
    rpc: &'static Rpc,
    storage: &'j dyn Storage,
    own_run_only: bool,
    names_project: bool,
    names_run: bool,
}

impl Judge<'_> {
    /// Decides by all that was named.
    fn end(self) -> Result<(), Refusal> {
        let limit = &self.caller.limit;
        if self.own_run_only && !self.names_run {
            return Err(Refusal::Invalid("the request names no run: give the run that calls".to_owned()));
        }
        if self.rpc.reach == Reach::Project && !self.names_project && !limit.is_none() {
            return Err(Refusal::Invalid("the request names no project".to_owned()));
        }
        if let Administrator::OfProject(what) = self.rpc.administrator {
            policy::may_administer_whole_project(self.caller, what)?;
        }
        Ok(())
    }
}

impl Visitor for Judge<'_> {
    fn identifier(&mut self, identifier: &Identifier<'_>) -> Result<(), Refusal> {
        let Identifier { project, domain, run, is_relation, .. } = identifier;
        self.names_project |= !project.is_empty();
        if let Some(run) = run.as_deref().filter(|_| self.own_run_only && !is_relation) {
            if !is_own_run(&self.caller.subject, project, domain, run) {
                return Err(Denied::Run(self.rpc.method()).into());
            }
            self.names_run = true;
        }
        check_visible(self.caller, project, domain)
    }

    fn text(&mut self, text: &[u8], is_object: bool, path: &Path<'_>) -> Result<(), Refusal> {
        match self.storage.locate(text) {
            Location::Outside if !is_object || text.is_empty() => Ok(()),
            Location::Outside => Err(Refusal::Invalid(format!(
                "{path} is not among the objects of this server: {:?}",
                String::from_utf8_lossy(text)
            ))),
            // What a run hands on, it can read with its own rights to the store: other projects' code, for example.
            Location::Inside { .. } | Location::Unclear
                if !is_object && self.caller.principal == PrincipalKind::Run =>
            {
                Ok(())
            }
            Location::Inside { project, domain } => check_visible(self.caller, project, domain),
            Location::Unclear if is_object || !self.caller.limit.is_none() => Err(Refusal::Invalid(format!(
                "{path} does not say in which project and domain the object is: {:?}",
                String::from_utf8_lossy(text)
            ))),
            Location::Unclear => Ok(()),
        }
    }

    fn unknown_message(&mut self, path: &Path<'_>) -> Result<(), Refusal> {
        if self.caller.limit.is_none() {
            return Ok(());
        }
        Err(Refusal::Invalid(format!("{path} is of a type that is not known here")))
    }
}

/// Whether a run is the one that calls, whose subject is `project/domain/name`.
fn is_own_run(subject: &str, project: &str, domain: &str, run: &str) -> bool {
    let mut rest = subject;
    let mut strip = |part: &str| match rest.strip_prefix(part) {
        Some(tail) => {
            rest = tail;
            true
        }
        None => false,
    };
    strip(project) && strip("/") && strip(domain) && strip("/") && strip(run) && rest.is_empty()
}

/// Whether a project and its domain are there for the caller. Parts that are empty are not named.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn check_visible(caller: &Caller, project: &str, domain: &str) -> Result<(), Refusal> {
    let limit = &caller.limit;
    if limit.project.as_deref().is_some_and(|own| !project.is_empty() && own != project) {
        return Err(not_found(no_project(project), project, domain));
    }
    match limit.domain.as_deref() {
        Some(own) if !domain.is_empty() && own != domain => {
            let project =
                if project.is_empty() { limit.project.as_deref().unwrap_or_default() } else { project };
            Err(not_found(no_domain(project, domain, own), project, domain))
        }
        _ => Ok(()),
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
