//! `/Groups` (RFC 7644 section 3).

mod change;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
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
    schema::{GROUP, Resource},
};
use flyte_store::{
    ScimGroup, ScimGroupChange, ScimGroupChanged, ScimGroupData, ScimKey, ScimMember, ScimOutcome,
};

type Answer = Result<Response, ScimError>;
type Key = Extension<Arc<ScimKey>>;

/// A member as JSON.
fn member(base: &str, it: &ScimMember) -> Value {
    json!({
        "value": it.user_id,
        "$ref": format!("{base}/Users/{}", it.user_id),
        "display": it.name,
        "type": "User",
    })
}

/// A group as JSON, with its members of these.
fn render(base: &str, group: &ScimGroup, members: &[ScimMember]) -> Value {
    let start = members.partition_point(|it| it.group_id < group.id);
    let end = members.partition_point(|it| it.group_id <= group.id);
    let members: Vec<_> = members[start..end].iter().map(|it| member(base, it)).collect();
    let times = (group.created_at, group.updated_at);
    let mut value = json!({
        "schemas": [GROUP],
        "id": group.id,
        "displayName": group.name,
        "meta": document::meta(Resource::Group, base, &group.id, group.version, times),
    });
    if let Some(external_id) = &group.external_id {
        value["externalId"] = external_id.clone().into();
    }
    if !members.is_empty() {
        value["members"] = members.into();
    }
    value
}

async fn members(scim: &Scim, ids: &[String], projection: &Projection) -> Result<Vec<ScimMember>, ScimError> {
    match projection.includes("members") && !ids.is_empty() {
        true => Ok(scim.store.scim_members(ids).await?),
        false => Ok(Vec::new()),
    }
}

/// A part of a listing, and the number of all.
pub(crate) async fn page(
    scim: &Scim,
    query: &Query,
    projection: &Projection,
) -> Result<(Vec<Value>, u64), ScimError> {
    let (groups, total) = scim.store.list_scim_groups(&query.stored).await?;
    let ids: Vec<_> = groups.iter().map(|group| group.id.clone()).collect();
    let (base, members) = (scim.base(), members(scim, &ids, projection).await?);
    let groups = groups.iter().map(|group| projection.apply(render(&base, group, &members)));
    Ok((groups.collect(), total))
}

async fn resource(scim: &Scim, group: &ScimGroup, projection: &Projection, status: StatusCode) -> Answer {
    let members = members(scim, std::slice::from_ref(&group.id), projection).await?;
    let whole = render(&scim.base(), group, &members);
    let mut response = response::resource(status, &whole, &precondition::etag(group.version));
    *response.body_mut() = projection.apply(whole).to_string().into();
    Ok(response)
}

async fn find(scim: &Scim, key: &ScimKey, id: &str) -> Result<ScimGroup, ScimError> {
    let group = scim.store.scim_group(&key.client, id).await?;
    group.ok_or_else(|| ScimError::not_found("group", id))
}

async fn listed(scim: &Scim, key: &ScimKey, parameters: &Parameters) -> Answer {
    let query = parameters.query(Resource::Group, &key.client)?;
    let (groups, total) = page(scim, &query, &parameters.projection(Resource::Group)?).await?;
    Ok(response::json(StatusCode::OK, &listing::response(groups, total, query.start)))
}

/// `GET /Groups`
pub(crate) async fn list(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    RawQuery(query): RawQuery,
) -> Answer {
    listed(&scim, &key, &Parameters::of_query(query.as_deref())?).await
}

/// `POST /Groups/.search`
pub(crate) async fn search(State(scim): State<Arc<Scim>>, Extension(key): Key, Body(body): Body) -> Answer {
    listed(&scim, &key, &Parameters::of_search(&body)?).await
}

/// `GET /Groups/{id}`
pub(crate) async fn get(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let projection = Parameters::of_query(query.as_deref())?.projection(Resource::Group)?;
    let group = find(&scim, &key, &id).await?;
    if precondition::is_known(&headers, group.version) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    resource(&scim, &group, &projection, StatusCode::OK).await
}

/// `POST /Groups`
pub(crate) async fn create(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    RawQuery(query): RawQuery,
    Body(body): Body,
) -> Answer {
    let projection = Parameters::of_query(query.as_deref())?.projection(Resource::Group)?;
    let wanted = change::of_document(&document::normalize(Resource::Group, &body)?)?;
    let data = ScimGroupData {
        name: wanted.name,
        external_id: wanted.external_id,
        members: wanted.members.unwrap_or_default(),
    };
    let (id, now) = (Uuid::new_v4().to_string(), scim.clock.now());
    let outcome = scim.store.create_scim_group(&key.client, &id, &data, now).await?;
    let changed = done(outcome, &id)?;
    scim.group_changed(&key, &changed, true).await;
    resource(&scim, &changed.group, &projection, StatusCode::CREATED).await
}

fn done<T>(outcome: ScimOutcome<T>, id: &str) -> Result<T, ScimError> {
    match outcome {
        ScimOutcome::Done(done) => Ok(done),
        ScimOutcome::Unknown => Err(ScimError::not_found("group", id)),
        ScimOutcome::Stale => Err(ScimError::stale()),
        ScimOutcome::Refused(refusal) => Err(refusal.into()),
    }
}

/// Changes a group. Only what the client demands a version of can be stale: changes of rows do not undo each other.
async fn apply(
    scim: &Scim,
    key: &ScimKey,
    id: &str,
    headers: &HeaderMap,
    change: &ScimGroupChange,
) -> Result<ScimGroupChanged, ScimError> {
    let group = find(scim, key, id).await?;
    let version = precondition::demands(headers, group.version)?.then_some(group.version);
    let outcome = scim.store.change_scim_group(&key.client, id, change, version, scim.clock.now()).await?;
    let changed = done(outcome, id)?;
    scim.group_changed(key, &changed, false).await;
    Ok(changed)
}

/// `PUT /Groups/{id}`. Without `members`, the members stay.
pub(crate) async fn replace(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    let projection = Parameters::of_query(query.as_deref())?.projection(Resource::Group)?;
    let mut wanted = change::of_document(&document::normalize(Resource::Group, &body)?)?;
    // An empty list is no value in the document's form, but says here that there are no members.
    if wanted.members.is_none() && change::empties_members(&body) {
        wanted.members = Some(Vec::new());
    }
    let changed = apply(&scim, &key, &id, &headers, &wanted.into_change()).await?;
    resource(&scim, &changed.group, &projection, StatusCode::OK).await
}

/// `PATCH /Groups/{id}`. The response has no body unless the client names attributes: a group can be large.
pub(crate) async fn patch(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    let parameters = Parameters::of_query(query.as_deref())?;
    let projection = parameters.projection(Resource::Group)?;
    let mut wanted = ScimGroupChange::default();
    for operation in &patches::operations(&body)? {
        if let Some(filter) = change::add(&mut wanted, operation)? {
            // Other filters need the members themselves.
            let base = scim.base();
            let members =
                scim.store.scim_members(std::slice::from_ref(&find(&scim, &key, &id).await?.id)).await?;
            let values = members.iter().map(|it| (it.user_id.clone(), member(&base, it)));
            change::remove_matching(&mut wanted, &filter, values);
        }
    }
    let changed = apply(&scim, &key, &id, &headers, &wanted).await?;
    if parameters.names_attributes() {
        return resource(&scim, &changed.group, &projection, StatusCode::OK).await;
    }
    let etag = precondition::etag(changed.group.version);
    Ok((StatusCode::NO_CONTENT, [(http::header::ETAG, etag)]).into_response())
}

/// `DELETE /Groups/{id}`
pub(crate) async fn delete(
    State(scim): State<Arc<Scim>>,
    Extension(key): Key,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let group = find(&scim, &key, &id).await?;
    let version = precondition::demands(&headers, group.version)?.then_some(group.version);
    let group = done(scim.store.delete_scim_group(&key.client, &id, version).await?, &id)?;
    scim.group_deleted(&key, &group).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
