//! The table of RPCs: one row for each RPC of the published `flyteidl2`, and of our own `flyteauth` and `cloudidl` services.
//!
//! An RPC without a row is refused. `requests.txt` lists the same RPCs with their request messages, as they are published;
//! a test fails if the two differ. To add an RPC, see CONTRIBUTING.md.

use super::rpc::Rpc;
use flyte_policy::Permission;

/// All RPCs, service by service.
pub const RPCS: &[Rpc] = &[
    // API keys, as the published plugin knows them.
    Rpc::write("cloudidl.identity.AppsService/Create").by_key_keeper(),
    Rpc::read("cloudidl.identity.AppsService/Get").by_key_keeper(),
    Rpc::write("cloudidl.identity.AppsService/Update").by_key_keeper(),
    Rpc::write("cloudidl.identity.AppsService/Delete").by_key_keeper(),
    Rpc::read("cloudidl.identity.AppsService/List").by_key_keeper(),
    // What it answers about principals other than the caller, its service decides.
    Rpc::read("flyteauth.AccessService/ExplainAccess").on_server().for_all(),
    // Accounts, roles, policies and who has them. Where a change may apply is decided by the services.
    Rpc::write("cloudidl.identity.UserService/CreateUser").by_administrator("creating an account"),
    Rpc::read("cloudidl.identity.UserService/GetUser").on_server().needing(Permission::ViewIdentities),
    Rpc::write("cloudidl.identity.UserService/DeleteUser").by_administrator("deleting an account"),
    Rpc::read("cloudidl.identity.UserService/ListUsers").on_server().needing(Permission::ViewIdentities),
    Rpc::read("cloudidl.identity.UserService/ListUsersCount").on_server().needing(Permission::ViewIdentities),
    Rpc::read("cloudidl.identity.UserService/GetUserAndGroupsForOrg")
        .on_server()
        .needing(Permission::ViewIdentities),
    Rpc::read("cloudidl.identity.MemberService/ListMembers").on_server().needing(Permission::ViewIdentities),
    Rpc::write("cloudidl.identity.RoleService/CreateRole")
        .by_administrator("creating a role")
        .needing(Permission::ManagePermissions),
    Rpc::write("cloudidl.identity.RoleService/UpdateRole")
        .by_administrator("changing a role")
        .needing(Permission::ManagePermissions),
    Rpc::write("cloudidl.identity.RoleService/CreateRoleAction")
        .by_administrator("changing a role")
        .needing(Permission::ManagePermissions),
    Rpc::write("cloudidl.identity.RoleService/DeleteRoleAction")
        .by_administrator("changing a role")
        .needing(Permission::ManagePermissions),
    Rpc::read("cloudidl.identity.RoleService/GetRole").on_server().needing(Permission::ViewIdentities),
    Rpc::write("cloudidl.identity.RoleService/DeleteRole")
        .by_administrator("deleting a role")
        .needing(Permission::ManagePermissions),
    Rpc::read("cloudidl.identity.RoleService/List").on_server().needing(Permission::ViewIdentities),
    Rpc::write("cloudidl.identity.PolicyService/CreatePolicy")
        .on_server()
        .needing(Permission::ManagePermissions),
    Rpc::write("cloudidl.identity.PolicyService/CreatePolicyBinding")
        .on_server()
        .needing(Permission::ManagePermissions),
    Rpc::write("cloudidl.identity.PolicyService/DeletePolicyBinding")
        .on_server()
        .needing(Permission::ManagePermissions),
    Rpc::read("cloudidl.identity.PolicyService/GetPolicy").on_server().needing(Permission::ViewIdentities),
    Rpc::write("cloudidl.identity.PolicyService/DeletePolicy")
        .on_server()
        .needing(Permission::ManagePermissions),
    Rpc::read("cloudidl.identity.PolicyService/List").on_server().needing(Permission::ViewIdentities),
    Rpc::write("cloudidl.authorizer.AuthorizerService/AssignIdentity")
        .on_server()
        .needing(Permission::ManagePermissions),
    Rpc::write("cloudidl.authorizer.AuthorizerService/UnassignIdentity")
        .on_server()
        .needing(Permission::ManagePermissions),
    Rpc::read("cloudidl.authorizer.AuthorizerService/GetIdentityAssignments")
        .on_server()
        .needing(Permission::ViewIdentities),
    Rpc::read("cloudidl.authorizer.AuthorizerService/ListIdentityAssignments")
        .on_server()
        .needing(Permission::ViewIdentities),
    Rpc::read("cloudidl.authorizer.AuthorizerService/GetPolicyAssignment")
        .on_server()
        .needing(Permission::ViewIdentities),
    Rpc::write("flyteauth.UserService/CreateUser").by_administrator("creating an account"),
    Rpc::write("flyteauth.UserService/UpdateUser").by_administrator("changing an account"),
    Rpc::read("flyteauth.UserService/GetUser").on_server().needing(Permission::ViewIdentities),
    Rpc::read("flyteauth.UserService/ListUsers").on_server().needing(Permission::ViewIdentities),
    Rpc::write("flyteauth.UserService/InviteUser").by_administrator("inviting a person"),
    Rpc::write("flyteauth.UserService/CreatePasswordLink").by_administrator("a link that sets a password"),
    Rpc::read("flyteauth.UserService/ListAccountLinks").on_server().needing(Permission::ViewIdentities),
    Rpc::write("flyteauth.UserService/DeleteAccountLink").by_administrator("ending a link"),
    Rpc::read("flyteauth.UserService/GetUserActivity").by_administrator("seeing what an account has open"),
    Rpc::write("flyteauth.UserService/EndUserSessions").by_administrator("ending the sessions of an account"),
    Rpc::write("flyteauth.GroupService/CreateGroup")
        .by_administrator("creating a group")
        .needing(Permission::ManagePermissions),
    Rpc::read("flyteauth.GroupService/GetGroup").on_server().needing(Permission::ViewIdentities),
    Rpc::read("flyteauth.GroupService/ListGroups").on_server().needing(Permission::ViewIdentities),
    Rpc::write("flyteauth.GroupService/UpdateGroup")
        .by_administrator("changing a group")
        .needing(Permission::ManagePermissions),
    Rpc::write("flyteauth.GroupService/DeleteGroup")
        .by_administrator("deleting a group")
        .needing(Permission::ManagePermissions),
    Rpc::write("flyteauth.GroupService/AddGroupMember")
        .by_administrator("changing a group")
        .needing(Permission::ManagePermissions),
    Rpc::write("flyteauth.GroupService/RemoveGroupMember")
        .by_administrator("changing a group")
        .needing(Permission::ManagePermissions),
    Rpc::read("flyteauth.GroupService/ListGroupMembers").on_server().needing(Permission::ViewIdentities),
    Rpc::write("flyteauth.GroupService/AssignGroupPolicy").on_server().needing(Permission::ManagePermissions),
    Rpc::write("flyteauth.GroupService/UnassignGroupPolicy")
        .on_server()
        .needing(Permission::ManagePermissions),
    Rpc::write("flyteauth.RoleService/CreateRole")
        .by_administrator("creating a role")
        .needing(Permission::ManagePermissions),
    Rpc::read("flyteauth.RoleService/GetRole").on_server().needing(Permission::ViewIdentities),
    Rpc::read("flyteauth.RoleService/ListRoles").on_server().needing(Permission::ViewIdentities),
    Rpc::write("flyteauth.RoleService/UpdateRole")
        .by_administrator("changing a role")
        .needing(Permission::ManagePermissions),
    Rpc::write("flyteauth.RoleService/DeleteRole")
        .by_administrator("deleting a role")
        .needing(Permission::ManagePermissions),
    Rpc::write("flyteauth.RoleService/GrantRole").on_server().needing(Permission::ManagePermissions),
    Rpc::write("flyteauth.RoleService/RevokeRole").on_server().needing(Permission::ManagePermissions),
    Rpc::read("flyteauth.RoleService/ListRoleHolders").on_server().needing(Permission::ViewIdentities),
    // What it answers about principals other than the caller, its service decides.
    Rpc::read("cloudidl.authorizer.AuthorizerService/Authorize").on_server().for_all(),
    // The parts of a hosted control plane call these among themselves.
    Rpc::closed("cloudidl.authorizer.AuthorizerService/CreateIdentity"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/DeleteIdentity"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/CreateResource"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/DeleteResource"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/CreateOrganization"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/GetOrganization"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/DeleteOrganization"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/CreatePolicy"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/GetPolicy"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/DeletePolicy"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/ListPolicies"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/CreatePolicyBinding"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/DeletePolicyBinding"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/CreateRole"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/GetRole"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/DeleteRole"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/ListRoles"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/CreateRoleAction"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/DeleteRoleAction"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/ListUsers"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/ListApplications"),
    Rpc::closed("cloudidl.authorizer.AuthorizerService/ListMembers"),
    // API keys, trust rules and the audit log.
    Rpc::write("flyteauth.ApiKeyService/CreateApiKey").by_key_keeper(),
    Rpc::read("flyteauth.ApiKeyService/GetApiKey").by_key_keeper(),
    Rpc::read("flyteauth.ApiKeyService/ListApiKeys").by_key_keeper(),
    Rpc::write("flyteauth.ApiKeyService/DeleteApiKey").by_key_keeper(),
    Rpc::write("flyteauth.ApiKeyService/RotateApiKey").by_key_keeper(),
    Rpc::read("flyteauth.AuditService/ListEvents")
        .by_administrator("reading the audit log")
        .needing(Permission::ReadAudit),
    Rpc::read("flyteauth.AuditService/GetEvent")
        .by_administrator("reading the audit log")
        .needing(Permission::ReadAudit),
    // Clients, and the server itself.
    Rpc::read("flyteauth.ClientService/ListClients").by_administrator("reading registered clients"),
    Rpc::read("flyteauth.ClientService/GetClient").by_administrator("reading registered clients"),
    Rpc::write("flyteauth.ClientService/DeleteClient").by_administrator("removing a client"),
    Rpc::read("flyteauth.ServerService/ListServerSettings").by_administrator("reading the server's settings"),
    Rpc::read("flyteauth.ServerService/ListProviders").by_administrator("reading the state of providers"),
    Rpc::read("flyteauth.ServerService/ListSigningKeys").by_administrator("reading the signing keys"),
    Rpc::write("flyteauth.ServerService/RotateSigningKeys").by_administrator("rotating the signing keys"),
    Rpc::write("flyteauth.ServerService/RevokeSigningKeys").by_administrator("replacing the signing keys"),
    Rpc::write("flyteauth.TrustService/CreateTrust")
        .by_administrator("creating a trust rule")
        .needing(Permission::ManageTrust),
    Rpc::read("flyteauth.TrustService/GetTrust")
        .by_administrator("reading trust rules")
        .needing(Permission::ManageTrust),
    Rpc::read("flyteauth.TrustService/ListTrusts")
        .by_administrator("reading trust rules")
        .needing(Permission::ManageTrust),
    Rpc::write("flyteauth.TrustService/DeleteTrust")
        .by_administrator("deleting a trust rule")
        .needing(Permission::ManageTrust),
    Rpc::write("flyteauth.ScimKeyService/CreateScimKey").by_administrator("creating a SCIM key"),
    Rpc::read("flyteauth.ScimKeyService/ListScimKeys").by_administrator("reading SCIM keys"),
    Rpc::write("flyteauth.ScimKeyService/DeleteScimKey").by_administrator("deleting a SCIM key"),
    // A run's own actions.
    Rpc::by_run("flyteidl2.actions.ActionsService/Enqueue"),
    Rpc::read("flyteidl2.actions.ActionsService/WatchForUpdates").of_runs().own_run(),
    Rpc::by_run("flyteidl2.actions.ActionsService/Update"),
    Rpc::by_run("flyteidl2.actions.ActionsService/Abort"),
    Rpc::by_run("flyteidl2.actions.ActionsService/Signal"),
    // The same in the older protocol of runtimes.
    Rpc::by_run("flyteidl2.workflow.QueueService/EnqueueAction"),
    Rpc::by_run("flyteidl2.workflow.QueueService/AbortQueuedRun"),
    Rpc::by_run("flyteidl2.workflow.QueueService/AbortQueuedAction"),
    Rpc::by_run("flyteidl2.workflow.StateService/Put"),
    Rpc::by_run("flyteidl2.workflow.StateService/Get"),
    Rpc::by_run("flyteidl2.workflow.StateService/Watch"),
    Rpc::read("flyteidl2.app.AppLogsService/TailLogs"),
    Rpc::write("flyteidl2.app.AppService/Create"),
    Rpc::read("flyteidl2.app.AppService/Get"),
    Rpc::write("flyteidl2.app.AppService/Update"),
    // A cluster reports and leases.
    Rpc::closed("flyteidl2.app.AppService/UpdateStatus"),
    Rpc::write("flyteidl2.app.AppService/Delete"),
    Rpc::read("flyteidl2.app.AppService/List").across(),
    Rpc::read("flyteidl2.app.AppService/Watch").across(),
    Rpc::closed("flyteidl2.app.AppService/Lease"),
    Rpc::write("flyteidl2.artifact.ArtifactService/CreateArtifact"),
    Rpc::read("flyteidl2.artifact.ArtifactService/GetArtifact"),
    Rpc::read("flyteidl2.artifact.ArtifactService/ListArtifacts").across(),
    Rpc::read("flyteidl2.artifact.ArtifactService/ListArtifactNames").across(),
    Rpc::read("flyteidl2.artifact.ArtifactService/ListArtifactMetadataKeys").across(),
    Rpc::write("flyteidl2.artifact.ArtifactService/DeleteArtifact"),
    Rpc::write("flyteidl2.artifact.ArtifactService/DeclareArtifact"),
    Rpc::read("flyteidl2.artifact.ArtifactService/GetArtifactSchema"),
    Rpc::read("flyteidl2.artifact.ArtifactService/ListPartitionValues").across(),
    // Clients that have no token ask how to get one.
    Rpc::anonymous("flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata"),
    Rpc::anonymous("flyteidl2.auth.AuthMetadataService/GetPublicClientConfig"),
    Rpc::read("flyteidl2.auth.IdentityService/UserInfo").on_server().for_all(),
    // The executor of a backend.
    Rpc::closed("flyteidl2.cacheservice.CacheService/Get"),
    Rpc::closed("flyteidl2.cacheservice.CacheService/Put"),
    Rpc::closed("flyteidl2.cacheservice.CacheService/Delete"),
    Rpc::closed("flyteidl2.cacheservice.CacheService/GetOrExtendReservation"),
    Rpc::closed("flyteidl2.cacheservice.CacheService/ReleaseReservation"),
    Rpc::closed("flyteidl2.cacheservice.v2.CacheService/Get"),
    Rpc::closed("flyteidl2.cacheservice.v2.CacheService/Put"),
    Rpc::closed("flyteidl2.cacheservice.v2.CacheService/Delete"),
    Rpc::closed("flyteidl2.cacheservice.v2.CacheService/GetOrExtendReservation"),
    Rpc::closed("flyteidl2.cacheservice.v2.CacheService/ReleaseReservation"),
    Rpc::read("flyteidl2.cluster.ClusterService/SelectCluster").on_server().for_all(),
    Rpc::closed("flyteidl2.connector.AsyncConnectorService/CreateTask"),
    Rpc::closed("flyteidl2.connector.AsyncConnectorService/GetTask"),
    Rpc::closed("flyteidl2.connector.AsyncConnectorService/DeleteTask"),
    Rpc::closed("flyteidl2.connector.AsyncConnectorService/GetTaskMetrics"),
    Rpc::closed("flyteidl2.connector.AsyncConnectorService/GetTaskLogs"),
    Rpc::closed("flyteidl2.connector.ConnectorMetadataService/GetConnector"),
    Rpc::closed("flyteidl2.connector.ConnectorMetadataService/ListConnectors"),
    // A run keeps its own data.
    Rpc::write("flyteidl2.dataproxy.DataProxyService/CreateUploadLocation").of_runs().or_by_run(),
    Rpc::write("flyteidl2.dataproxy.DataProxyService/UploadInputs").of_runs().or_by_run(),
    Rpc::read("flyteidl2.dataproxy.DataProxyService/CreateDownloadLink").of_runs(),
    Rpc::read("flyteidl2.dataproxy.DataProxyService/GetActionData").of_runs(),
    Rpc::read("flyteidl2.dataproxy.DataProxyService/TailLogs").of_runs(),
    Rpc::read("flyteidl2.imagebuilder.ImageService/GetImage").across(),
    Rpc::read("flyteidl2.org.DomainService/ListDomains").on_server().for_all(),
    Rpc::write("flyteidl2.org.DomainService/CreateDomain").by_administrator("creating a domain"),
    Rpc::read("flyteidl2.org.DomainService/GetDomain").on_server().for_all(),
    Rpc::write("flyteidl2.org.DomainService/UpdateDomain").by_administrator("changing a domain"),
    Rpc::write("flyteidl2.org.DomainService/DeleteDomain").by_administrator("deleting a domain"),
    Rpc::write("flyteidl2.project.ProjectService/CreateProject").by_administrator("creating a project"),
    Rpc::write("flyteidl2.project.ProjectService/UpdateProject")
        .by_project_administrator("changing a project"),
    Rpc::read("flyteidl2.project.ProjectService/GetProject"),
    Rpc::read("flyteidl2.project.ProjectService/ListProjects").across(),
    Rpc::write("flyteidl2.secret.SecretService/CreateSecret").needing(Permission::ManageSecrets),
    Rpc::write("flyteidl2.secret.SecretService/UpdateSecret").needing(Permission::ManageSecrets),
    Rpc::read("flyteidl2.secret.SecretService/GetSecret"),
    Rpc::write("flyteidl2.secret.SecretService/DeleteSecret").needing(Permission::ManageSecrets),
    Rpc::read("flyteidl2.secret.SecretService/ListSecrets").across(),
    Rpc::read("flyteidl2.settings.SettingsService/GetSettings").on_server().for_all(),
    Rpc::read("flyteidl2.settings.SettingsService/GetSettingsForEdit").on_server().for_all(),
    Rpc::write("flyteidl2.settings.SettingsService/CreateSettings")
        .by_project_administrator("changing settings")
        .needing(Permission::ChangeSettings),
    Rpc::write("flyteidl2.settings.SettingsService/UpdateSettings")
        .by_project_administrator("changing settings")
        .needing(Permission::ChangeSettings),
    Rpc::write("flyteidl2.task.TaskService/DeployTask"),
    Rpc::read("flyteidl2.task.TaskService/GetTaskDetails"),
    Rpc::read("flyteidl2.task.TaskService/ListTasks").across(),
    Rpc::read("flyteidl2.task.TaskService/ListVersions"),
    Rpc::write("flyteidl2.trigger.TriggerService/DeployTrigger"),
    Rpc::read("flyteidl2.trigger.TriggerService/GetTriggerDetails"),
    Rpc::read("flyteidl2.trigger.TriggerService/GetTriggerRevisionDetails"),
    Rpc::read("flyteidl2.trigger.TriggerService/ListTriggers").across(),
    Rpc::read("flyteidl2.trigger.TriggerService/GetTriggerRevisionHistory"),
    Rpc::write("flyteidl2.trigger.TriggerService/UpdateTriggers"),
    Rpc::write("flyteidl2.trigger.TriggerService/DeleteTriggers"),
    // The executor of a backend.
    Rpc::closed("flyteidl2.workflow.EventsProxyService/Record"),
    Rpc::closed("flyteidl2.workflow.InternalRunService/RecordAction"),
    Rpc::closed("flyteidl2.workflow.InternalRunService/RecordActionStream"),
    Rpc::closed("flyteidl2.workflow.InternalRunService/UpdateActionStatus"),
    Rpc::closed("flyteidl2.workflow.InternalRunService/UpdateActionStatusStream"),
    Rpc::closed("flyteidl2.workflow.InternalRunService/RecordActionEvents"),
    Rpc::closed("flyteidl2.workflow.InternalRunService/RecordActionEventStream"),
    Rpc::read("flyteidl2.workflow.RunLogsService/TailLogs").of_runs(),
    Rpc::write("flyteidl2.workflow.RunService/CreateRun").of_runs().or_by_pod(),
    Rpc::write("flyteidl2.workflow.RunService/AbortRun").of_runs().or_by_pod(),
    Rpc::read("flyteidl2.workflow.RunService/GetRunDetails").of_runs(),
    Rpc::read("flyteidl2.workflow.RunService/WatchRunDetails").of_runs(),
    Rpc::read("flyteidl2.workflow.RunService/GetActionDetails").of_runs(),
    Rpc::read("flyteidl2.workflow.RunService/WatchActionDetails").of_runs(),
    Rpc::read("flyteidl2.workflow.RunService/GetActionData").of_runs(),
    Rpc::read("flyteidl2.workflow.RunService/ListRuns").of_runs().across(),
    Rpc::read("flyteidl2.workflow.RunService/WatchRuns").of_runs().across(),
    Rpc::read("flyteidl2.workflow.RunService/ListActions").of_runs(),
    Rpc::read("flyteidl2.workflow.RunService/WatchActions").of_runs(),
    Rpc::read("flyteidl2.workflow.RunService/WatchClusterEvents").of_runs(),
    Rpc::write("flyteidl2.workflow.RunService/AbortAction").of_runs(),
    Rpc::write("flyteidl2.workflow.RunService/SignalEvent").of_runs(),
    Rpc::read("flyteidl2.workflow.RunService/WatchGroups").of_runs().across(),
    Rpc::read("flyteidl2.workflow.RunService/GetActionDataURIs").of_runs(),
    Rpc::read("flyteidl2.workflow.RunService/GetActionLogContext").of_runs(),
    Rpc::write("flyteidl2.workflow.TrackedRunService/CreateRun").of_runs(),
    Rpc::write("flyteidl2.workflow.TrackedRunService/ReportActions").of_runs(),
    Rpc::read("flyteidl2.workflow.TrackedRunService/GetRunDetails").of_runs(),
    Rpc::read("flyteidl2.workflow.TrackedRunService/WatchRunDetails").of_runs(),
    Rpc::read("flyteidl2.workflow.TrackedRunService/GetActionDetails").of_runs(),
    Rpc::read("flyteidl2.workflow.TrackedRunService/WatchActionDetails").of_runs(),
    Rpc::read("flyteidl2.workflow.TrackedRunService/ListRuns").of_runs().across(),
    Rpc::read("flyteidl2.workflow.TrackedRunService/WatchRuns").of_runs().across(),
    Rpc::read("flyteidl2.workflow.TrackedRunService/ListActions").of_runs(),
    Rpc::read("flyteidl2.workflow.TrackedRunService/WatchActions").of_runs(),
    Rpc::write("flyteidl2.workflow.TrackedRunService/AbortRun").of_runs(),
    Rpc::read("flyteidl2.workflow.TranslatorService/LiteralsToLaunchFormJson").on_server().for_all(),
    Rpc::read("flyteidl2.workflow.TranslatorService/LaunchFormJsonToLiterals").on_server().for_all(),
    Rpc::read("flyteidl2.workflow.TranslatorService/TaskSpecToLaunchFormJson").on_server().for_all(),
    Rpc::read("flyteidl2.workflow.TranslatorService/JsonValuesToLiterals").on_server().for_all(),
];
