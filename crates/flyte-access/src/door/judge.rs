//! Judges what one request names.

use std::fmt;

use super::{
    Administrator, Caller, Location, Reach, Refusal, RequiredScope, Rpc, Rules, Storage, check_named,
    found::{Identifier, Path, Visitor},
    is_unlimited,
    meaning::{Code, Meaning},
    pod,
    rules::{Ask, Forbidden},
    storage::{is_name, is_relative},
    tree::Tree,
};
use crate::policy::{self, Denied};
use flyte_model::PrincipalKind;

/// Judges what one request names.
pub(super) struct Judge<'j> {
    caller: &'j Caller,
    rpc: &'static Rpc,
    storage: &'j dyn Storage,
    /// Whether the caller has what the RPC needs everywhere, so that it does not matter what the request names.
    is_unlimited: bool,
    /// The project and domain that were allowed last: requests name the same ones again and again.
    allowed: Option<(String, String)>,
    own_run_only: bool,
    names_project: bool,
    names_run: bool,
    /// The projects that the request names, and what its code asks for that is not allowed in all of them. A request says only at
    /// its end in which project the code will be, unless the caller has rights in one project alone.
    projects: Vec<String>,
    asked: Vec<Asked>,
}

/// Something that code asks for.
struct Asked {
    ask: Ask,
    value: String,
    field: String,
}

impl<'j> Judge<'j> {
    pub(super) fn new(caller: &'j Caller, rpc: &'static Rpc, storage: &'j dyn Storage) -> Self {
        Self {
            caller,
            rpc,
            storage,
            is_unlimited: is_unlimited(&caller.grants, rpc.permission),
            allowed: None,
            own_run_only: rpc.own_run && caller.principal == PrincipalKind::Run,
            names_project: false,
            names_run: false,
            projects: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// The rules for code, if they apply to the caller.
    fn rules(&self) -> Option<&'j Rules> {
        self.storage.rules().filter(|rules| !self.is_unlimited || rules.bind_administrators())
    }

    /// The only project in which the caller has what the RPC needs.
    fn only_project(&self) -> Option<String> {
        let limits = self.rpc.permission.map(|permission| self.caller.grants.limits(permission));
        match limits.as_deref() {
            Some([limit]) => limit.project.clone(),
            _ => None,
        }
    }

    fn check(&mut self, project: &str, domain: &str) -> Result<(), Refusal> {
        if self.is_unlimited {
            return Ok(());
        }
        if self.allowed.as_ref().is_some_and(|(known, in_domain)| known == project && in_domain == domain) {
            return Ok(());
        }
        check_named(self.caller, self.rpc, project, domain)?;
        self.allowed = Some((project.to_owned(), domain.to_owned()));
        Ok(())
    }

    /// Decides on something that code asks for, if it is known in which project that is.
    fn ask(&mut self, ask: Ask, value: &str, field: &dyn fmt::Display) -> Result<(), Refusal> {
        let Some(rules) = self.rules() else { return Ok(()) };
        if rules.allow_everywhere(ask, value) {
            return Ok(());
        }
        match self.only_project() {
            Some(project) => rules.judge(&project, ask, value, field).map_err(forbidden),
            None => {
                self.asked.push(Asked { ask, value: value.to_owned(), field: field.to_string() });
                Ok(())
            }
        }
    }

    /// Decides on a text in which code asks for something.
    fn code(&mut self, code: Code, text: &[u8], path: &Path<'_>) -> Result<(), Refusal> {
        if self.rules().is_none() {
            return Ok(());
        }
        let Ok(text) = std::str::from_utf8(text) else {
            return Err(Refusal::Malformed(format!("{path} is not valid UTF-8")));
        };
        let is_plain = !text.contains('/') && is_name(text);
        match code {
            Code::ServiceAccount => self.ask(Ask::ServiceAccount, text, path),
            Code::PodTemplate => self.ask(Ask::PodTemplate, text, path),
            Code::Image => self.ask(Ask::Image, text, path),
            Code::TaskType => self.ask(Ask::TaskType, text, path),
            // Some stores of secrets make paths of these.
            Code::SecretGroup | Code::SecretKey | Code::SecretVersion if !is_plain => {
                self.ask(Ask::Never, &format!("the secret {text:?}, which is not a plain name"), path)
            }
            Code::SecretGroup => self.ask(Ask::Secret, text, path),
            Code::SecretKey => match scoped_secret(text) {
                Some((project, domain)) => self.check(project, domain),
                None => Ok(()),
            },
            Code::SecretVersion | Code::Annotation => Ok(()),
        }
    }

    /// Decides by all that was named.
    pub(super) fn end(self) -> Result<(), Refusal> {
        // A backend finds a run's actions by its name alone, whatever the project is.
        if self.rpc.own_run && !self.own_run_only && self.storage.has_others() {
            return Err(Denied::NotRun(self.rpc.short_name()).into());
        }
        if self.own_run_only && !self.names_run {
            return Err(Refusal::Invalid("the request names no run: give the run that calls".to_owned()));
        }
        if self.rpc.reach == Reach::Project && !self.names_project && !self.is_unlimited {
            return Err(names_no_project());
        }
        let Some(rules) = self.rules() else { return Ok(()) };
        let unnamed = [String::new()];
        let projects = if self.projects.is_empty() { &unnamed[..] } else { &self.projects };
        for Asked { ask, value, field } in &self.asked {
            projects
                .iter()
                .try_for_each(|project| rules.judge(project, *ask, value, field))
                .map_err(forbidden)?;
        }
        Ok(())
    }
}

impl Visitor for Judge<'_> {
    fn identifier(&mut self, identifier: &Identifier<'_>) -> Result<(), Refusal> {
        let Identifier { organization, project, domain, run, is_relation, is_subject } = identifier;
        self.names_project |= !project.is_empty();
        if let Some(run) = run.as_deref().filter(|_| self.own_run_only && !is_relation) {
            if !is_own_run(&self.caller.subject, project, domain, run) {
                return Err(Denied::Run(self.rpc.method()).into());
            }
            self.names_run = true;
        }
        if self.storage.rules().is_some() && !project.is_empty() {
            self.projects.push(project.to_string());
        }
        if self.is_unlimited {
            return Ok(());
        }
        self.check(project, domain)?;
        if let (Administrator::OfProject(what), Some(permission)) =
            (self.rpc.administrator, self.rpc.permission)
            && !project.is_empty()
        {
            policy::may_administer_whole_project(self.caller, permission, project, what)?;
        }
        // A backend may take it for all projects, although another field names one.
        if *is_subject && project.is_empty() && self.rpc.reach == Reach::Project && !self.own_run_only {
            return Err(names_no_project());
        }
        // Backends make paths from names.
        let names = [organization, project, domain, run.as_ref().unwrap_or(project)];
        match names.into_iter().find(|name| !name.is_empty() && (name.contains('/') || !is_name(name))) {
            Some(name) => {
                Err(Refusal::Invalid(format!("the request has a name that cannot be one: {name:?}")))
            }
            None => Ok(()),
        }
    }

    fn text(&mut self, text: &[u8], meaning: Meaning, path: &Path<'_>) -> Result<(), Refusal> {
        if text.is_empty() {
            return Ok(());
        }
        if let Meaning::Code(code) = meaning {
            self.code(code, text, path)?;
        }
        let quoted = || String::from_utf8_lossy(text);
        // A backend calls an action's object `RUN-ACTION`, without the project: `x-y-a0` could be of the run `x` or of `x-y`.
        if meaning == Meaning::Action
            && self.storage.has_others()
            && self.rpc.scope == RequiredScope::All
            && !text.iter().all(u8::is_ascii_alphanumeric)
        {
            return Err(Refusal::Invalid(format!(
                "{path} has other characters than letters and digits: {:?}",
                quoted()
            )));
        }
        let is_object = matches!(meaning, Meaning::Object | Meaning::Base);
        let is_limited = !self.is_unlimited;
        let must_be_inside = is_object && (is_limited || !self.storage.has_others());
        match self.storage.locate(text) {
            Location::Outside if must_be_inside => Err(Refusal::Invalid(format!(
                "{path} is not among the objects of this server: {:?}",
                quoted()
            ))),
            Location::Outside if meaning == Meaning::RelativePath => {
                match std::str::from_utf8(text).is_ok_and(is_relative) {
                    true => Ok(()),
                    false => Err(Refusal::Invalid(format!(
                        "{path} leads out of the directory that it is relative to: {:?}",
                        quoted()
                    ))),
                }
            }
            Location::Outside => Ok(()),
            Location::Root if meaning == Meaning::Base => Ok(()),
            // What a run hands on, it can read with its own rights to the store: other projects' code, for example.
            Location::Inside { .. } | Location::Root | Location::Unclear
                if !is_object && self.caller.principal == PrincipalKind::Run =>
            {
                Ok(())
            }
            Location::Inside { project, domain } => self.check(project, domain),
            Location::Root | Location::Unclear if must_be_inside || is_limited => Err(Refusal::Invalid(
                format!("{path} does not say in which project and domain the object is: {:?}", quoted()),
            )),
            Location::Root | Location::Unclear => Ok(()),
        }
    }

    fn annotation(&mut self, key: &[u8], value: &[u8], path: &Path<'_>) -> Result<(), Refusal> {
        if self.rules().is_none() {
            return Ok(());
        }
        let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
        let mut asked =
            |ask: Ask, value: &str, key: &str| self.ask(ask, value, &format_args!("{path} ({key})"));
        pod::annotation(&key, &value, &mut asked)
    }

    fn whole(&mut self, tree: &Tree<'_>, path: &Path<'_>) -> Result<(), Refusal> {
        if self.rules().is_none() {
            return Ok(());
        }
        let mut asked =
            |ask: Ask, value: &str, member: &str| self.ask(ask, value, &format_args!("{path} ({member})"));
        pod::search(tree, &mut asked)
    }

    fn unknown_message(&mut self, path: &Path<'_>) -> Result<(), Refusal> {
        if self.is_unlimited {
            return Ok(());
        }
        Err(Refusal::Invalid(format!("{path} is of a type that is not known here")))
    }
}

fn forbidden(forbidden: Forbidden) -> Refusal {
    Denied::Code(Box::new(forbidden)).into()
}

/// The project and domain of a secret in the form in which backends store it:
/// `u__org__ORGANIZATION__domain__DOMAIN__project__PROJECT__key__KEY`. Parts that are empty belong to all.
fn scoped_secret(key: &str) -> Option<(&str, &str)> {
    let (_, rest) = key.strip_prefix("u__org__")?.split_once("__domain__")?;
    let (domain, rest) = rest.split_once("__project__")?;
    Some((rest.split_once("__key__")?.0, domain))
}

fn names_no_project() -> Refusal {
    Refusal::Invalid("the request names no project".to_owned())
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
