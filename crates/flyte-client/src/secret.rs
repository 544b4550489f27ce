//! Secrets that the server keeps for tasks. Their values are written and never read.

use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::secret as wire;
use flyte_idl::flyteidl2::secret::secret_spec::Value;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::Serialize;

use crate::error::ClientError;
use crate::listing::unix_time;
use crate::pager::{Page, Pager, Source};
use crate::transport::Transport;

/// The owner of a secret: the organization if both are empty, otherwise a domain, or a domain of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// The project's identifier; empty for all projects.
    pub project: String,
    /// The domain's identifier; empty for all domains.
    pub domain: String,
}

/// The kind of a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A value that tasks read.
    #[default]
    Regular,
    /// Credentials of an image registry, as `.dockerconfigjson`.
    ImagePull,
    /// A kind that this client does not know.
    Unknown,
}

impl Kind {
    /// The kind's name in commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::ImagePull => "image_pull",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether the clusters have a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// The server does not say.
    #[default]
    Unknown,
    /// No cluster has it.
    Missing,
    /// Some clusters have it.
    Partial,
    /// All clusters have it.
    Present,
}

impl Presence {
    /// One word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Missing => "missing",
            Self::Partial => "partial",
            Self::Present => "present",
        }
    }
}

/// Whether one cluster has a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClusterPresence {
    /// The cluster's name.
    pub cluster: String,
    /// Whether it has the secret.
    pub status: Presence,
}

/// A secret, without its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// The secret's name.
    pub name: String,
    /// Its owner.
    #[serde(flatten)]
    pub scope: Scope,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The creation time, Unix time in seconds.
    pub created_at: Option<i64>,
    /// Whether the clusters have it.
    pub status: Presence,
    /// Whether each cluster has it.
    pub clusters: Vec<ClusterPresence>,
}

/// Calls of `flyteidl2.secret.SecretService`.
#[derive(Clone)]
pub struct Secrets<T> {
    service: wire::SecretServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Secrets<T> {
    pub(crate) fn new(
        service: wire::SecretServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { service, endpoint, org }
    }

    /// Creates a secret.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] if the scope has a secret with this name.
    pub async fn create(
        &self,
        scope: &Scope,
        name: &str,
        kind: Kind,
        value: &SecretSlice<u8>,
    ) -> Result<(), ClientError> {
        let kind = match kind {
            Kind::ImagePull => wire::SecretType::SECRET_TYPE_IMAGE_PULL_SECRET,
            Kind::Regular | Kind::Unknown => wire::SecretType::SECRET_TYPE_GENERIC,
        };
        let spec = wire::SecretSpec {
            // Any value fits into bytes. The published command sends bytes too.
            value: Some(Value::BinaryValue(value.expose_secret().to_vec())),
            r#type: kind.into(),
            ..Default::default()
        };
        let request = wire::CreateSecretRequest {
            id: self.identifier(scope, name).into(),
            secret_spec: spec.into(),
            ..Default::default()
        };
        self.service.create_secret(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    /// Returns one secret, without its value.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it does not exist.
    pub async fn get(&self, scope: &Scope, name: &str) -> Result<Secret, ClientError> {
        let request =
            wire::GetSecretRequest { id: self.identifier(scope, name).into(), ..Default::default() };
        let answer = self.service.get_secret(request).await.map_err(|error| self.error(error))?;
        answer.into_owned().secret.into_option().map(Secret::from).ok_or_else(|| ClientError::Server {
            code: "internal",
            message: format!("the server's answer does not contain the secret {name}"),
        })
    }

    /// Lists the secrets of a scope. Pages are fetched as needed.
    pub fn list(&self, scope: Scope, limit: Option<u32>) -> Pager<Listing<T>> {
        Pager::new(Listing { secrets: self.clone(), scope }, limit)
    }

    /// Deletes a secret.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it does not exist.
    pub async fn delete(&self, scope: &Scope, name: &str) -> Result<(), ClientError> {
        let request =
            wire::DeleteSecretRequest { id: self.identifier(scope, name).into(), ..Default::default() };
        self.service.delete_secret(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    fn identifier(&self, scope: &Scope, name: &str) -> wire::SecretIdentifier {
        wire::SecretIdentifier {
            name: name.to_owned(),
            organization: self.org.clone().unwrap_or_default(),
            domain: scope.domain.clone(),
            project: scope.project.clone(),
            ..Default::default()
        }
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The source of a listing of secrets.
pub struct Listing<T> {
    secrets: Secrets<T>,
    scope: Scope,
}

impl<T: Transport> Source for Listing<T> {
    type Item = Secret;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Secret>, ClientError> {
        let request = wire::ListSecretsRequest {
            organization: self.secrets.org.clone().unwrap_or_default(),
            domain: self.scope.domain.clone(),
            project: self.scope.project.clone(),
            limit: i32::try_from(limit).unwrap_or(i32::MAX),
            token: token.to_owned(),
            ..Default::default()
        };
        let answer = self.secrets.service.list_secrets(request).await;
        let answer = answer.map_err(|error| self.secrets.error(error))?.into_owned();
        Ok(Page { items: answer.secrets.into_iter().map(Secret::from).collect(), next: answer.token })
    }
}

impl From<wire::Secret> for Secret {
    fn from(message: wire::Secret) -> Self {
        let id = message.id.into_option().unwrap_or_default();
        let metadata = message.secret_metadata.into_option().unwrap_or_default();
        let status = metadata.secret_status.into_option().unwrap_or_default();
        let clusters = status.cluster_status.into_iter().map(|status| ClusterPresence {
            cluster: status.cluster.into_option().unwrap_or_default().name,
            status: match status.presence_status.as_known() {
                Some(wire::SecretPresenceStatus::PRESENT) => Presence::Present,
                Some(wire::SecretPresenceStatus::MISSING) => Presence::Missing,
                _ => Presence::Unknown,
            },
        });
        Self {
            name: id.name,
            scope: Scope { project: id.project, domain: id.domain },
            kind: match metadata.r#type.as_known() {
                Some(wire::SecretType::SECRET_TYPE_GENERIC) => Kind::Regular,
                Some(wire::SecretType::SECRET_TYPE_IMAGE_PULL_SECRET) => Kind::ImagePull,
                None => Kind::Unknown,
            },
            created_at: unix_time(metadata.created_time),
            status: match status.overall_status.as_known() {
                Some(wire::OverallStatus::FULLY_PRESENT) => Presence::Present,
                Some(wire::OverallStatus::PARTIALLY_PRESENT) => Presence::Partial,
                _ => Presence::Unknown,
            },
            clusters: clusters.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Server};

    #[tokio::test]
    async fn secrets_are_written_listed_and_deleted() {
        let secret = serde_json::from_value::<wire::Secret>(serde_json::json!({
            "id": {"name": "token", "project": "flytesnacks", "domain": "development"},
            "secretMetadata": {
                "createdTime": "2026-11-24T22:00:00Z", "type": "SECRET_TYPE_IMAGE_PULL_SECRET",
                "secretStatus": {"overallStatus": "PARTIALLY_PRESENT", "clusterStatus": [
                    {"cluster": {"name": "c1"}, "presenceStatus": "PRESENT"},
                    {"cluster": {"name": "c2"}, "presenceStatus": "MISSING"}]},
            },
        }));
        let secret = secret.unwrap();
        let server = Server::default()
            .on("flyteidl2.secret.SecretService/CreateSecret", |request: wire::CreateSecretRequest| {
                let (id, spec) =
                    (request.id.into_option().unwrap(), request.secret_spec.into_option().unwrap());
                assert_eq!((id.name.as_str(), id.organization.as_str()), ("token", "acme"));
                assert_eq!(spec.value, Some(Value::BinaryValue(vec![0xff, b'v'])));
                assert_eq!(spec.r#type.as_known(), Some(wire::SecretType::SECRET_TYPE_IMAGE_PULL_SECRET));
                Ok(Answer::one(&wire::CreateSecretResponse::default()))
            })
            .on("flyteidl2.secret.SecretService/ListSecrets", move |request: wire::ListSecretsRequest| {
                assert_eq!((request.domain.as_str(), request.limit), ("development", 100));
                // Two pages, the first of which is empty.
                let (secrets, token) = match request.token.as_str() {
                    "" => (Vec::new(), "next".to_owned()),
                    _ => (vec![secret.clone()], String::new()),
                };
                Ok(Answer::one(&wire::ListSecretsResponse { secrets, token, ..Default::default() }))
            })
            .on("flyteidl2.secret.SecretService/DeleteSecret", |request: wire::DeleteSecretRequest| {
                assert_eq!(request.id.name, "token");
                Ok(Answer::one(&wire::DeleteSecretResponse::default()))
            });
        let (secrets, scope) = (server.client().secrets(), Scope::default());
        let value = SecretSlice::from(vec![0xff, b'v']);
        secrets.create(&scope, "token", Kind::ImagePull, &value).await.unwrap();
        let scope = Scope { project: "flytesnacks".into(), domain: "development".into() };
        let found = secrets.list(scope.clone(), None).collect().await.unwrap();
        let presence = |cluster: &str, status| ClusterPresence { cluster: cluster.into(), status };
        let expected = Secret {
            name: "token".into(),
            scope: scope.clone(),
            kind: Kind::ImagePull,
            created_at: Some(1_795_557_600),
            status: Presence::Partial,
            clusters: vec![presence("c1", Presence::Present), presence("c2", Presence::Missing)],
        };
        assert_eq!(found, [expected]);
        secrets.delete(&scope, "token").await.unwrap();
    }
}
