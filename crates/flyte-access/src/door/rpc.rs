//! What one RPC needs of its caller and of its request.

use flyte_policy::Permission;

/// The OAuth 2 scope that a token needs for an RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredScope {
    /// None: the RPC is answered without a token.
    None,
    /// `read` or `all`: the RPC changes nothing.
    Read,
    /// `all`: the RPC changes something.
    All,
}

/// The administrator that an RPC needs. The text names the operation in messages, e.g. `creating a project`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Administrator {
    /// None.
    No,
    /// One who has the permission everywhere.
    OfServer(&'static str),
    /// One who has the permission in the whole project that the request names.
    OfProject(&'static str),
}

/// The kinds of principals that may call an RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// All kinds. A run that calls is limited to its own project and domain.
    All,
    /// All kinds except runs: what a run starts or changes outside of itself would outlive it.
    NotRuns,
    /// All kinds except runs of the embedded control plane. A pod of a backend's run may: what it starts is in the name of
    /// the principal that started the run.
    NotEmbeddedRuns,
    /// Only runs: what they enqueue acts with their rights, in the name of the user who started them.
    OnlyRuns,
    /// People, and administrators' API keys. A job must not keep rights for longer than it runs.
    KeyKeepers,
    /// No caller from outside: the parts of a backend call each other.
    Internal,
}

/// What the request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At least one project.
    Project,
    /// Perhaps no project. The answer then spans several projects, and the service that answers filters it by the caller's
    /// limit.
    Projects,
    /// Perhaps no project. The answer is about the server, the organization or the caller.
    Server,
}

/// A row of [`RPCS`](super::table::RPCS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rpc {
    /// `package.Service/Method`.
    pub name: &'static str,
    /// The scope of the token.
    pub scope: RequiredScope,
    /// What the caller must be allowed to do in all projects and domains that the request names. With `None`, it is enough that
    /// the caller has any permission there.
    pub permission: Option<Permission>,
    /// The kinds of principals.
    pub callers: Callers,
    /// The administrator.
    pub administrator: Administrator,
    /// What the request names.
    pub reach: Reach,
    /// Whether a run that calls must name itself and no other run, except as a relation of what it starts.
    pub own_run: bool,
}

impl Rpc {
    const fn new(
        name: &'static str,
        scope: RequiredScope,
        permission: Option<Permission>,
        callers: Callers,
    ) -> Self {
        Self {
            name,
            scope,
            permission,
            callers,
            administrator: Administrator::No,
            reach: Reach::Project,
            own_run: false,
        }
    }

    /// An RPC that needs no token.
    pub(super) const fn anonymous(name: &'static str) -> Self {
        Self::new(name, RequiredScope::None, None, Callers::All).on_server()
    }

    /// An RPC that changes nothing, and shows what is deployed.
    pub(super) const fn read(name: &'static str) -> Self {
        Self::new(name, RequiredScope::Read, Some(Permission::ViewInventory), Callers::All)
    }

    /// An RPC that changes what is deployed.
    pub(super) const fn write(name: &'static str) -> Self {
        Self::new(name, RequiredScope::All, Some(Permission::Deploy), Callers::NotRuns)
    }

    /// An RPC by which a run works on its own actions.
    pub(super) const fn by_run(name: &'static str) -> Self {
        Self {
            own_run: true,
            ..Self::new(name, RequiredScope::All, Some(Permission::Run), Callers::OnlyRuns)
        }
    }

    /// An RPC that no caller from outside may use.
    pub(super) const fn closed(name: &'static str) -> Self {
        Self::new(name, RequiredScope::All, None, Callers::Internal).on_server()
    }

    /// Reads or changes runs.
    pub(super) const fn of_runs(self) -> Self {
        let permission = match self.scope {
            RequiredScope::All => Permission::Run,
            RequiredScope::None | RequiredScope::Read => Permission::ViewRuns,
        };
        self.needing(permission)
    }

    pub(super) const fn needing(self, permission: Permission) -> Self {
        Self { permission: Some(permission), ..self }
    }

    /// It is enough that the caller has any permission in the projects that the request names, if it names some.
    pub(super) const fn for_all(self) -> Self {
        Self { permission: None, ..self }
    }

    pub(super) const fn or_by_run(self) -> Self {
        Self { callers: Callers::All, ..self }
    }

    pub(super) const fn or_by_pod(self) -> Self {
        Self { callers: Callers::NotEmbeddedRuns, ..self }
    }

    pub(super) const fn own_run(self) -> Self {
        Self { own_run: true, ..self }
    }

    pub(super) const fn by_key_keeper(self) -> Self {
        Self { callers: Callers::KeyKeepers, ..self }.on_server().for_all()
    }

    pub(super) const fn by_administrator(self, what: &'static str) -> Self {
        Self { administrator: Administrator::OfServer(what), ..self }
            .on_server()
            .needing(Permission::AdministerServer)
    }

    pub(super) const fn by_project_administrator(self, what: &'static str) -> Self {
        Self { administrator: Administrator::OfProject(what), ..self }.needing(Permission::AdministerProject)
    }

    pub(super) const fn across(self) -> Self {
        Self { reach: Reach::Projects, ..self }
    }

    pub(super) const fn on_server(self) -> Self {
        Self { reach: Reach::Server, ..self }
    }

    /// `Method`, for messages.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.name.rsplit('/').next().unwrap_or(self.name)
    }

    /// `Service/Method`, for messages.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        let service = self.name.split('/').next().unwrap_or_default();
        let package = service.rfind('.').map_or(0, |dot| dot + 1);
        &self.name[package..]
    }
}
