//! The areas of the pages, and the first page, which lists them.

use axum::response::Response;
use connectrpc::ConnectError;
use flyte_pages::{AdminView, Cell, Content, Link, Part, Tab};

use crate::{refusal::Refusal, visit::Visit};

/// An area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    Users,
    Groups,
    Roles,
    Policies,
    ApiKeys,
    Clients,
    Trust,
    Providers,
    SigningKeys,
    Audit,
    Settings,
}

impl Area {
    const ALL: [Self; 11] = [
        Self::Users,
        Self::Groups,
        Self::Roles,
        Self::Policies,
        Self::ApiKeys,
        Self::Clients,
        Self::Trust,
        Self::Providers,
        Self::SigningKeys,
        Self::Audit,
        Self::Settings,
    ];

    /// The path of its first page.
    pub(crate) const fn href(self) -> &'static str {
        match self {
            Self::Users => "/admin/users",
            Self::Groups => "/admin/groups",
            Self::Roles => "/admin/roles",
            Self::Policies => "/admin/policies",
            Self::ApiKeys => "/admin/api-keys",
            Self::Clients => "/admin/applications",
            Self::Trust => "/admin/trust",
            Self::Providers => "/admin/providers",
            Self::SigningKeys => "/admin/signing-keys",
            Self::Audit => "/admin/audit",
            Self::Settings => "/admin/settings",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Users => "Users",
            Self::Groups => "Groups",
            Self::Roles => "Roles",
            Self::Policies => "Policies",
            Self::ApiKeys => "API keys",
            Self::Clients => "Applications",
            Self::Trust => "Trust rules",
            Self::Providers => "Providers",
            Self::SigningKeys => "Signing keys",
            Self::Audit => "Audit",
            Self::Settings => "Settings",
        }
    }

    /// What the area has.
    const fn what(self) -> &'static str {
        match self {
            Self::Users => "Accounts: their roles, sign-ins and keys",
            Self::Groups => "Groups of users, and what they may do",
            Self::Roles => "Sets of permissions",
            Self::Policies => "Named lists of roles in projects and domains",
            Self::ApiKeys => "What programs sign in with",
            Self::Clients => "Programs that act for users (OAuth clients)",
            Self::Trust => "Jobs of CI systems that may act without a key",
            Self::Providers => "Outside providers that users sign in through",
            Self::SigningKeys => "Rotate them, or end all tokens after a leak",
            Self::Audit => "Who did what, and when",
            Self::Settings => "What the server was started with",
        }
    }

    /// The call without which a user sees nothing of the area.
    const fn rpc(self) -> &'static str {
        match self {
            Self::Users => "flyteauth.UserService/ListUsers",
            Self::Groups => "flyteauth.GroupService/ListGroups",
            Self::Roles => "flyteauth.RoleService/ListRoles",
            Self::Policies => "cloudidl.identity.PolicyService/List",
            // Users may list their own keys. The keys of all are for those who see the applications, too.
            Self::ApiKeys => "flyteauth.ClientService/ListClients",
            Self::Clients => "flyteauth.ClientService/ListClients",
            Self::Trust => "flyteauth.TrustService/ListTrusts",
            Self::Providers => "flyteauth.ServerService/ListProviders",
            Self::SigningKeys => "flyteauth.ServerService/ListSigningKeys",
            Self::Audit => "flyteauth.AuditService/ListEvents",
            Self::Settings => "flyteauth.ServerService/ListServerSettings",
        }
    }
}

/// The areas that the user may open.
pub(crate) fn tabs(visit: &Visit, current: Option<Area>) -> Vec<Tab> {
    let areas = Area::ALL.into_iter().filter(|area| visit.may(area.rpc()));
    let tab = |area: Area| Tab {
        href: area.href(),
        text: area.title(),
        what: area.what(),
        current: current == Some(area),
    };
    areas.map(tab).collect()
}

/// Refuses a user who may not open an area.
///
/// # Errors
/// `permission_denied`.
pub(crate) fn require(visit: &Visit, area: Area) -> Result<(), ConnectError> {
    match visit.may(area.rpc()) {
        true => Ok(()),
        false => Err(ConnectError::permission_denied("the user may not open this area")),
    }
}

/// Shows the areas.
pub(crate) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let tabs = tabs(&visit, None);
    if tabs.is_empty() {
        return Err(ConnectError::permission_denied("the user administers nothing").into());
    }
    let rows = tabs.iter().map(|tab| {
        let link = Link { href: tab.href.to_owned(), text: tab.text.to_owned() };
        vec![Cell::Link(link), Cell::Text(tab.what.to_owned())]
    });
    let content = Content::Table { columns: vec!["Area", "What it has"], rows: rows.collect(), more: None };
    Ok(visit.first_page(AdminView {
        heading: "Administration".to_owned(),
        lead: "You see what your roles allow.".to_owned(),
        parts: vec![Part { id: "areas", title: "Areas", content: Some(content), ..Part::default() }],
        ..AdminView::default()
    }))
}
