//! The entry point: one connection to one control plane.

use connectrpc::client::{ClientConfig, ClientTransport};
use connectrpc::http_body::Body;
use flyte_config::Endpoint;
use flyte_idl::cloudidl::identity::AppsServiceClient;
use flyte_idl::flyteauth::{ApiKeyServiceClient, AuditServiceClient, TrustServiceClient};
use flyte_idl::flyteidl2::app::{AppLogsServiceClient, AppServiceClient};
use flyte_idl::flyteidl2::auth::IdentityServiceClient;
use flyte_idl::flyteidl2::dataproxy::DataProxyServiceClient;
use flyte_idl::flyteidl2::project::ProjectServiceClient;
use flyte_idl::flyteidl2::task::TaskServiceClient;
use flyte_idl::flyteidl2::workflow::RunServiceClient;

use crate::action::{ActionId, Actions};
use crate::api_key::ApiKeys;
use crate::app::Apps;
use crate::audit::Audit;
use crate::data::ActionData;
use crate::error::ClientError;
use crate::follow::Follow;
use crate::identity::Identity;
use crate::logs::Logs;
use crate::project::Projects;
use crate::raw::RawCalls;
use crate::run::Runs;
use crate::task::Tasks;
use crate::trust::Trusts;
use crate::upload::Uploads;

/// What carries requests: any Connect transport whose errors can be told.
pub trait Transport: ClientTransport<ResponseBody: Body<Error: std::fmt::Display> + Unpin> {}

impl<T> Transport for T where T: ClientTransport<ResponseBody: Body<Error: std::fmt::Display> + Unpin> {}

/// A client of one control plane.
#[derive(Clone)]
pub struct Client<T> {
    transport: T,
    config: ClientConfig,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Client<T> {
    /// A client of the control plane at `endpoint`, whose requests go through `transport`.
    ///
    /// # Errors
    /// [`ClientError::WrongEndpoint`] when the endpoint cannot be a request's address.
    pub fn new(transport: T, endpoint: Endpoint) -> Result<Self, ClientError> {
        let base = endpoint.url().as_str().parse().map_err(|error| ClientError::WrongEndpoint {
            endpoint: endpoint.to_string(),
            found: format!("its address cannot be used ({error})"),
        })?;
        Ok(Self { transport, config: ClientConfig::new(base), endpoint, org: None })
    }

    /// The same client, asking about an organization. Without one the server takes the caller's.
    #[must_use]
    pub fn with_org(mut self, org: Option<String>) -> Self {
        self.org = org;
        self
    }

    /// Projects.
    pub fn projects(&self) -> Projects<T> {
        let service = ProjectServiceClient::new(self.transport.clone(), self.config.clone());
        Projects::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Who the caller is.
    pub fn identity(&self) -> Identity<T> {
        let service = IdentityServiceClient::new(self.transport.clone(), self.config.clone());
        Identity::new(service, self.endpoint.clone())
    }

    /// API keys.
    pub fn api_keys(&self) -> ApiKeys<T> {
        let service = ApiKeyServiceClient::new(self.transport.clone(), self.config.clone());
        let apps = AppsServiceClient::new(self.transport.clone(), self.config.clone());
        ApiKeys::new(service, apps, self.endpoint.clone(), self.org.clone())
    }

    /// Rules by which other issuers' tokens are trusted.
    pub fn trusts(&self) -> Trusts<T> {
        let service = TrustServiceClient::new(self.transport.clone(), self.config.clone());
        Trusts::new(service, self.endpoint.clone())
    }

    /// What happened.
    pub fn audit(&self) -> Audit<T> {
        let service = AuditServiceClient::new(self.transport.clone(), self.config.clone());
        Audit::new(service, self.endpoint.clone())
    }

    /// Any method, by its name.
    pub fn raw(&self) -> RawCalls<T> {
        RawCalls::new(self.transport.clone(), self.config.clone(), self.endpoint.clone())
    }

    /// Tasks that are deployed.
    pub fn tasks(&self) -> Tasks<T> {
        let service = TaskServiceClient::new(self.transport.clone(), self.config.clone());
        Tasks::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Runs.
    pub fn runs(&self) -> Runs<T> {
        let service = RunServiceClient::new(self.transport.clone(), self.config.clone());
        Runs::new(service, self.data_proxy(), self.endpoint.clone(), self.org.clone())
    }

    /// What runs consist of.
    pub fn actions(&self) -> Actions<T> {
        let service = RunServiceClient::new(self.transport.clone(), self.config.clone());
        Actions::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// What actions were given and what they returned.
    pub fn data(&self) -> ActionData<T> {
        ActionData::new(self.data_proxy(), self.endpoint.clone(), self.org.clone())
    }

    /// What actions and apps write.
    pub fn logs(&self) -> Logs<T> {
        let apps = AppLogsServiceClient::new(self.transport.clone(), self.config.clone());
        Logs::new(self.data_proxy(), apps, self.endpoint.clone(), self.org.clone())
    }

    /// Follows an action until it is over.
    pub fn follow(&self, id: ActionId) -> Follow<T> {
        Follow::new(self.actions(), self.logs(), id)
    }

    /// Uploads.
    pub fn uploads(&self) -> Uploads<T> {
        Uploads::new(self.data_proxy(), self.endpoint.clone(), self.org.clone())
    }

    /// Apps.
    pub fn apps(&self) -> Apps<T> {
        let service = AppServiceClient::new(self.transport.clone(), self.config.clone());
        Apps::new(service, self.endpoint.clone(), self.org.clone())
    }

    fn data_proxy(&self) -> DataProxyServiceClient<T> {
        DataProxyServiceClient::new(self.transport.clone(), self.config.clone())
    }
}
