//! The identities of principals in responses.

use std::collections::BTreeMap;

use buffa::MessageField;
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::common::{
    AppSpec, Application, ApplicationIdentifier, EnrichedIdentity, User, UserIdentifier, UserSpec,
};

use super::store_error;
use crate::ControlPlane;
use flyte_access::Caller;
use flyte_model::{Actor, PrincipalKind};

/// The caller as an actor in stored records.
pub(super) fn of(caller: &Caller) -> Actor {
    Actor { subject: caller.subject.clone(), kind: caller.principal }
}

/// Looks up principals. Each one is read once for a response.
pub(super) struct Actors<'a> {
    plane: &'a ControlPlane,
    known: BTreeMap<String, EnrichedIdentity>,
}

impl<'a> Actors<'a> {
    pub(super) fn new(plane: &'a ControlPlane) -> Self {
        Self { plane, known: BTreeMap::new() }
    }

    /// The principal with its name and e-mail address; only the subject if it no longer exists.
    pub(super) async fn identity(&mut self, actor: &Actor) -> Result<EnrichedIdentity, ConnectError> {
        // Principals of different kinds may have the same subject.
        let key = format!("{:?} {}", actor.kind, actor.subject);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let identity = look_up(self.plane, actor).await?;
        self.known.insert(key, identity.clone());
        Ok(identity)
    }
}

async fn look_up(plane: &ControlPlane, actor: &Actor) -> Result<EnrichedIdentity, ConnectError> {
    let subject = &actor.subject;
    match actor.kind {
        PrincipalKind::Person => {
            let user = plane.store.user_by_id(subject).await.map_err(store_error)?;
            let spec = user.map(|user| {
                let (first, last) = user.name.split_once(' ').unwrap_or((&user.name, ""));
                UserSpec {
                    first_name: first.to_owned(),
                    last_name: last.to_owned(),
                    organization: plane.config.org.clone(),
                    user_handle: user.email.clone(),
                    email: user.email,
                    ..UserSpec::default()
                }
            });
            let id = UserIdentifier { subject: subject.clone(), ..UserIdentifier::default() };
            let spec = spec.map_or_else(MessageField::none, MessageField::some);
            let user = User { id: MessageField::some(id), spec, ..User::default() };
            Ok(EnrichedIdentity { principal: Some(user.into()), ..EnrichedIdentity::default() })
        }
        PrincipalKind::ApiKey => {
            let key = plane.store.api_key_by_subject(subject).await.map_err(store_error)?;
            Ok(application(plane, subject, key.map_or_else(|| subject.clone(), |key| key.name)))
        }
        PrincipalKind::Federated => {
            // The subject has the form `rule:job`.
            let name = subject.split_once(':').map_or(subject.as_str(), |(_, job)| job);
            Ok(application(plane, subject, name.to_owned()))
        }
        PrincipalKind::Run => Ok(application(plane, subject, subject.clone())),
    }
}

fn application(plane: &ControlPlane, subject: &str, name: String) -> EnrichedIdentity {
    let id = ApplicationIdentifier { subject: subject.to_owned(), ..ApplicationIdentifier::default() };
    let spec = AppSpec { name, organization: plane.config.org.clone(), ..AppSpec::default() };
    let application =
        Application { id: MessageField::some(id), spec: MessageField::some(spec), ..Application::default() };
    EnrichedIdentity { principal: Some(application.into()), ..EnrichedIdentity::default() }
}
