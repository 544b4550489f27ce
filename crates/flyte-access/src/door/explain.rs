//! Which rule decides on a call, in words.

use std::{collections::HashSet, fmt};

use super::{
    Administrator, Caller, Callers, Door, Refusal, RequiredScope, Rpc, Storage, admit_administrator,
    admit_kind, admit_role, admit_scope, check_visible,
    meaning::Meaning,
    plan::{Content, NodeId},
};
use crate::policy::{self, Denied};
use flyte_model::PrincipalKind;

/// A rule that decides on calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The table of RPCs: what it does not list is refused.
    Table,
    /// The scope of the token.
    Scope,
    /// The kind of principal.
    Principal,
    /// The role of the principal.
    Role,
    /// Administration of the server, or of a project.
    Administrator,
    /// The project and domain that the caller's rights are limited to.
    Limit,
    /// The form of the request, and what it must name.
    Request,
    /// The rules for code of a project.
    Code,
}

impl Rule {
    /// Its name, for people and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "rpc",
            Self::Scope => "scope",
            Self::Principal => "principal",
            Self::Role => "role",
            Self::Administrator => "administrator",
            Self::Limit => "limit",
            Self::Request => "request",
            Self::Code => "code",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Denied {
    /// The rule that decided.
    #[must_use]
    pub fn rule(&self) -> Rule {
        match self {
            Self::Scope(_) => Rule::Scope,
            Self::Contributor(_) | Self::Beyond(_) => Rule::Role,
            Self::Run(_)
            | Self::NotRun(_)
            | Self::Internal(_)
            | Self::Person(_)
            | Self::Keeper
            | Self::Client(_)
            | Self::StepUp(_) => Rule::Principal,
            Self::Admin(_) => Rule::Administrator,
            Self::Code(_) => Rule::Code,
            Self::Limit(_) => Rule::Limit,
        }
    }
}

impl Refusal {
    /// The rule that decided.
    #[must_use]
    pub fn rule(&self) -> Rule {
        match self {
            Self::Denied(denied) => denied.rule(),
            Self::NotFound { .. } => Rule::Limit,
            Self::Invalid(_) | Self::Malformed(_) => Rule::Request,
            Self::Unknown(_) => Rule::Table,
        }
    }
}

/// What one rule says about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// Whether it allows the call.
    pub allows: bool,
    /// Why.
    pub reason: String,
}

/// The rules that decide on a call, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// `package.Service/Method`.
    pub rpc: &'static str,
    /// What each rule says. The first one that does not allow the call decides.
    pub steps: Vec<Step>,
}

impl Explanation {
    /// Whether all rules allow the call.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.refusal().is_none()
    }

    /// The rule that decides against the call.
    #[must_use]
    pub fn refusal(&self) -> Option<&Step> {
        self.steps.iter().find(|step| !step.allows)
    }

    fn add<E: fmt::Display>(&mut self, rule: Rule, decided: Result<String, E>) {
        let (allows, reason) = match decided {
            Ok(reason) => (true, reason),
            Err(error) => (false, error.to_string()),
        };
        self.steps.push(Step { rule, allows, reason });
    }
}

impl Door {
    /// Explains the decision on a call that names this project and domain. An empty one is not named.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn explain(
        &self,
        caller: &Caller,
        path: &str,
        project: &str,
        domain: &str,
        storage: &dyn Storage,
    ) -> Result<Explanation, Refusal> {
        let entry =
            self.entry(path).ok_or_else(|| Refusal::Unknown(path.trim_start_matches('/').to_owned()))?;
        let rpc = entry.rpc;
        let mut explanation = Explanation { rpc: rpc.name, steps: Vec::new() };
        if rpc.scope == RequiredScope::None {
            explanation.add::<Denied>(Rule::Scope, Ok(format!("{} needs no token", rpc.method())));
            return Ok(explanation);
        }
        let scopes = &caller.scopes;
        explanation.add(
            Rule::Scope,
            admit_scope(caller, rpc).map(|()| format!("the token has the scopes {scopes}")),
        );
        explanation.add(Rule::Principal, admit_kind(caller, rpc).map(|()| callers(caller, rpc)));
        let role = caller.role;
        explanation.add(Rule::Role, admit_role(caller, rpc).map(|()| format!("the caller's role is {role}")));
        if rpc.administrator != Administrator::No || rpc.callers == Callers::KeyKeepers {
            let decided = admit_administrator(caller, rpc).and_then(|()| match rpc.administrator {
                Administrator::OfProject(what) => policy::may_administer_whole_project(caller, what),
                _ => Ok(()),
            });
            let reason = format!("the caller may administer what {} is about", rpc.method());
            explanation.add(Rule::Administrator, decided.map(|()| reason));
        }
        let limit = &caller.limit;
        let reason = match (&limit.project, &limit.domain) {
            (None, _) => "the caller's rights are not limited to a project".to_owned(),
            (Some(project), None) => format!("the caller's rights are for project {project:?}"),
            (Some(project), Some(domain)) => {
                format!("the caller's rights are for project {project:?} and domain {domain:?}")
            }
        };
        explanation.add(Rule::Limit, check_visible(caller, project, domain).map(|()| reason));
        let rules = storage.rules().filter(|rules| !limit.is_none() || rules.bind_administrators());
        if let (Some(rules), Some(request)) = (rules, entry.request)
            && self.holds_code(request)
        {
            let project =
                if project.is_empty() { limit.project.as_deref().unwrap_or_default() } else { project };
            for (setting, allowed) in rules.describe(project) {
                explanation.add::<Denied>(Rule::Code, Ok(format!("{setting} allows {allowed}")));
            }
        }
        Ok(explanation)
    }

    /// Whether a request can have code in it that the rules of a project apply to.
    fn holds_code(&self, request: NodeId) -> bool {
        let (mut next, mut seen) = (vec![request], HashSet::new());
        while let Some(id) = next.pop() {
            if !seen.insert(id) {
                continue;
            }
            for field in &self.plan.node(id).fields {
                match field.content {
                    _ if field.is_whole => return true,
                    Content::Message(inner) => next.push(inner),
                    Content::Text(Meaning::Code(_)) => return true,
                    Content::Text(_) | Content::Other => {}
                }
            }
        }
        false
    }
}

/// Why the kind of principal may call this.
fn callers(caller: &Caller, rpc: &Rpc) -> String {
    let kind = match caller.principal {
        PrincipalKind::Person => "the caller is a person",
        PrincipalKind::ApiKey => "the caller is an API key",
        PrincipalKind::Federated => "the caller is a job with a trusted issuer's token",
        PrincipalKind::Run => "the caller is a run",
    };
    match rpc.callers {
        Callers::All => format!("{kind}, and {} is for all kinds of callers", rpc.method()),
        Callers::NotRuns => format!("{kind}, and {} is for all callers except runs", rpc.method()),
        Callers::NotEmbeddedRuns => {
            format!("{kind}, and {} is for all callers except runs of this server", rpc.method())
        }
        Callers::OnlyRuns => format!("{kind}, and {} is for runs", rpc.method()),
        Callers::KeyKeepers => {
            format!("{kind}, and {} is for people and administrators' API keys", rpc.method())
        }
        Callers::Internal => kind.to_owned(),
    }
}
