//! The entry point: one connection to one control plane.

use connectrpc::client::ClientConfig;
use flyte_config::Endpoint;
use flyte_idl::cloudidl::authorizer::AuthorizerServiceClient;
use flyte_idl::cloudidl::identity as hosted;
use flyte_idl::cloudidl::identity::AppsServiceClient;
use flyte_idl::flyteauth::{
    AccessServiceClient, ApiKeyServiceClient, AuditServiceClient, GroupServiceClient, RoleServiceClient,
    TrustServiceClient, UserServiceClient,
};
use flyte_idl::flyteidl2::app::{AppLogsServiceClient, AppServiceClient};
use flyte_idl::flyteidl2::auth::IdentityServiceClient;
use flyte_idl::flyteidl2::dataproxy::DataProxyServiceClient;
use flyte_idl::flyteidl2::project::ProjectServiceClient;
use flyte_idl::flyteidl2::secret::SecretServiceClient;
use flyte_idl::flyteidl2::settings::SettingsServiceClient;
use flyte_idl::flyteidl2::task::TaskServiceClient;
use flyte_idl::flyteidl2::trigger::TriggerServiceClient;
use flyte_idl::flyteidl2::workflow::RunServiceClient;

use crate::action::{ActionId, Actions};
use crate::api_key::ApiKeys;
use crate::app::Apps;
use crate::assignment::Assignments;
use crate::audit::Audit;
use crate::code::Code;
use crate::condition::Conditions;
use crate::data::ActionData;
use crate::error::ClientError;
use crate::follow::Follow;
use crate::group::Groups;
use crate::identity::Identity;
use crate::logs::Logs;
use crate::member::Members;
use crate::permission::Permissions;
use crate::policy::Policies;
use crate::project::Projects;
use crate::raw::RawCalls;
use crate::role::Roles;
use crate::run::Runs;
use crate::secret::Secrets;
use crate::settings::SettingsCalls;
use crate::task::Tasks;
use crate::transport::Transport;
use crate::trigger::Triggers;
use crate::trust::Trusts;
use crate::upload::Uploads;
use crate::user::Users;

/// A client of one control plane.
#[derive(Clone)]
pub struct Client<T> {
    transport: T,
    config: ClientConfig,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Client<T> {
    /// Creates a client of the control plane at `endpoint`. Its requests go through `transport`.
    ///
    /// # Errors
    /// [`ClientError::WrongEndpoint`] if the endpoint is not valid as the address of a request.
    pub fn new(transport: T, endpoint: Endpoint) -> Result<Self, ClientError> {
        let base = endpoint.url().as_str().parse().map_err(|error| ClientError::WrongEndpoint {
            endpoint: endpoint.to_string(),
            found: format!("its address cannot be used ({error})"),
        })?;
        Ok(Self { transport, config: ClientConfig::new(base), endpoint, org: None })
    }

    /// Sets the organization of the requests. Without one, the server uses the caller's.
    #[must_use]
    pub fn with_org(mut self, org: Option<String>) -> Self {
        self.org = org;
        self
    }

    /// Calls about projects.
    pub fn projects(&self) -> Projects<T> {
        let service = ProjectServiceClient::new(self.transport.clone(), self.config.clone());
        Projects::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about the caller's identity.
    pub fn identity(&self) -> Identity<T> {
        let service = IdentityServiceClient::new(self.transport.clone(), self.config.clone());
        Identity::new(service, self.endpoint.clone())
    }

    /// Calls about API keys.
    pub fn api_keys(&self) -> ApiKeys<T> {
        let service = ApiKeyServiceClient::new(self.transport.clone(), self.config.clone());
        let apps = AppsServiceClient::new(self.transport.clone(), self.config.clone());
        ApiKeys::new(service, apps, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about trust rules for other issuers' tokens.
    pub fn trusts(&self) -> Trusts<T> {
        let service = TrustServiceClient::new(self.transport.clone(), self.config.clone());
        Trusts::new(service, self.endpoint.clone())
    }

    /// Calls about accounts.
    pub fn users(&self) -> Users<T> {
        let service = UserServiceClient::new(self.transport.clone(), self.config.clone());
        let hosted = hosted::UserServiceClient::new(self.transport.clone(), self.config.clone());
        Users::new(service, hosted, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about groups of users.
    pub fn groups(&self) -> Groups<T> {
        let service = GroupServiceClient::new(self.transport.clone(), self.config.clone());
        Groups::new(service, self.endpoint.clone())
    }

    /// Calls about roles.
    pub fn roles(&self) -> Roles<T> {
        let service = RoleServiceClient::new(self.transport.clone(), self.config.clone());
        let hosted = hosted::RoleServiceClient::new(self.transport.clone(), self.config.clone());
        Roles::new(service, hosted, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about policies.
    pub fn policies(&self) -> Policies<T> {
        let service = hosted::PolicyServiceClient::new(self.transport.clone(), self.config.clone());
        Policies::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about users and API keys together.
    pub fn members(&self) -> Members<T> {
        let service = hosted::MemberServiceClient::new(self.transport.clone(), self.config.clone());
        Members::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about who has which roles and policies.
    pub fn assignments(&self) -> Assignments<T> {
        let service = AuthorizerServiceClient::new(self.transport.clone(), self.config.clone());
        let roles = RoleServiceClient::new(self.transport.clone(), self.config.clone());
        Assignments::new(
            service,
            roles,
            self.groups(),
            self.members(),
            self.endpoint.clone(),
            self.org.clone(),
        )
    }

    /// Calls about what callers may do.
    pub fn permissions(&self) -> Permissions<T> {
        let service = AccessServiceClient::new(self.transport.clone(), self.config.clone());
        Permissions::new(service, self.endpoint.clone())
    }

    /// Calls about the audit log.
    pub fn audit(&self) -> Audit<T> {
        let service = AuditServiceClient::new(self.transport.clone(), self.config.clone());
        Audit::new(service, self.endpoint.clone())
    }

    /// Calls of any method by its name.
    pub fn raw(&self) -> RawCalls<T> {
        RawCalls::new(self.transport.clone(), self.config.clone(), self.endpoint.clone())
    }

    /// Calls about deployed tasks.
    pub fn tasks(&self) -> Tasks<T> {
        let service = TaskServiceClient::new(self.transport.clone(), self.config.clone());
        Tasks::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about runs.
    pub fn runs(&self) -> Runs<T> {
        let service = RunServiceClient::new(self.transport.clone(), self.config.clone());
        Runs::new(service, self.data_proxy(), self.endpoint.clone(), self.org.clone())
    }

    /// Calls about the actions of runs.
    pub fn actions(&self) -> Actions<T> {
        let service = RunServiceClient::new(self.transport.clone(), self.config.clone());
        Actions::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about the inputs and outputs of actions.
    pub fn data(&self) -> ActionData<T> {
        ActionData::new(self.data_proxy(), self.endpoint.clone(), self.org.clone())
    }

    /// Calls about the logs of actions and apps.
    pub fn logs(&self) -> Logs<T> {
        let apps = AppLogsServiceClient::new(self.transport.clone(), self.config.clone());
        Logs::new(self.data_proxy(), apps, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about the conditions of runs.
    pub fn conditions(&self) -> Conditions<T> {
        let service = RunServiceClient::new(self.transport.clone(), self.config.clone());
        Conditions::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about the code of actions.
    pub fn code(&self) -> Code<T> {
        let service = RunServiceClient::new(self.transport.clone(), self.config.clone());
        Code::new(service, self.data_proxy(), self.endpoint.clone(), self.org.clone())
    }

    /// Calls about deployed triggers.
    pub fn triggers(&self) -> Triggers<T> {
        let service = TriggerServiceClient::new(self.transport.clone(), self.config.clone());
        Triggers::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about the secrets of tasks.
    pub fn secrets(&self) -> Secrets<T> {
        let service = SecretServiceClient::new(self.transport.clone(), self.config.clone());
        Secrets::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Calls about the settings of organizations, domains and projects.
    pub fn settings(&self) -> SettingsCalls<T> {
        let service = SettingsServiceClient::new(self.transport.clone(), self.config.clone());
        SettingsCalls::new(service, self.endpoint.clone(), self.org.clone())
    }

    /// Follows an action until it ends.
    pub fn follow(&self, id: ActionId) -> Follow<T> {
        Follow::new(self.actions(), self.logs(), id)
    }

    /// Uploads of files.
    pub fn uploads(&self) -> Uploads<T> {
        Uploads::new(self.data_proxy(), self.endpoint.clone(), self.org.clone())
    }

    /// Calls about apps.
    pub fn apps(&self) -> Apps<T> {
        let service = AppServiceClient::new(self.transport.clone(), self.config.clone());
        Apps::new(service, self.endpoint.clone(), self.org.clone())
    }

    fn data_proxy(&self) -> DataProxyServiceClient<T> {
        DataProxyServiceClient::new(self.transport.clone(), self.config.clone())
    }
}
