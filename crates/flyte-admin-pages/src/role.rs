//! Roles: the list, a new one, and the page of one.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{
    CreateRoleRequest, DeleteRoleRequest, GetRoleRequest, ListRoleHoldersRequest, ListRolesRequest, Role,
    RoleServiceClient, UpdateRoleRequest,
};
use flyte_pages::{AdminView, Cell, Field, Form, FormKind, Link, Part, Phase, Tone};

use crate::{
    act::{Act, done, unknown},
    address,
    area::Area,
    cell::{self, visible},
    form,
    given::{Done, Given, Notice},
    group::{Page, Queried, next},
    permission, place,
    refusal::Refusal,
    user::table,
    visit::{Visit, client},
};

/// The most rows of a page.
const MANY: u32 = 50;
/// The path of the area.
const ROLES: &str = Area::Roles.href();

/// Shows the list.
pub(crate) async fn list(
    visit: Visit,
    page: Queried<Page>,
    done: Queried<Done>,
) -> Result<Response, Refusal> {
    let (Ok(Query(page)), Ok(Query(done))) = (page, done) else { return Err(Refusal::NoPage) };
    let request = ListRolesRequest { limit: MANY, token: page.token, ..ListRolesRequest::default() };
    let answer = client!(visit, RoleServiceClient).list_roles(request).await?.into_owned();
    let rows = answer.roles.iter().map(|role| {
        vec![
            cell::link(address::of(ROLES, &role.name), &role.name),
            Cell::Phase(kind(role)),
            cell::text(&role.description),
            Cell::Text(role.permissions.len().to_string()),
        ]
    });
    let columns = ["Role", "Kind", "Purpose", "Permissions"];
    let mut part = table("roles", "All roles", &columns, rows.collect(), "No roles.");
    next(&mut part, ROLES, &answer.token);
    let open = visit
        .may("flyteauth.RoleService/CreateRole")
        .then(|| Link { href: format!("{ROLES}/new"), text: "New role".to_owned() });
    let view = AdminView {
        heading: "Roles".to_owned(),
        lead: "A role is a set of permissions. Users, groups and policies have roles: everywhere, in a project, or in a domain."
            .to_owned(),
        open,
        parts: vec![part],
        ..AdminView::default()
    };
    Ok(visit.page(Area::Roles, &done.given(), view))
}

fn kind(role: &Role) -> Phase {
    match role.built_in {
        true => Phase { name: "built in", tone: Tone::Quiet },
        false => Phase { name: "custom", tone: Tone::Busy },
    }
}

/// Shows the form of a new role.
pub(crate) async fn new(visit: Visit) -> Result<Response, Refusal> {
    new_page(&visit, &Given::default())
}

fn new_page(visit: &Visit, given: &Given) -> Result<Response, Refusal> {
    if !visit.may("flyteauth.RoleService/CreateRole") {
        return Err(ConnectError::permission_denied("creating a role").into());
    }
    let name = Field {
        hint: "Lower-case letters, digits and hyphens. The name does not change later.".to_owned(),
        ..form::required("name", "Name", given.value("create", "name", ""))
    };
    let purpose = form::text("description", "Purpose", given.value("create", "description", ""));
    let fields = vec![name, purpose, permission::field(&given.typed.all("permission"))];
    let form = Form {
        kind: FormKind::Create,
        ..form::change("create", "/admin/roles/new", "create", fields, "Create the role")
    };
    let part = Part { id: "new", forms: vec![form], ..Part::default() };
    let view = AdminView { heading: "New role".to_owned(), parts: vec![part], ..AdminView::default() };
    Ok(visit.page(Area::Roles, given, view))
}

/// Creates a role.
pub(crate) async fn create(act: Act) -> Result<Response, Refusal> {
    let name = act.typed.owned("name");
    let request = CreateRoleRequest {
        name: name.clone(),
        description: act.typed.owned("description"),
        permissions: act.typed.all("permission"),
        ..CreateRoleRequest::default()
    };
    match client!(act.visit, RoleServiceClient).create_role(request).await {
        Ok(_) => Ok(done(&address::of(ROLES, &name), Notice::CREATED)),
        Err(error) => new_page(&act.visit, &act.failed(error)?),
    }
}

/// Shows the page of a role.
pub(crate) async fn show(
    visit: Visit,
    Path(name): Path<String>,
    page: Queried<Page>,
    done: Queried<Done>,
) -> Result<Response, Refusal> {
    let (Ok(Query(page)), Ok(Query(done))) = (page, done) else { return Err(Refusal::NoPage) };
    one(&visit, &name, page.token, &done.given()).await
}

async fn role(visit: &Visit, name: &str) -> Result<Role, ConnectError> {
    let request = GetRoleRequest { name: name.to_owned(), ..GetRoleRequest::default() };
    let found = client!(visit, RoleServiceClient).get_role(request).await?.into_owned().role;
    found.into_option().ok_or_else(|| ConnectError::not_found("there is no such role"))
}

async fn one(visit: &Visit, name: &str, token: String, given: &Given) -> Result<Response, Refusal> {
    let role = role(visit, name).await?;
    let here = address::of(ROLES, name);
    let rows = role.permissions.iter().map(|name| {
        let words = permission::named(name).map_or("", permission::words);
        vec![cell::text(words), cell::code(name)]
    });
    let columns = ["What it allows", "Permission"];
    let mut parts = vec![table("permissions", "Permissions", &columns, rows.collect(), "It allows nothing.")];
    parts.push(holders(visit, name, &here, token).await?);
    if !role.built_in && visit.may("flyteauth.RoleService/UpdateRole") {
        let is_retry = given.alert.is_some() && given.typed.text("act") == "change";
        let chosen = if is_retry { given.typed.all("permission") } else { role.permissions.clone() };
        let purpose = given.value("change", "description", &role.description);
        let fields = vec![form::text("description", "Purpose", purpose), permission::field(&chosen)];
        let form = Form {
            lead: "A change is in effect at once, for all who have the role.".to_owned(),
            ..form::change("change-role", &here, "change", fields, "Save")
        };
        parts.push(Part { id: "change", title: "Change", forms: vec![form], ..Part::default() });
    }
    if !role.built_in && visit.may("flyteauth.RoleService/DeleteRole") {
        parts.push(Part {
            id: "delete",
            title: "Delete",
            lead: "Only a role that nothing has can be deleted. This cannot be undone.".to_owned(),
            forms: vec![form::danger(
                "delete-role",
                &here,
                "delete",
                vec![form::confirm(name)],
                "Delete the role",
            )],
            ..Part::default()
        });
    }
    let view = AdminView {
        kind: "Role",
        heading: visible(&role.name),
        lead: visible(&role.description),
        phase: Some(kind(&role)),
        facts: vec![("Created", cell::time(role.created_at))],
        parts,
        ..AdminView::default()
    };
    Ok(visit.page(Area::Roles, given, view))
}

/// What has the role, and where.
async fn holders(visit: &Visit, name: &str, here: &str, token: String) -> Result<Part, ConnectError> {
    let request = ListRoleHoldersRequest {
        role: name.to_owned(),
        limit: MANY,
        token,
        ..ListRoleHoldersRequest::default()
    };
    let answer = client!(visit, RoleServiceClient).list_role_holders(request).await?.into_owned();
    let rows = answer.holders.iter().map(|holder| {
        let (kind, area) = match holder.kind.as_str() {
            "user" => ("User", Area::Users),
            "group" => ("Group", Area::Groups),
            "application" => ("API key", Area::ApiKeys),
            _ => ("Policy", Area::Policies),
        };
        let name = if holder.name.is_empty() { &holder.id } else { &holder.name };
        vec![
            Cell::Text(kind.to_owned()),
            cell::link(address::of(area.href(), &holder.id), &cell::address(name)),
            Cell::Text(place::words(&holder.grant.project, &holder.grant.domain)),
        ]
    });
    let columns = ["Kind", "Who", "Where"];
    let mut part = table("holders", "Who has it", &columns, rows.collect(), "Nothing has it.");
    part.lead = "Members of groups and holders of policies have it through them.".to_owned();
    next(&mut part, here, &answer.token);
    Ok(part)
}

/// Changes or deletes a role.
pub(crate) async fn change(Path(name): Path<String>, act: Act) -> Result<Response, Refusal> {
    match perform(&act, &name).await {
        Ok(Notice::DELETED) => Ok(done(ROLES, Notice::DELETED)),
        Ok(notice) => Ok(done(&address::of(ROLES, &name), notice)),
        Err(error) => one(&act.visit, &name, String::new(), &act.failed(error)?).await,
    }
}

async fn perform(act: &Act, name: &str) -> Result<Notice, ConnectError> {
    let roles = client!(act.visit, RoleServiceClient);
    match act.name() {
        "change" => {
            let now = role(&act.visit, name).await?.permissions;
            let wanted = act.typed.all("permission");
            let without = |all: &[String], some: &[String]| {
                all.iter().filter(|name| !some.contains(name)).cloned().collect()
            };
            let request = UpdateRoleRequest {
                name: name.to_owned(),
                description: Some(act.typed.owned("description")),
                add: without(&wanted, &now),
                remove: without(&now, &wanted),
                ..UpdateRoleRequest::default()
            };
            roles.update_role(request).await?;
            Ok(Notice::SAVED)
        }
        "delete" => {
            act.confirmed(name)?;
            roles
                .delete_role(DeleteRoleRequest { name: name.to_owned(), ..DeleteRoleRequest::default() })
                .await?;
            Ok(Notice::DELETED)
        }
        _ => Err(unknown()),
    }
}
