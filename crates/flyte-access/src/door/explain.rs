//! Which rule decides on a call, in words.

use std::{collections::HashSet, fmt};

use super::{
    Administrator, Caller, Callers, Door, Reach, Refusal, RequiredScope, Rpc, Storage, admit_administrator,
    admit_kind, admit_permission, admit_scope,
    found::{Identifier, Visitor as _},
    is_unlimited,
    judge::Judge,
    meaning::Meaning,
    plan::{Content, Entry, Field, NodeId},
};
use crate::policy::Denied;
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
            Self::Contributor(_) | Self::Permission { .. } | Self::Beyond(_) | Self::HandOut { .. } => {
                Rule::Role
            }
            Self::Run(_)
            | Self::NotRun(_)
            | Self::Internal(_)
            | Self::Person(_)
            | Self::Keeper
            | Self::Client(_)
            | Self::StepUp(_)
            | Self::Ended(_) => Rule::Principal,
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

/// The decision on a call, and what each rule says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// `package.Service/Method`.
    pub rpc: &'static str,
    /// What each rule says, in the order in which they are applied.
    pub steps: Vec<Step>,
    /// The rule that decides against the call.
    decided_by: Option<Rule>,
}

impl Explanation {
    /// The refusal of all calls of a principal.
    #[must_use]
    pub fn of_refusal(rpc: &Rpc, refusal: &Refusal) -> Self {
        let mut explanation = Self { rpc: rpc.name, steps: Vec::new(), decided_by: None };
        explanation.refuse(refusal);
        explanation
    }

    /// Whether the call is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decided_by.is_none()
    }

    /// What the rule says that decides against the call.
    #[must_use]
    pub fn refusal(&self) -> Option<&Step> {
        let rule = self.decided_by?;
        self.steps.iter().find(|step| step.rule == rule && !step.allows)
    }

    /// Adds what a rule says. Each rule has one step: a refusal replaces what the same rule allows.
    fn add(&mut self, step: Step) {
        match self.steps.iter_mut().find(|known| known.rule == step.rule && step.rule != Rule::Code) {
            Some(known) if known.allows => *known = step,
            Some(_) => {}
            None => self.steps.push(step),
        }
    }

    fn allow(&mut self, rule: Rule, reason: String) {
        self.add(Step { rule, allows: true, reason });
    }

    fn say(&mut self, rule: Rule, decided: Result<String, Denied>) {
        match decided {
            Ok(reason) => self.allow(rule, reason),
            Err(denied) => self.refuse(&denied.into()),
        }
    }

    /// Adds a refusal of the call. The first one decides.
    pub fn refuse(&mut self, refusal: &Refusal) {
        let rule = refusal.rule();
        self.add(Step { rule, allows: false, reason: refusal.to_string() });
        self.decided_by.get_or_insert(rule);
    }
}

impl Door {
    /// Explains the decision on a call that names this project and domain. An empty one is not named. What the call also needs,
    /// for example that something exists, is not the door's to say.
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
        let mut explanation = Explanation { rpc: rpc.name, steps: Vec::new(), decided_by: None };
        if rpc.scope == RequiredScope::None {
            explanation.allow(Rule::Scope, format!("{} needs no token", rpc.method()));
            return Ok(explanation);
        }
        let (project, domain) =
            (self.named(entry, Meaning::Project, project), self.named(entry, Meaning::Domain, domain));
        // The decision is made as for a call. What each rule says follows.
        let decided = [self.admit(caller, path), judge(caller, rpc, project, domain, storage)];
        if let Some(refusal) = decided.iter().find_map(|decided| decided.as_ref().err()) {
            explanation.decided_by = Some(refusal.rule());
        }
        let scopes = &caller.scopes;
        explanation.say(
            Rule::Scope,
            admit_scope(caller, rpc).map(|()| format!("the token has the scopes {scopes}")),
        );
        explanation.say(Rule::Principal, admit_kind(caller, rpc).map(|()| callers(caller, rpc)));
        explanation.say(Rule::Role, admit_permission(caller, rpc).map(|()| role(caller, rpc)));
        if rpc.administrator != Administrator::No || rpc.callers == Callers::KeyKeepers {
            let reason = format!("the caller may administer what {} is about", rpc.method());
            explanation.say(Rule::Administrator, admit_administrator(caller, rpc).map(|()| reason));
        }
        explanation.allow(Rule::Limit, limit(caller, rpc, project));
        for refusal in decided.iter().filter_map(|decided| decided.as_ref().err()) {
            explanation.refuse(refusal);
        }
        let rules = storage
            .rules()
            .filter(|rules| !is_unlimited(&caller.grants, rpc.permission) || rules.bind_administrators());
        if let (Some(rules), Some(request)) = (rules, entry.request)
            && self.holds(request, |field| {
                field.is_whole || matches!(field.content, Content::Text(Meaning::Code(_)))
            })
        {
            let own = caller.grants.only_limit().and_then(|limit| limit.project).unwrap_or_default();
            for (setting, allowed) in rules.describe(if project.is_empty() { &own } else { project }) {
                explanation.allow(Rule::Code, format!("{setting} allows {allowed}"));
            }
        }
        Ok(explanation)
    }

    /// The name, if a request of this RPC can have one with this meaning; otherwise an empty text.
    fn named<'n>(&self, entry: Entry, meaning: Meaning, name: &'n str) -> &'n str {
        let is_named = |request| self.holds(request, |field| field.content == Content::Text(meaning));
        if entry.request.is_some_and(is_named) { name } else { "" }
    }

    /// Whether a message has a field for which this holds, at any depth.
    fn holds(&self, message: NodeId, is_such: impl Fn(&Field) -> bool) -> bool {
        let (mut next, mut seen) = (vec![message], HashSet::new());
        while let Some(id) = next.pop() {
            if !seen.insert(id) {
                continue;
            }
            for field in &self.plan.node(id).fields {
                match field.content {
                    _ if is_such(field) => return true,
                    Content::Message(inner) => next.push(inner),
                    Content::Text(_) | Content::Other => {}
                }
            }
        }
        false
    }
}

/// Decides as for a request that names this project and domain, and no other. A run names itself where it must.
fn judge(
    caller: &Caller,
    rpc: &'static Rpc,
    project: &str,
    domain: &str,
    storage: &dyn Storage,
) -> Result<(), Refusal> {
    let mut judge = Judge::new(caller, rpc, storage);
    let mut named = Identifier {
        project: project.into(),
        domain: domain.into(),
        is_subject: true,
        ..Identifier::default()
    };
    if rpc.own_run && caller.principal == PrincipalKind::Run {
        let mut own = caller.subject.splitn(3, '/');
        for part in [&mut named.project, &mut named.domain] {
            let own = own.next().unwrap_or_default();
            if part.is_empty() {
                *part = own.into();
            }
        }
        named.run = own.next().map(Into::into);
    }
    if !named.project.is_empty() || !named.domain.is_empty() {
        judge.identifier(&named)?;
    }
    judge.end()
}

/// Why the role of the caller allows a call: the built-in role that it has wherever it has rights, or else the permission.
fn role(caller: &Caller, rpc: &Rpc) -> String {
    let grants = &caller.grants;
    let role = grants.only_limit().and_then(|limit| grants.role_over(&limit));
    match (role, rpc.permission) {
        (Some(role), _) => format!("the caller's role is {role}"),
        (None, Some(permission)) => {
            format!("the caller has the permission {permission} {}", grants.describe(permission))
        }
        (None, None) => format!("{} needs no permission", rpc.method()),
    }
}

/// Why the limit of the caller's rights allows a call.
fn limit(caller: &Caller, rpc: &Rpc, project: &str) -> String {
    let grants = &caller.grants;
    if is_unlimited(grants, rpc.permission) {
        return "the caller's rights are not limited to a project".to_owned();
    }
    let only = grants.only_limit().unwrap_or_default();
    let rights = match (&only.project, &only.domain, rpc.permission) {
        (Some(project), None, _) => format!("the caller's rights are for project {project:?}"),
        (Some(project), Some(domain), _) => {
            format!("the caller's rights are for project {project:?} and domain {domain:?}")
        }
        (None, _, Some(permission)) => {
            format!("the caller has the permission {permission} {}", grants.describe(permission))
        }
        (None, _, None) => "the caller has no rights everywhere".to_owned(),
    };
    match rpc.reach {
        Reach::Projects if project.is_empty() => format!("{rights}, and the answer has nothing else"),
        Reach::Server if project.is_empty() => format!("{rights}, and {} names no project", rpc.method()),
        Reach::Project | Reach::Projects | Reach::Server => rights,
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
