//! Groups: the list, a new one, and the page of one.

pub(crate) mod change;

use axum::{
    extract::{Path, Query, rejection::QueryRejection},
    response::Response,
};
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{
    CreateGroupRequest, GetGroupRequest, Group, GroupServiceClient, ListGroupMembersRequest,
    ListGroupsRequest,
};
use flyte_pages::{AdminView, Cell, Content, Field, Form, FormKind, Link, Part};
use serde::Deserialize;

use crate::{
    act::{Act, done},
    address::{self, with_query},
    area::Area,
    cell::{self, visible},
    form,
    given::{Done, Given, Notice},
    grant,
    refusal::Refusal,
    user::table,
    visit::{Visit, client},
};

/// The most rows of a page.
const MANY: u32 = 50;
/// The path of the area.
const GROUPS: &str = Area::Groups.href();

/// The page of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    pub(crate) token: String,
}

/// The query of a list.
pub(crate) type Queried<T> = Result<Query<T>, QueryRejection>;

/// Shows the list.
pub(crate) async fn list(
    visit: Visit,
    page: Queried<Page>,
    done: Queried<Done>,
) -> Result<Response, Refusal> {
    let (Ok(Query(page)), Ok(Query(done))) = (page, done) else { return Err(Refusal::NoPage) };
    let request = ListGroupsRequest { limit: MANY, token: page.token, ..ListGroupsRequest::default() };
    let answer = client!(visit, GroupServiceClient).list_groups(request).await?.into_owned();
    let rows = answer.groups.iter().map(|group| {
        vec![
            cell::link(address::of(GROUPS, &group.id), &group.name),
            from(group),
            cell::text(&group.description),
            cell::time(group.created_at),
        ]
    });
    let columns = ["Group", "From", "Purpose", "Created"];
    let mut part = table("groups", "All groups", &columns, rows.collect(), "No groups yet.");
    next(&mut part, GROUPS, &answer.token);
    let open = visit
        .may("flyteauth.GroupService/CreateGroup")
        .then(|| Link { href: format!("{GROUPS}/new"), text: "New group".to_owned() });
    let view = AdminView { heading: "Groups".to_owned(), open, parts: vec![part], ..AdminView::default() };
    Ok(visit.page(Area::Groups, &done.given(), view))
}

/// Adds the link to the next page to a table.
pub(crate) fn next(part: &mut Part, path: &str, token: &str) {
    if let Some(Content::Table { more, .. }) = &mut part.content
        && !token.is_empty()
    {
        *more = Some(Link { href: with_query(path, &[("token", token)]), text: "Next page".to_owned() });
    }
}

/// Where a group is from.
fn from(group: &Group) -> Cell {
    match group.provider.as_str() {
        "" => Cell::Text("this server".to_owned()),
        provider => Cell::Text(visible(provider)),
    }
}

/// Shows the form of a new group.
pub(crate) async fn new(visit: Visit) -> Result<Response, Refusal> {
    new_page(&visit, &Given::default())
}

fn new_page(visit: &Visit, given: &Given) -> Result<Response, Refusal> {
    if !visit.may("flyteauth.GroupService/CreateGroup") {
        return Err(ConnectError::permission_denied("creating a group").into());
    }
    let form = Form {
        kind: FormKind::Create,
        ..form::change(
            "create",
            "/admin/groups/new",
            "create",
            name_and_purpose(given, "create", "", ""),
            "Create the group",
        )
    };
    let part = Part { id: "new", forms: vec![form], ..Part::default() };
    let view = AdminView { heading: "New group".to_owned(), parts: vec![part], ..AdminView::default() };
    Ok(visit.page(Area::Groups, given, view))
}

fn name_and_purpose(given: &Given, act: &str, name: &str, purpose: &str) -> Vec<Field> {
    vec![
        form::required("name", "Name", given.value(act, "name", name)),
        form::text("description", "Purpose", given.value(act, "description", purpose)),
    ]
}

/// Creates a group.
pub(crate) async fn create(act: Act) -> Result<Response, Refusal> {
    let request = CreateGroupRequest {
        name: act.typed.owned("name"),
        description: act.typed.owned("description"),
        ..CreateGroupRequest::default()
    };
    match client!(act.visit, GroupServiceClient).create_group(request).await {
        Ok(answer) => {
            let group = answer.into_owned().group.into_option().unwrap_or_default();
            Ok(done(&address::of(GROUPS, &group.id), Notice::CREATED))
        }
        Err(error) => new_page(&act.visit, &act.failed(error)?),
    }
}

/// Shows the page of a group.
pub(crate) async fn show(
    visit: Visit,
    Path(id): Path<String>,
    page: Queried<Page>,
    done: Queried<Done>,
) -> Result<Response, Refusal> {
    let (Ok(Query(page)), Ok(Query(done))) = (page, done) else { return Err(Refusal::NoPage) };
    one(&visit, &id, page.token, &done.given()).await
}

/// The group of a page. Pages are at identifiers, because names change.
async fn group(visit: &Visit, id: &str) -> Result<Group, ConnectError> {
    let request = GetGroupRequest { group: id.to_owned(), ..GetGroupRequest::default() };
    let found = client!(visit, GroupServiceClient).get_group(request).await?.into_owned().group.into_option();
    found.filter(|group| group.id == id).ok_or_else(|| ConnectError::not_found("there is no such group"))
}

async fn one(visit: &Visit, id: &str, token: String, given: &Given) -> Result<Response, Refusal> {
    let group = group(visit, id).await?;
    let here = address::of(GROUPS, id);
    let mut parts = vec![members(visit, &group, &here, token, given).await?];
    parts.push(grant::roles(visit, &here, &group.roles, given));
    parts.push(grant::policies(visit, &here, &group.policies, given));
    if visit.may("flyteauth.GroupService/UpdateGroup") {
        let fields = name_and_purpose(given, "change", &group.name, &group.description);
        let form = form::change("change-group", &here, "change", fields, "Save");
        parts.push(Part { id: "change", title: "Change", forms: vec![form], ..Part::default() });
    }
    if visit.may("flyteauth.GroupService/DeleteGroup") {
        let fields = vec![form::confirm(&visible(&group.name))];
        parts.push(Part {
            id: "delete",
            title: "Delete",
            lead: "The members lose what the group gives them. Their accounts stay. This cannot be undone."
                .to_owned(),
            forms: vec![form::danger("delete-group", &here, "delete", fields, "Delete the group")],
            ..Part::default()
        });
    }
    let view = AdminView {
        kind: "Group",
        heading: visible(&group.name),
        lead: visible(&group.description),
        facts: vec![
            ("From", from(&group)),
            ("Identifier", cell::code(&group.id)),
            ("Created", cell::time(group.created_at)),
        ],
        parts,
        ..AdminView::default()
    };
    Ok(visit.page(Area::Groups, given, view))
}

async fn members(
    visit: &Visit,
    group: &Group,
    here: &str,
    token: String,
    given: &Given,
) -> Result<Part, ConnectError> {
    let is_own = group.provider.is_empty();
    let may_remove = is_own && visit.may("flyteauth.GroupService/RemoveGroupMember");
    let request = ListGroupMembersRequest {
        group: group.id.clone(),
        limit: MANY,
        token,
        ..ListGroupMembersRequest::default()
    };
    let answer = client!(visit, GroupServiceClient).list_group_members(request).await?.into_owned();
    let rows = answer.members.iter().map(|user| {
        let mut row = vec![
            cell::link(address::of(Area::Users.href(), &user.subject), &cell::address(&user.email)),
            cell::text(&user.name),
        ];
        if may_remove {
            row.push(cell::remove("remove-member", "user", &user.subject, &user.email));
        }
        row
    });
    let columns = if may_remove { &["User", "Name", "Change"][..] } else { &["User", "Name"] };
    let mut part = table("members", "Members", columns, rows.collect(), "No members.");
    next(&mut part, here, &answer.token);
    if !is_own {
        part.lead = "The provider decides who is in this group. Change it there.".to_owned();
    }
    if may_remove {
        part.forms.push(form::of_rows("remove-member", here, "remove-member"));
    }
    if is_own && visit.may("flyteauth.GroupService/AddGroupMember") {
        let value = given.value("add-member", "user", "");
        let field = form::required("user", "E-mail address", value);
        part.forms.push(form::change("add-member", here, "add-member", vec![field], "Add the member"));
    }
    Ok(part)
}
