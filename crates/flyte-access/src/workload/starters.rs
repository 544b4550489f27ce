//! Which principal started a run of a backend: what this server remembers, or else what the backend knows.

use std::fmt;

use async_trait::async_trait;

use super::Unavailable;
use crate::{Access, Caller};
use flyte_audit::{Detail, Event, Kind};
use flyte_model::{ClientId, ClientIdError, Limit, PrincipalKind, Role, clock::UnixMillis};
use flyte_store::{Creator, CreatorKind, RunId, RunStarter, StoreError};

/// Milliseconds in a second.
const MILLIS_PER_SECOND: i64 = 1000;

/// The prefix that flyte-gateway puts before the identifiers of some API keys.
const MARKED_API_KEY: &str = "api-key:";

/// What a backend knows of the start of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedBy {
    /// The subject that this server sent to the backend with the call.
    pub subject: String,
    /// The kind of principal that this server sent, if the backend keeps it.
    pub kind: Option<CreatorKind>,
    /// The time of the start.
    pub at: UnixMillis,
}

/// A backend that knows which principals started its runs.
#[async_trait]
pub trait RunStarters: fmt::Debug + Send + Sync + 'static {
    /// Asks the backend. `None` if it has no such run, or does not know.
    ///
    /// # Errors
    /// [`Unavailable`] if the backend does not answer.
    async fn started_by(&self, run: &RunId) -> Result<Option<StartedBy>, Unavailable>;
}

/// Neither the store nor the backend could be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StarterError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Backend(#[from] Unavailable),
}

impl Access {
    /// Records that a caller has started a run of a backend: the pods of the run act with the caller's rights. A run that a
    /// pod starts acts with the rights of the principal that started the pod's run. To be called after the backend has
    /// created the run and before the caller gets the answer.
    ///
    /// `free_at` is a time before the backend has said that there was no run of this name; `None` if it has not. A backend
    /// answers with a run that exists as if the caller had started it. So if that could be the case, nothing is remembered,
    /// and the backend is asked when the first pod of the run calls.
    ///
    /// # Errors
    /// [`StoreError`] if the starter was not stored. The audit log has the start all the same.
    pub async fn remember_run(
        &self,
        caller: &Caller,
        run: &RunId,
        free_at: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        let stored = self.store_starter(caller, run, free_at).await;
        let event = Event::new(Kind::RunCreated)
            .subject(&caller.subject)
            .client(&caller.client_id)
            .object(&run.to_string())
            .detail(Detail::Project, &run.project)
            .detail(Detail::Domain, &run.domain);
        self.audit.record(caller.add_starter(event)).await;
        stored
    }

    async fn store_starter(
        &self,
        caller: &Caller,
        run: &RunId,
        free_at: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        if let (Some(creator), Some(free_at)) = (caller.run_creator(&run.project, &run.domain), free_at) {
            let starter = RunStarter { run: run.clone(), creator, started_at: self.clock.now_millis() };
            if self.store.put_run_starter(&starter, free_at).await? {
                return Ok(());
            }
        }
        // What is stored can be that of an earlier run of this name, or of another caller at the same moment.
        self.store.delete_run_starter(run).await
    }

    /// Returns the principal that started a run of a backend, and when; `None` if it is unknown.
    pub(crate) async fn run_starter(&self, run: &RunId) -> Result<Option<RunStarter>, StarterError> {
        if let Some(known) = self.store.run_starter(run).await? {
            return Ok(Some(known));
        }
        let Some(platform) = self.platform.0.get() else { return Ok(None) };
        let Some(started) = platform.starters.started_by(run).await? else { return Ok(None) };
        let Some(creator) = self.principal_of(&started).await? else { return Ok(None) };
        let starter = RunStarter { run: run.clone(), creator, started_at: started.at };
        // What was recorded meanwhile knows the rights at the time of the start.
        self.store.put_run_starter(&starter, UnixMillis::MIN).await?;
        Ok(Some(starter))
    }

    /// Finds the principal with a subject that this server sent to the backend. A subject that could be a person's or an
    /// API key's is that of neither: the wrong choice could give a pod more rights than the starter has.
    async fn principal_of(&self, started: &StartedBy) -> Result<Option<Creator>, StoreError> {
        let StartedBy { subject, kind, at } = started;
        let wanted = |one| kind.is_none_or(|kind| kind == one);
        let person = match wanted(CreatorKind::Person) {
            true => self.store.user_by_id(subject).await?,
            false => None,
        };
        // The gateway marks keys whose identifiers have the form of a person's.
        let id = subject.strip_prefix(MARKED_API_KEY).unwrap_or(subject);
        let key = match id.parse::<ClientId>() {
            Ok(id) if wanted(CreatorKind::ApiKey) => self.store.api_key_by_id(&id).await?,
            Ok(_) | Err(ClientIdError::Empty | ClientIdError::Malformed) => None,
        };
        let rule = match subject.split_once(':') {
            Some((rule, _)) if wanted(CreatorKind::Federated) => self.store.trust_rule_by_name(rule).await?,
            _ => None,
        };
        // A key or a rule of the same name that was created after the run is another one.
        let is_older = |created_at: i64| created_at <= at / MILLIS_PER_SECOND;
        let key = key.filter(|key| is_older(key.created_at));
        let rule = rule.filter(|rule| is_older(rule.created_at));
        let creator = |kind, client_id: ClientId, family_id: String| Creator {
            subject: subject.clone(),
            kind,
            client_id,
            family_id,
            // The role at that time is unknown; runs are not administrators in any case.
            role: Role::Contributor,
            limit: Limit::default(),
        };
        let client = || self.config.public_client.client_id.clone();
        Ok(match (person, key, rule) {
            (Some(_), None, None) => Some(creator(CreatorKind::Person, client(), String::new())),
            (None, Some(key), None) => Some(creator(CreatorKind::ApiKey, key.client_id, key.family_id)),
            (None, None, Some(rule)) => Some(creator(CreatorKind::Federated, client(), rule.family_id)),
            _ => None,
        })
    }
}

impl Caller {
    /// Adds to an event the principal in whose name the calling run acts.
    #[must_use]
    pub fn add_starter(&self, event: Event) -> Event {
        match &self.on_behalf_of {
            Some(starter) => event.detail(Detail::OnBehalfOf, &starter.subject),
            None => event,
        }
    }

    /// The principal that a run acts for which this caller starts in a project and domain; `None` if it is not known for which one
    /// the calling run acts. The run may never do more than the caller may do there now.
    #[must_use]
    pub fn run_creator(&self, project: &str, domain: &str) -> Option<Creator> {
        let role = self.grants.role_that_includes(project, domain);
        let limit = Limit { project: Some(project.to_owned()), domain: Some(domain.to_owned()) };
        let kind = match self.principal {
            PrincipalKind::Person => CreatorKind::Person,
            PrincipalKind::ApiKey => CreatorKind::ApiKey,
            PrincipalKind::Federated => CreatorKind::Federated,
            PrincipalKind::Run => {
                let starter = self.on_behalf_of.clone()?;
                // What a run starts elsewhere has no rights there.
                let limit = self.grants.only_limit().unwrap_or(limit);
                return Some(Creator { role, limit, ..starter });
            }
        };
        Some(Creator {
            subject: self.subject.clone(),
            kind,
            client_id: self.client_id.clone(),
            family_id: self.family_id.clone(),
            role,
            limit,
        })
    }
}
