//! API keys.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{
    ApiKey, ApiKeyServiceClient, DeleteApiKeyRequest, GetApiKeyRequest, ListApiKeysRequest,
};
use flyte_pages::{AdminView, Cell, Part, Phase, Tone};

use crate::{
    act::{Act, done, unknown},
    address,
    area::{Area, require},
    cell::{self, visible},
    form,
    given::{Done, Given, Notice},
    group::{Page, Queried, next},
    refusal::Refusal,
    user::table,
    visit::{Visit, client},
};

/// The most rows of a page.
const MANY: u32 = 50;
/// The path of the area.
const KEYS: &str = Area::ApiKeys.href();
/// A key that expires within this time is shown as such, in seconds.
const SOON: i64 = 30 * 86_400;

/// Shows the list.
pub(crate) async fn list(
    visit: Visit,
    page: Queried<Page>,
    done: Queried<Done>,
) -> Result<Response, Refusal> {
    let (Ok(Query(page)), Ok(Query(done))) = (page, done) else { return Err(Refusal::NoPage) };
    require(&visit, Area::ApiKeys)?;
    let request = ListApiKeysRequest { limit: MANY, token: page.token, ..ListApiKeysRequest::default() };
    let answer = client!(visit, ApiKeyServiceClient).list_api_keys(request).await?.into_owned();
    let rows = answer.api_keys.iter().map(|key| {
        vec![
            cell::link(address::of(KEYS, &key.client_id), &key.name),
            Cell::Phase(state(key, visit.now)),
            cell::text(role(key)),
            Cell::Text(place(key)),
            creator(key),
            cell::time(key.last_used_at),
            cell::time(key.expires_at),
        ]
    });
    let columns = ["API key", "State", "Role", "Where", "Made by", "Last used", "Expires"];
    let mut part = table("keys", "All API keys", &columns, rows.collect(), "No API keys.");
    next(&mut part, KEYS, &answer.token);
    let view = AdminView {
        heading: "API keys".to_owned(),
        lead: "Newest first. Users make API keys with flyte create api-key.".to_owned(),
        parts: vec![part],
        ..AdminView::default()
    };
    Ok(visit.page(Area::ApiKeys, &done.given(), view))
}

/// Whether a key works.
pub(crate) fn state(key: &ApiKey, now: i64) -> Phase {
    match key.expires_at {
        0 => Phase { name: "never expires", tone: Tone::Quiet },
        end if end <= now => Phase { name: "expired", tone: Tone::Bad },
        end if end - now <= SOON => Phase { name: "expires soon", tone: Tone::Busy },
        _ => Phase { name: "works", tone: Tone::Good },
    }
}

/// The role of a key.
pub(crate) fn role(key: &ApiKey) -> &str {
    key.access.as_option().map_or("", |access| access.role.as_str())
}

/// Where a key works.
pub(crate) fn place(key: &ApiKey) -> String {
    let (project, domain) =
        key.access.as_option().map_or(("", ""), |access| (access.project.as_str(), access.domain.as_str()));
    crate::place::words(project, domain)
}

/// Who made a key.
fn creator(key: &ApiKey) -> Cell {
    let name = [&key.created_by_email, &key.created_by_name, &key.created_by];
    let name = name.into_iter().find(|text| !text.is_empty()).map_or("", |name| name.as_str());
    match key.created_by_email.as_str() {
        "" => cell::text(name),
        email => cell::link(address::of(Area::Users.href(), &key.created_by), &cell::address(email)),
    }
}

/// Shows the page of a key.
pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Refusal> {
    page(&visit, &id, &Given::default()).await
}

/// The key of a page. Pages are at identifiers, because names change.
async fn key(visit: &Visit, id: &str) -> Result<ApiKey, ConnectError> {
    let request = GetApiKeyRequest { client_id: id.to_owned(), ..GetApiKeyRequest::default() };
    let found = client!(visit, ApiKeyServiceClient).get_api_key(request).await?.into_owned().api_key;
    let found = found.into_option().filter(|key| key.client_id == id);
    found.ok_or_else(|| ConnectError::not_found("there is no such API key"))
}

async fn page(visit: &Visit, id: &str, given: &Given) -> Result<Response, Refusal> {
    require(visit, Area::ApiKeys)?;
    let key = key(visit, id).await?;
    let here = address::of(KEYS, id);
    let mut parts = Vec::new();
    if visit.may("flyteauth.ApiKeyService/DeleteApiKey") {
        let fields = vec![form::confirm(&visible(&key.client_id))];
        parts.push(Part {
            id: "delete",
            title: "End",
            lead: "Deletes the key and the keys that it made. They get no more tokens, and the tokens that they have are refused. \
                   This cannot be undone."
                .to_owned(),
            forms: vec![form::danger("delete-key", &here, "delete", fields, "Delete the API key")],
            ..Part::default()
        });
    }
    let scopes = key.access.as_option().map(|access| access.scopes.join(" ")).unwrap_or_default();
    let view = AdminView {
        kind: "API key",
        heading: visible(&key.name),
        phase: Some(state(&key, visit.now)),
        facts: vec![
            ("Client ID", cell::code(&key.client_id)),
            ("Role", cell::text(role(&key))),
            ("Where", Cell::Text(place(&key))),
            ("Scopes", cell::text(&scopes)),
            ("Made by", creator(&key)),
            ("Created", cell::time(key.created_at)),
            ("Last used", cell::time(key.last_used_at)),
            ("Expires", cell::time(key.expires_at)),
            ("Former secret works until", cell::time(key.previous_secret_expires_at)),
        ],
        parts,
        ..AdminView::default()
    };
    Ok(visit.page(Area::ApiKeys, given, view))
}

/// Deletes a key.
pub(crate) async fn change(Path(id): Path<String>, act: Act) -> Result<Response, Refusal> {
    match perform(&act, &id).await {
        Ok(notice) => Ok(done(KEYS, notice)),
        Err(error) => page(&act.visit, &id, &act.failed(error)?).await,
    }
}

async fn perform(act: &Act, id: &str) -> Result<Notice, ConnectError> {
    if act.name() != "delete" {
        return Err(unknown());
    }
    require(&act.visit, Area::ApiKeys)?;
    act.confirmed(&visible(id))?;
    let request = DeleteApiKeyRequest { client_id: id.to_owned(), ..DeleteApiKeyRequest::default() };
    client!(act.visit, ApiKeyServiceClient).delete_api_key(request).await?;
    Ok(Notice::DELETED)
}
