//! The page of a user.

pub(crate) mod act;
mod link;
pub(crate) mod list;
pub(crate) mod new;

use axum::{
    extract::{Path, Query, rejection::QueryRejection},
    response::Response,
};
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{
    ApiKeyServiceClient, AuditServiceClient, GetUserActivityRequest, GetUserActivityResponse, GetUserRequest,
    ListApiKeysRequest, ListEventsRequest, User, UserServiceClient,
};
use flyte_pages::{AdminView, Cell, Content, Link, Part, Phase, Tone};

use crate::{
    address::{self, with_query},
    area::Area,
    audit,
    cell::{self, visible},
    form,
    given::{Done, Given},
    grant,
    refusal::Refusal,
    visit::{Visit, client},
};

/// The most rows of each list on the page.
const FEW: u32 = 10;
/// The path of the area.
const USERS: &str = Area::Users.href();

/// Shows the page.
pub(crate) async fn show(
    visit: Visit,
    Path(id): Path<String>,
    done: Result<Query<Done>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(done) = done.map_err(|_| Refusal::NoPage)?;
    page(&visit, &id, &done.given()).await
}

/// The account of a page. Pages are at subjects, because addresses change.
async fn account(visit: &Visit, id: &str) -> Result<User, ConnectError> {
    let request = GetUserRequest { user: id.to_owned(), ..GetUserRequest::default() };
    let found = client!(visit, UserServiceClient).get_user(request).await?.into_owned().user.into_option();
    found.filter(|user| user.subject == id).ok_or_else(|| ConnectError::not_found("there is no such account"))
}

/// The state of an account.
fn state(user: &User) -> Phase {
    match user.disabled_at {
        0 => Phase { name: "enabled", tone: Tone::Good },
        _ => Phase { name: "disabled", tone: Tone::Bad },
    }
}

async fn page(visit: &Visit, id: &str, given: &Given) -> Result<Response, Refusal> {
    let user = account(visit, id).await?;
    let here = address::of(USERS, id);
    let mut parts = vec![
        grant::roles(visit, &here, &user.roles, given),
        grant::policies(visit, &here, &user.policies, given),
    ];
    if visit.may("flyteauth.UserService/GetUserActivity") {
        let request = GetUserActivityRequest { user: id.to_owned(), ..GetUserActivityRequest::default() };
        let activity = client!(visit, UserServiceClient).get_user_activity(request).await?.into_owned();
        parts.push(groups(&activity));
        parts.push(sessions(visit, &here, &activity));
        parts.push(identities(&activity));
    }
    if visit.may("flyteauth.ApiKeyService/ListApiKeys") {
        parts.push(keys(visit, id).await?);
    }
    if visit.may("flyteauth.AuditService/ListEvents") {
        parts.push(events(visit, id).await?);
    }
    if visit.may("flyteauth.UserService/UpdateUser") {
        parts.push(changes(visit, &user, &here, given));
    }
    if visit.may("cloudidl.identity.UserService/DeleteUser") {
        parts.push(deletion(&user, &here));
    }
    let view = AdminView {
        kind: "User",
        heading: cell::address(&user.email),
        lead: if user.subject == visit.subject {
            "This is your own account.".to_owned()
        } else {
            String::new()
        },
        phase: Some(state(&user)),
        facts: vec![
            ("Name", cell::text(&user.name)),
            ("Subject", cell::code(&user.subject)),
            ("Created", cell::time(user.created_at)),
            ("Disabled", cell::time(user.disabled_at)),
            ("Password", Cell::Text(if user.has_password { "Yes" } else { "No" }.to_owned())),
        ],
        parts,
        ..AdminView::default()
    };
    Ok(visit.page(Area::Users, given, view))
}

/// A list, or a sentence if it is empty.
pub(crate) fn table(
    id: &'static str,
    title: &'static str,
    columns: &[&'static str],
    rows: Vec<Vec<Cell>>,
    none: &str,
) -> Part {
    let content = match rows.is_empty() {
        true => Content::Note(none.to_owned()),
        false => Content::Table { columns: columns.to_vec(), rows, more: None },
    };
    Part { id, title, content: Some(content), ..Part::default() }
}

fn groups(activity: &GetUserActivityResponse) -> Part {
    let rows = activity.groups.iter().map(|group| {
        vec![
            cell::link(address::of(Area::Groups.href(), &group.group), &group.name),
            if group.provider.is_empty() {
                Cell::Text("this server".to_owned())
            } else {
                cell::text(&group.provider)
            },
        ]
    });
    table("groups", "Groups", &["Group", "From"], rows.collect(), "In no group.")
}

fn sessions(visit: &Visit, here: &str, activity: &GetUserActivityResponse) -> Part {
    let rows = activity.sign_ins.iter().map(|sign_in| {
        let what = match sign_in.kind.as_str() {
            "browser" => "Browser".to_owned(),
            "device" => format!("Device, by {}", visible(&sign_in.client_id)),
            _ => format!("Program {}", visible(&sign_in.client_id)),
        };
        vec![
            Cell::Text(what),
            cell::text(&sign_in.address),
            cell::text(&sign_in.agent),
            cell::time(sign_in.started_at),
            cell::time(sign_in.last_used_at),
            cell::time(sign_in.expires_at),
        ]
    });
    let columns = ["What", "Last address", "Last program", "Signed in", "Last used", "Ends if unused"];
    let mut part = table("sessions", "Sign-ins", &columns, rows.collect(), "Signed in nowhere.");
    if activity.has_more_sign_ins {
        part.lead = "There are more than these.".to_owned();
    }
    if visit.may("flyteauth.UserService/EndUserSessions") {
        let end = form::danger("end-sessions", here, "end-sessions", Vec::new(), "End all sign-ins");
        let lead = "Ends all browser sessions and command-line logins. API keys stay.".to_owned();
        part.forms.push(flyte_pages::Form { lead, ..end });
    }
    part
}

fn identities(activity: &GetUserActivityResponse) -> Part {
    let rows = activity.identities.iter().map(|identity| {
        vec![
            cell::text(&identity.provider),
            if identity.email.is_empty() { Cell::Empty } else { Cell::Text(cell::address(&identity.email)) },
            cell::code(&identity.subject),
            cell::time(identity.linked_at),
            cell::time(identity.last_sign_in_at),
        ]
    });
    let columns = ["Provider", "E-mail there", "Identifier there", "Connected", "Last sign-in"];
    table("identities", "At outside providers", &columns, rows.collect(), "Connected with no provider.")
}

async fn keys(visit: &Visit, id: &str) -> Result<Part, ConnectError> {
    let request =
        ListApiKeysRequest { limit: FEW, created_by: id.to_owned(), ..ListApiKeysRequest::default() };
    let answer = client!(visit, ApiKeyServiceClient).list_api_keys(request).await?.into_owned();
    let rows = answer.api_keys.iter().map(|key| {
        let access = key.access.as_option();
        vec![
            cell::text(&key.name),
            cell::text(access.map_or("", |access| access.role.as_str())),
            cell::time(key.last_used_at),
            cell::time(key.expires_at),
        ]
    });
    let columns = ["API key", "Role", "Last used", "Expires"];
    Ok(table("keys", "API keys", &columns, rows.collect(), "Made no API keys."))
}

async fn events(visit: &Visit, id: &str) -> Result<Part, ConnectError> {
    let request = ListEventsRequest { limit: FEW, subject: id.to_owned(), ..ListEventsRequest::default() };
    let answer = client!(visit, AuditServiceClient).list_events(request).await?.into_owned();
    let more = (!answer.events.is_empty()).then(|| Link {
        href: with_query(Area::Audit.href(), &[("who", id)]),
        text: "All that this user did".to_owned(),
    });
    let rows = answer.events.iter().map(audit::row).collect();
    let mut part = table("audit", "Latest actions", &audit::COLUMNS, rows, "Nothing recorded.");
    if let Some(Content::Table { more: link, .. }) = &mut part.content {
        *link = more;
    }
    Ok(part)
}

fn changes(visit: &Visit, user: &User, here: &str, given: &Given) -> Part {
    let name = given.value("rename", "name", &user.name);
    let rename =
        form::change("rename", here, "rename", vec![form::required("name", "Name", name)], "Save the name");
    let switch = match user.disabled_at {
        0 => flyte_pages::Form {
            lead: "A disabled account can do nothing. Its browser sessions, command-line logins and API keys end at once."
                .to_owned(),
            ..form::danger("disable", here, "disable", Vec::new(), "Disable the account")
        },
        _ => form::change("enable", here, "enable", Vec::new(), "Enable the account"),
    };
    let mut forms = vec![rename];
    if user.disabled_at == 0 && visit.may("flyteauth.UserService/CreatePasswordLink") {
        forms.push(flyte_pages::Form {
            lead: "A link with which the user sets a new password. It works once.".to_owned(),
            ..form::change("password-link", here, "password-link", Vec::new(), "Make a password link")
        });
    }
    forms.push(switch);
    Part { id: "change", title: "Change", forms, ..Part::default() }
}

fn deletion(user: &User, here: &str) -> Part {
    let email = visible(&user.email);
    Part {
        id: "delete",
        title: "Delete",
        lead: "Deletes the account with its roles, API keys and trust rules. The audit log keeps what it did. This cannot be undone."
            .to_owned(),
        forms: vec![form::danger("delete-user", here, "delete", vec![form::confirm(&email)], "Delete the account")],
        ..Part::default()
    }
}
