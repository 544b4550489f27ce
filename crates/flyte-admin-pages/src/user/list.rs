//! The list of users, with a search.

use axum::{
    extract::{Query, rejection::QueryRejection},
    response::Response,
};
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{ListRolesRequest, ListUsersRequest, RoleServiceClient, User, UserServiceClient};
use flyte_pages::{AdminView, Cell, Content, Field, Link, Part};
use serde::Deserialize;

use super::{USERS, state};
use crate::{
    address::{self, with_query},
    area::Area,
    cell, form,
    given::Done,
    refusal::Refusal,
    visit::{Visit, client},
};

/// The most rows of a page.
const MANY: u32 = 50;
/// The most roles to choose from.
const MOST_ROLES: u32 = 200;

/// The search.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    q: String,
    state: String,
    role: String,
    token: String,
}

impl Search {
    fn is_empty(&self) -> bool {
        self.q.is_empty() && self.state.is_empty() && self.role.is_empty()
    }
}

/// Shows the list.
pub(crate) async fn show(
    visit: Visit,
    given: Result<Query<Search>, QueryRejection>,
    done: Result<Query<Done>, QueryRejection>,
) -> Result<Response, Refusal> {
    let (Ok(Query(search)), Ok(Query(done))) = (given, done) else { return Err(Refusal::NoPage) };
    let request = ListUsersRequest {
        limit: MANY,
        token: search.token.clone(),
        query: search.q.clone(),
        enabled: match search.state.as_str() {
            "enabled" => Some(true),
            "disabled" => Some(false),
            _ => None,
        },
        role: search.role.clone(),
        ..ListUsersRequest::default()
    };
    let answer = client!(visit, UserServiceClient).list_users(request).await?.into_owned();
    let more = (!answer.token.is_empty()).then(|| {
        let query = [
            ("q", &*search.q),
            ("state", &*search.state),
            ("role", &*search.role),
            ("token", &*answer.token),
        ];
        Link { href: with_query(USERS, &query), text: "Next page".to_owned() }
    });
    let content = match (answer.users.is_empty(), search.is_empty()) {
        (true, true) => Content::Note("No users here.".to_owned()),
        (true, false) => Content::Note("No user matches this search.".to_owned()),
        (false, _) => Content::Table {
            columns: vec!["E-mail address", "Name", "State", "Password", "Created"],
            rows: answer.users.iter().map(row).collect(),
            more,
        },
    };
    let fields = vec![
        form::text("q", "Address or name", search.q.clone()),
        form::select(
            "state",
            "State",
            &form::pairs(&[("", "All"), ("enabled", "Enabled"), ("disabled", "Disabled")]),
            &search.state,
        ),
        roles(&visit, &search.role).await?,
    ];
    let part = Part {
        id: "users",
        title: "All users",
        content: Some(content),
        forms: vec![form::search(USERS, fields, "Search")],
        ..Part::default()
    };
    let open = visit
        .may("flyteauth.UserService/CreateUser")
        .then(|| Link { href: format!("{USERS}/new"), text: "New user".to_owned() });
    let view = AdminView { heading: "Users".to_owned(), open, parts: vec![part], ..AdminView::default() };
    Ok(visit.page(Area::Users, &done.given(), view))
}

fn row(user: &User) -> Vec<Cell> {
    vec![
        cell::link(address::of(USERS, &user.subject), &cell::address(&user.email)),
        cell::text(&user.name),
        Cell::Phase(state(user)),
        Cell::Text(if user.has_password { "yes" } else { "no" }.to_owned()),
        cell::time(user.created_at),
    ]
}

/// The roles to search for.
async fn roles(visit: &Visit, chosen: &str) -> Result<Field, ConnectError> {
    let request = ListRolesRequest { limit: MOST_ROLES, ..ListRolesRequest::default() };
    let roles = client!(visit, RoleServiceClient).list_roles(request).await?.into_owned().roles;
    let mut choices = form::pairs(&[("", "Any")]);
    choices.extend(roles.into_iter().map(|role| (role.name.clone(), role.name)));
    Ok(form::select("role", "Role", &choices, chosen))
}
