//! Converts apps to messages.

use buffa::{EnumValue, MessageField};
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::app::{
    App as Message, Condition, Identifier, Ingress, Meta, Spec, Status,
    status::{DeploymentStatus, Substate},
};

use super::super::{actor::Actors, task::decode, timestamp};
use crate::ControlPlane;
use flyte_store::{self, AppCondition, AppField, AppRecord, AppStatus, Test};

/// Converts records to messages.
pub(super) struct Messages<'a> {
    plane: &'a ControlPlane,
    actors: Actors<'a>,
}

impl<'a> Messages<'a> {
    pub(super) fn new(plane: &'a ControlPlane) -> Self {
        Self { plane, actors: Actors::new(plane) }
    }

    pub(super) async fn message(&mut self, record: &AppRecord) -> Result<Message, ConnectError> {
        let mut metadata = decode::<Meta>(&record.metadata)?;
        metadata.id = MessageField::some(Identifier {
            org: self.plane.config.org.clone(),
            project: record.id.project.clone(),
            domain: record.id.domain.clone(),
            name: record.id.name.clone(),
            ..Identifier::default()
        });
        metadata.revision = record.revision;
        let mut spec = decode::<Spec>(&record.spec)?;
        spec.creator = MessageField::some(self.actors.identity(&record.created_by).await?);
        // The published client compares specifications only if `ingress` is set.
        if !spec.ingress.is_set() {
            spec.ingress = MessageField::some(Default::default());
        }
        let mut conditions = Vec::with_capacity(record.conditions.len());
        for condition in &record.conditions {
            conditions.push(self.condition(condition).await?);
        }
        let active = record.status() == AppStatus::Active;
        let url = self.plane.apps.url(record);
        let status = Status {
            current_replicas: u32::from(active),
            ingress: url.map_or_else(MessageField::none, |public_url| {
                MessageField::some(Ingress { public_url, ..Ingress::default() })
            }),
            created_at: timestamp::at(record.created_at),
            last_updated_at: timestamp::at(record.updated_at),
            last_started_at: record.started_at.map_or_else(MessageField::none, timestamp::at),
            conditions,
            ..Status::default()
        };
        Ok(Message {
            metadata: MessageField::some(metadata),
            spec: MessageField::some(spec),
            status: MessageField::some(status),
            ..Message::default()
        })
    }

    async fn condition(&mut self, condition: &AppCondition) -> Result<Condition, ConnectError> {
        let actor = match &condition.actor {
            Some(actor) => MessageField::some(self.actors.identity(actor).await?),
            None => MessageField::none(),
        };
        let (status, substate) = match condition.status {
            AppStatus::Pending => {
                (DeploymentStatus::DEPLOYMENT_STATUS_PENDING, Substate::SUBSTATE_UNSPECIFIED)
            }
            AppStatus::Deploying => (DeploymentStatus::DEPLOYMENT_STATUS_DEPLOYING, Substate::INITIALIZING),
            AppStatus::Active => (DeploymentStatus::DEPLOYMENT_STATUS_ACTIVE, Substate::RUNNING),
            AppStatus::Failed => (DeploymentStatus::DEPLOYMENT_STATUS_FAILED, Substate::CRASH_LOOP),
            AppStatus::Stopped => {
                (DeploymentStatus::DEPLOYMENT_STATUS_STOPPED, Substate::SUBSTATE_UNSPECIFIED)
            }
        };
        Ok(Condition {
            last_transition_time: timestamp::at(condition.at),
            deployment_status: EnumValue::from(status),
            substate: EnumValue::from(substate),
            message: condition.message.clone(),
            revision: condition.revision,
            actor,
            ..Condition::default()
        })
    }
}

/// Converts the status names of the protocol, which the published client filters by, to the names in the store.
pub(super) fn convert_status_names(conditions: &mut [flyte_store::Condition<AppField>]) {
    let ours = |name: &mut String| {
        *name = name.strip_prefix("DEPLOYMENT_STATUS_").unwrap_or(name).to_ascii_lowercase();
    };
    for condition in conditions.iter_mut().filter(|condition| condition.field == AppField::Status) {
        match &mut condition.test {
            Test::OneOf(names) => names.iter_mut().for_each(ours),
            Test::Contains(name) | Test::ContainsIgnoringCase(name) | Test::EndsWith(name) => ours(name),
            Test::AtLeast(_) | Test::MoreThan(_) => {}
        }
    }
}
