//! Apps: programs that the server keeps running, for example web services.

use std::fmt;
use std::str::FromStr;

use buffa::{Enumeration as _, Message as _};
use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::app as wire;
use flyte_idl::flyteidl2::app::list_request::FilterBy;
use flyte_idl::flyteidl2::app::spec::{AppPayload, DesiredState};
use flyte_idl::flyteidl2::app::status::DeploymentStatus;
use flyte_idl::flyteidl2::common::Filter;
use flyte_idl::flyteidl2::core::KeyValuePair;
use serde::Serialize;

use crate::error::ClientError;
use crate::listing::{self, principal_name, unix_time};
use crate::pager::{Page, Pager, Source};
use crate::project_domain::ProjectDomain;
use crate::transport::Transport;

/// The prefix of the names of statuses.
const STATUS_PREFIX: &str = "DEPLOYMENT_STATUS_";

/// The identifier of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppId {
    /// The app's project and domain.
    pub project_domain: ProjectDomain,
    /// The app's name in its project and domain.
    pub name: String,
}

impl AppId {
    /// The app with this name.
    pub fn new(project_domain: ProjectDomain, name: impl Into<String>) -> Self {
        Self { project_domain, name: name.into() }
    }

    pub(crate) fn identifier(&self, org: Option<&str>) -> wire::Identifier {
        wire::Identifier {
            org: org.unwrap_or_default().to_owned(),
            project: self.project_domain.project.clone(),
            domain: self.project_domain.domain.clone(),
            name: self.name.clone(),
            ..Default::default()
        }
    }
}

/// The state of an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The server does not say, or it says a state that this client does not know.
    #[default]
    Unknown,
    /// Waits to be started.
    Pending,
    /// A new revision is starting.
    Deploying,
    /// Answers requests.
    Active,
    /// Stopped on request.
    Stopped,
    /// Keeps failing.
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::Deploying => "deploying",
            Self::Active => "active",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}

impl State {
    /// The statuses of the protocol that this state stands for.
    fn statuses(self) -> impl Iterator<Item = DeploymentStatus> {
        DeploymentStatus::values().iter().copied().filter(move |status| state(Some(*status)) == self)
    }
}

/// A text that is not a state of an app.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a state of an app; use pending, deploying, active, stopped or failed")]
pub struct UnknownState(String);

impl FromStr for State {
    type Err = UnknownState;

    /// Reads a state, or a status of the protocol, for example `assigned` or `DEPLOYMENT_STATUS_ASSIGNED`.
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let name = text.to_ascii_uppercase().replace('-', "_");
        let name = name.strip_prefix(STATUS_PREFIX).unwrap_or(&name);
        let named =
            |status: &&DeploymentStatus| status.proto_name().strip_prefix(STATUS_PREFIX) == Some(name);
        DeploymentStatus::values()
            .iter()
            .find(named)
            .map(|status| state(Some(*status)))
            .filter(|state| *state != Self::Unknown)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// The apps to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Apps of this project and domain; `None` for all.
    pub project_domain: Option<ProjectDomain>,
    /// Apps that this subject created.
    pub created_by: Option<String>,
    /// Apps in one of these states; empty for all states.
    pub states: Vec<State>,
    /// The most apps to return; `None` for all.
    pub limit: Option<u32>,
}

impl ListOptions {
    fn filters(&self) -> Vec<Filter> {
        let statuses = self.states.iter().flat_map(|state| state.statuses());
        let names = statuses.map(|status| status.proto_name().to_owned()).collect();
        let by_subject = self.created_by.as_ref().map(|subject| listing::equal("created_by", subject));
        by_subject.into_iter().chain(listing::one_of("status_phase", names)).collect()
    }
}

/// An app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct App {
    /// The app's name, unique in its project and domain.
    pub name: String,
    /// The app's project and domain.
    #[serde(flatten)]
    pub project_domain: ProjectDomain,
    /// The number of the current revision, from 1.
    pub revision: u64,
    /// The app's state.
    pub state: State,
    /// The reason for the state.
    pub message: String,
    /// Whether the app should run.
    pub wanted: bool,
    /// The URL of the app; empty if it does not answer.
    pub url: String,
    /// The number of running replicas.
    pub replicas: u32,
    /// The container image; empty without a container.
    pub image: String,
    /// The name of the person or machine that created the app.
    pub created_by: String,
    /// The creation time, Unix time in seconds.
    pub created_at: Option<i64>,
    /// The time of the last change, Unix time in seconds.
    pub updated_at: Option<i64>,
}

/// The specification of an app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec(pub(crate) wire::Spec);

impl Spec {
    /// Decodes a `flyteidl2.app.Spec`.
    ///
    /// # Errors
    /// The reason why the bytes are not an encoded specification.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        wire::Spec::decode_from_slice(bytes).map(Self).map_err(|error| error.to_string())
    }

    /// Sets environment variables of the app's container, in place of those with the same names. Returns `false` if there are
    /// variables to set but the app has no container.
    #[must_use]
    pub fn set_variables(&mut self, variables: &[(String, String)]) -> bool {
        let Some(AppPayload::Container(container)) = &mut self.0.app_payload else {
            return variables.is_empty();
        };
        container.env.retain(|old| variables.iter().all(|(name, _)| *name != old.key));
        container.env.extend(variables.iter().map(|(name, value)| KeyValuePair {
            key: name.clone(),
            value: value.clone(),
            ..Default::default()
        }));
        true
    }

    /// Sets the Kubernetes service account that the app runs as.
    pub fn set_service_account(&mut self, name: &str) {
        let mut context = self.0.security_context.take().unwrap_or_default();
        let mut run_as = context.run_as.take().unwrap_or_default();
        run_as.k8s_service_account = name.to_owned();
        context.run_as = run_as.into();
        self.0.security_context = context.into();
    }
}

/// Calls of `flyteidl2.app.AppService`.
#[derive(Clone)]
pub struct Apps<T> {
    service: wire::AppServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Apps<T> {
    pub(crate) fn new(service: wire::AppServiceClient<T>, endpoint: Endpoint, org: Option<String>) -> Self {
        Self { service, endpoint, org }
    }

    /// Returns one app.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the app does not exist.
    pub async fn get(&self, id: &AppId) -> Result<App, ClientError> {
        self.fetch(id).await.map(App::from)
    }

    /// Lists apps, the newest first. Pages are fetched on demand.
    pub fn list(&self, options: ListOptions) -> Pager<Listing<T>> {
        let limit = options.limit;
        Pager::new(Listing { apps: self.clone(), options }, limit)
    }

    /// Creates an app, or replaces the specification of an existing one.
    ///
    /// # Errors
    /// [`ClientError::InvalidArgument`] if the server rejects the specification.
    pub async fn deploy(&self, id: &AppId, spec: Spec) -> Result<App, ClientError> {
        let mut app = match self.fetch(id).await {
            Ok(app) => app,
            Err(ClientError::NotFound { .. }) => {
                let app = wire::App {
                    metadata: wire::Meta {
                        id: id.identifier(self.org.as_deref()).into(),
                        ..Default::default()
                    }
                    .into(),
                    spec: spec.0.into(),
                    ..Default::default()
                };
                let request = wire::CreateRequest { app: app.into(), ..Default::default() };
                let answer = self.service.create(request).await.map_err(|error| self.error(error))?;
                return answered(answer.into_owned().app.into_option()).map(App::from);
            }
            Err(error) => return Err(error),
        };
        app.spec = spec.0.into();
        self.update(app).await
    }

    /// Starts or stops an app.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the app does not exist.
    pub async fn switch(&self, id: &AppId, on: bool) -> Result<App, ClientError> {
        let mut app = self.fetch(id).await?;
        let state = if on { DesiredState::DESIRED_STATE_ACTIVE } else { DesiredState::DESIRED_STATE_STOPPED };
        let mut spec = app.spec.into_option().unwrap_or_default();
        spec.desired_state = state.into();
        app.spec = spec.into();
        self.update(app).await
    }

    /// Stops and deletes an app.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the app does not exist.
    pub async fn delete(&self, id: &AppId) -> Result<(), ClientError> {
        let app_id = id.identifier(self.org.as_deref()).into();
        let request = wire::DeleteRequest { app_id, ..Default::default() };
        self.service.delete(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    async fn update(&self, app: wire::App) -> Result<App, ClientError> {
        let request = wire::UpdateRequest { app: app.into(), ..Default::default() };
        let answer = self.service.update(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().app.into_option()).map(App::from)
    }

    async fn fetch(&self, id: &AppId) -> Result<wire::App, ClientError> {
        let app_id = id.identifier(self.org.as_deref());
        let identifier = Some(wire::get_request::Identifier::AppId(Box::new(app_id)));
        let request = wire::GetRequest { identifier, ..Default::default() };
        let answer = self.service.get(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().app.into_option())
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

fn answered(app: Option<wire::App>) -> Result<wire::App, ClientError> {
    app.ok_or_else(|| ClientError::Server {
        code: "internal",
        message: "the server's answer contains no app".to_owned(),
    })
}

/// The source of a list of apps.
pub struct Listing<T> {
    apps: Apps<T>,
    options: ListOptions,
}

impl<T: Transport> Source for Listing<T> {
    type Item = App;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<App>, ClientError> {
        let org = self.apps.org.as_deref();
        let within = match &self.options.project_domain {
            Some(project_domain) => FilterBy::Project(Box::new(project_domain.identifier(org))),
            None => FilterBy::Org(org.unwrap_or_default().to_owned()),
        };
        let request = wire::ListRequest {
            request: listing::page(limit, token, self.options.filters(), false).into(),
            filter_by: Some(within),
            ..Default::default()
        };
        let answer = self.apps.service.list(request).await;
        let answer = answer.map_err(|error| self.apps.error(error))?.into_owned();
        Ok(Page { items: answer.apps.into_iter().map(App::from).collect(), next: answer.token })
    }
}

impl From<wire::App> for App {
    fn from(message: wire::App) -> Self {
        let metadata = message.metadata.into_option().unwrap_or_default();
        let id = metadata.id.into_option().unwrap_or_default();
        let spec = message.spec.into_option().unwrap_or_default();
        let status = message.status.into_option().unwrap_or_default();
        let wanted = spec.desired_state.as_known() != Some(DesiredState::DESIRED_STATE_STOPPED);
        let image = match spec.app_payload {
            Some(AppPayload::Container(container)) => container.image,
            _ => String::new(),
        };
        let newest = status.conditions.last();
        let ingress = status.ingress.into_option().unwrap_or_default();
        Self {
            name: id.name,
            project_domain: ProjectDomain::new(id.project, id.domain),
            revision: metadata.revision,
            state: newest.map(|condition| state(condition.deployment_status.as_known())).unwrap_or_default(),
            message: newest.map(|condition| condition.message.clone()).unwrap_or_default(),
            wanted,
            url: if ingress.cname_url.is_empty() { ingress.public_url } else { ingress.cname_url },
            replicas: status.current_replicas,
            image,
            created_by: principal_name(spec.creator.into_option()),
            created_at: unix_time(status.created_at),
            updated_at: unix_time(status.last_updated_at),
        }
    }
}

fn state(status: Option<DeploymentStatus>) -> State {
    use DeploymentStatus as Status;
    match status {
        Some(
            Status::DEPLOYMENT_STATUS_UNASSIGNED
            | Status::DEPLOYMENT_STATUS_ASSIGNED
            | Status::DEPLOYMENT_STATUS_PENDING,
        ) => State::Pending,
        Some(Status::DEPLOYMENT_STATUS_DEPLOYING) => State::Deploying,
        Some(
            Status::DEPLOYMENT_STATUS_ACTIVE
            | Status::DEPLOYMENT_STATUS_STARTED
            | Status::DEPLOYMENT_STATUS_SCALING_UP
            | Status::DEPLOYMENT_STATUS_SCALING_DOWN,
        ) => State::Active,
        Some(Status::DEPLOYMENT_STATUS_STOPPED) => State::Stopped,
        Some(Status::DEPLOYMENT_STATUS_FAILED) => State::Failed,
        Some(Status::DEPLOYMENT_STATUS_UNSPECIFIED) | None => State::Unknown,
    }
}

#[cfg(test)]
mod tests;
