//! Principals by the names that people know them by, for questions about what they may do.

use super::{EffectiveRights, LookUpError, look_up, run};
use crate::{Access, Caller, Reason, workload::WorkloadId};
use flyte_model::{PrincipalKind, Scope, Scopes, clock::UnixTime};
use flyte_policy::Grants;
use flyte_settings::reserved;
use flyte_store::RunId;

/// A principal as it would call.
#[derive(Clone, Debug)]
pub struct NamedPrincipal {
    /// The caller that it would be, with all scopes that its tokens can have. It has no rights if it has `ended`.
    pub caller: Caller,
    /// Why it has no rights, if it has none: an account that is disabled, or a run that has ended, for example.
    pub ended: Option<&'static str>,
}

impl NamedPrincipal {
    fn new(caller: Caller, rights: Result<EffectiveRights, &'static str>) -> Self {
        match rights {
            Ok(rights) => Self { caller: rights.given_to(caller), ended: None },
            Err(why) => Self { caller, ended: Some(why) },
        }
    }
}

impl Access {
    /// Finds a principal by the e-mail address or the subject of a user, the `client_id` of an API key, `RULE:JOB` for a job of
    /// a trusted issuer, or `PROJECT/DOMAIN/NAME` for a run. Nothing is verified: the result must not become the caller of a
    /// call. A person counts as signed in now.
    ///
    /// # Errors
    /// [`Reason::Store`] and [`Reason::Unavailable`].
    pub async fn find_principal(&self, name: &str) -> Result<Option<NamedPrincipal>, Reason> {
        if let Some((rule, _)) = name.split_once(':') {
            let rule = self.store.trust_rule_by_name(rule).await.map_err(Reason::Store)?;
            let job = rule.map(|rule| Caller {
                principal: PrincipalKind::Federated,
                ..without_rights(name, rule.rights.scopes, rule.family_id)
            });
            return Ok(self.with_rights(job).await?);
        }
        if let [project, domain, run] = name.split('/').collect::<Vec<_>>()[..] {
            let (project, domain, name) = (project.to_owned(), domain.to_owned(), run.to_owned());
            return Ok(self.find_run(RunId { project, domain, name }).await?);
        }
        let user = match name.contains('@') {
            true => self.store.user_by_email(name).await,
            false => self.store.user_by_id(name).await,
        };
        if let Some(user) = user.map_err(Reason::Store)? {
            let person = Caller {
                client_id: self.config.public_client.client_id.clone(),
                authenticated_at: Some(self.clock.now()),
                ..without_rights(&user.id, [Scope::ALL].into(), String::new())
            };
            return Ok(self.with_rights(Some(person)).await?);
        }
        let key = self.store.api_key_by_subject(name).await.map_err(Reason::Store)?;
        let key = key.map(|key| Caller {
            principal: PrincipalKind::ApiKey,
            client_id: key.client_id,
            ..without_rights(name, key.rights.scopes, key.family_id)
        });
        Ok(self.with_rights(key).await?)
    }

    async fn with_rights(&self, caller: Option<Caller>) -> Result<Option<NamedPrincipal>, LookUpError> {
        let Some(caller) = caller else { return Ok(None) };
        let rights = look_up(self, &caller).await?;
        Ok(Some(NamedPrincipal::new(caller, rights)))
    }

    /// A run of the embedded control plane, or any pod of a backend's run.
    async fn find_run(&self, id: RunId) -> Result<Option<NamedPrincipal>, LookUpError> {
        let caller = |family_id| Caller {
            principal: PrincipalKind::Run,
            client_id: reserved::RUN,
            ..without_rights(&id.to_string(), [Scope::ALL].into(), family_id)
        };
        if let Some(known) = self.store.run_by_id(&id).await? {
            return self.with_rights(Some(caller(known.family_id))).await;
        }
        let Some(starter) = self.run_starter(&id).await? else { return Ok(None) };
        let pod = WorkloadId { namespace: "any".to_owned(), name: id.name.clone(), uid: "any".to_owned() };
        let rights =
            run::limited(self, &starter.creator, starter.started_at, &id.project, &id.domain).await?;
        Ok(Some(NamedPrincipal::new(caller(pod.family_id()), rights)))
    }
}

/// A person of this subject, without rights.
pub(super) fn without_rights(subject: &str, scopes: Scopes, family_id: String) -> Caller {
    Caller {
        subject: subject.to_owned(),
        client_id: reserved::RUN,
        scopes,
        family_id,
        token_id: String::new(),
        expires_at: UnixTime::MAX,
        principal: PrincipalKind::Person,
        authenticated_at: None,
        grants: Grants::none(),
        on_behalf_of: None,
    }
}
