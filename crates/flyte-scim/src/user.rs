//! `/Users` (RFC 7644 section 3).

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    Scim,
    body::Body,
    document,
    error::ScimError,
    listing::{self, Parameters, Query},
    patch as patches, precondition,
    projection::Projection,
    response,
    schema::{ENTERPRISE, Resource, USER},
};
use flyte_store::{ScimKey, ScimMembership, ScimOutcome, ScimUser, ScimUserFilter};

type Answer = Result<Response, ScimError>;
type Key = Extension<Arc<ScimKey>>;

/// How often a change is tried again if others change the same user at the same moment.
const ATTEMPTS: usize = 10;

/// A user as JSON. Without memberships, `groups` is absent.
fn render(base: &str, user: &ScimUser, memberships: &[ScimMembership]) -> Value {
    let mut document = document::of_user(user);
    let mut schemas = vec![USER];
    if document.contains_key(ENTERPRISE) {
        schemas.push(ENTERPRISE);
    }
    let group = |it: &ScimMembership| {
        json!({
            "value": it.group_id,
            "$ref": format!("{base}/Groups/{}", it.group_id),
            "display": it.name,
            "type": "direct",
        })
    };
    let groups: Vec<_> = memberships.iter().filter(|it| it.user_id == user.id).map(group).collect();
    if !groups.is_empty() {
        document.insert("groups".to_owned(), Value::Array(groups));
    }
    let times = (user.created_at, user.updated_at);
    document.insert("schemas".to_owned(), schemas.into());
    document.insert("id".to_owned(), user.id.clone().into());
    document.insert("meta".to_owned(), document::meta(Resource::User, base, &user.id, user.version, times));
    Value::Object(document)
}

/// A part of a listing, and the number of all.
pub(crate) async fn page(
    scim: &Scim,
    query: &Query,
    projection: &Projection,
) -> Result<(Vec<Value>, u64), ScimError> {
    let base = scim.base();
    let filter = query.rest.clone().map(|rest| -> ScimUserFilter {
        let base = base.clone();
        Arc::new(move |user| rest.matches(Resource::User, &render(&base, user, &[])))
    });
    let (users, total) = scim.store.list_scim_users(&query.stored, filter).await?;
    let memberships = match projection.includes("groups") && !users.is_empty() {
        true => {
            let ids: Vec<_> = users.iter().map(|user| user.id.clone()).collect();
            scim.store.scim_memberships(&query.stored.client, &ids).await?
        }
        false => Vec::new(),
    };
    let users = users.iter().map(|user| projection.apply(render(&base, user, of(&memberships, user))));
    Ok((users.collect(), total))
}

/// The memberships of a user, of those of several users in order.
fn of<'a>(memberships: &'a [ScimMembership], user: &ScimUser) -> &'a [ScimMembership] {
    let start = memberships.partition_point(|it| it.user_id < user.id);
    let end = memberships.partition_point(|it| it.user_id <= user.id);
    &memberships[start..end]
}

async fn resource(
    scim: &Scim,
    key: &ScimKey,
    user: &ScimUser,
    projection: &Projection,
    status: StatusCode,
) -> Answer {
    let memberships = match projection.includes("groups") {
        true => scim.store.scim_memberships(&key.client, std::slice::from_ref(&user.id)).await?,
        false => Vec::new(),
    };
    let whole = render(&scim.base(), user, &memberships);
    let mut response = response::resource(status, &whole, &precondition::etag(user.version));
    *response.body_mut() = projection.apply(whole).to_string().into();
    Ok(response)
}

async fn find(scim: &Scim, key: &ScimKey, id: &str) -> Result<ScimUser, ScimError> {
    let user = scim.store.scim_user(&key.client, id).await?;
    user.ok_or_else(|| ScimError::not_found("user", id))
}

async fn listed(scim: &Scim, key: &ScimKey, parameters: &Parameters) -> Answer {
    let query = parameters.query(Resource::User, &key.client)?;
    let (users, total) = page(scim, &query, &parameters.projection(Resource::User)?).await?;
    Ok(response::json(StatusCode::OK, &listing::response(users, total, query.start)))
}

/// `GET /Users`
pub(crate) async fn list(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    RawQuery(query): RawQuery,
) -> Answer {
    listed(&scim, &key, &Parameters::of_query(query.as_deref())?).await
}

/// `POST /Users/.search`
pub(crate) async fn search(State(scim): State<Arc<Scim>>, Extension(key): Key, Body(body): Body) -> Answer {
    listed(&scim, &key, &Parameters::of_search(&body)?).await
}

/// `GET /Users/{id}`
pub(crate) async fn get(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let projection = Parameters::of_query(query.as_deref())?.projection(Resource::User)?;
    let user = find(&scim, &key, &id).await?;
    if precondition::is_known(&headers, user.version) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    resource(&scim, &key, &user, &projection, StatusCode::OK).await
}

/// `POST /Users`
pub(crate) async fn create(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    RawQuery(query): RawQuery,
    Body(body): Body,
) -> Answer {
    let projection = Parameters::of_query(query.as_deref())?.projection(Resource::User)?;
    let data = document::user_data(document::normalize(Resource::User, &body)?, true)?;
    let (id, now) = (Uuid::new_v4().to_string(), scim.clock.now());
    match scim.store.create_scim_user(&key.client, &key.rules, &id, &data, now).await? {
        ScimOutcome::Done(changed) => {
            scim.user_changed(&key, &changed).await;
            resource(&scim, &key, &changed.user, &projection, StatusCode::CREATED).await
        }
        // A new user is a conflict, whatever the reason: the client must not take it for its own fault.
        ScimOutcome::Refused(refusal) => {
            let refused = ScimError::from(refusal);
            Err(ScimError::taken(refused.detail))
        }
        ScimOutcome::Unknown | ScimOutcome::Stale => Err(ScimError::stale()),
    }
}

/// `PUT /Users/{id}`
pub(crate) async fn replace(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    let document = document::normalize(Resource::User, &body)?;
    change(&scim, &key, &id, query.as_deref(), &headers, |_| Ok(document.clone())).await
}

/// `PATCH /Users/{id}`
pub(crate) async fn patch(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    let operations = patches::operations(&body)?;
    let patched = |user: &ScimUser| {
        let mut document = document::of_user(user);
        for operation in &operations {
            patches::apply(Resource::User, &mut document, operation)?;
        }
        // An account is enabled or disabled. An answer as if this were gone would hide that it is still enabled.
        if !document.contains_key("active") {
            return Err(ScimError::mutability("active: cannot be removed; set it to true or false"));
        }
        Ok(document)
    };
    change(&scim, &key, &id, query.as_deref(), &headers, patched).await
}

/// Changes a user to what `make` returns. If others change it at the same moment and the client demands no version, begins again.
async fn change(
    scim: &Scim,
    key: &ScimKey,
    id: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    make: impl Fn(&ScimUser) -> Result<Map<String, Value>, ScimError>,
) -> Answer {
    let projection = Parameters::of_query(query)?.projection(Resource::User)?;
    for _ in 0..ATTEMPTS {
        let user = find(scim, key, id).await?;
        let is_demanded = precondition::demands(headers, user.version)?;
        let mut wanted = make(&user)?;
        wanted.entry("active").or_insert(user.active.into());
        if wanted == document::of_user(&user) {
            return resource(scim, key, &user, &projection, StatusCode::OK).await;
        }
        let mut data = document::user_data(wanted, user.active)?;
        document::keep_own(&mut data, &user);
        let now = scim.clock.now();
        let outcome =
            scim.store.change_scim_user(&key.client, &key.rules, id, &data, user.version, now).await?;
        match outcome {
            ScimOutcome::Done(changed) => {
                scim.user_changed(key, &changed).await;
                return resource(scim, key, &changed.user, &projection, StatusCode::OK).await;
            }
            ScimOutcome::Refused(refusal) => return Err(refusal.into()),
            ScimOutcome::Unknown => return Err(ScimError::not_found("user", id)),
            ScimOutcome::Stale if is_demanded => return Err(ScimError::stale()),
            ScimOutcome::Stale => {}
        }
    }
    Err(ScimError::new(StatusCode::SERVICE_UNAVAILABLE, "others change this user at the moment; try again"))
}

/// `DELETE /Users/{id}`
pub(crate) async fn delete(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let user = find(&scim, &key, &id).await?;
    let version = precondition::demands(&headers, user.version)?.then_some(user.version);
    match scim.store.delete_scim_user(&key.client, &id, version, scim.clock.now()).await? {
        ScimOutcome::Done((user, ended)) => {
            scim.user_deleted(&key, &user, &ended).await;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        ScimOutcome::Refused(refusal) => Err(refusal.into()),
        ScimOutcome::Unknown => Err(ScimError::not_found("user", &id)),
        ScimOutcome::Stale => Err(ScimError::stale()),
    }
}
