//! What the service can do (RFC 7644 section 4), and searches in all resources.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    response::Response,
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    Scim,
    body::Body,
    error::ScimError,
    group,
    listing::{self, MAX_COUNT, Parameters},
    response, schema,
    schema::Resource,
    user,
};
use flyte_store::ScimKey;

type Answer = Result<Response, ScimError>;

/// `GET /ServiceProviderConfig`
pub(crate) async fn service_provider_config(State(scim): State<Arc<Scim>>) -> Response {
    let supported = |supported: bool| json!({"supported": supported});
    let config = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": supported(true),
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": MAX_COUNT},
        "changePassword": supported(false),
        "sort": supported(true),
        "etag": supported(true),
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "SCIM key",
            "description": "A SCIM key of this server as a bearer token (RFC 6750)",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{}/ServiceProviderConfig", scim.base()),
        },
    });
    response::json(StatusCode::OK, &config)
}

/// A listing of all. Filters are forbidden here (RFC 7644 section 4).
fn all(query: Option<&str>, resources: Vec<Value>) -> Answer {
    if Parameters::of_query(query)?.has_filter() {
        return Err(ScimError::new(StatusCode::FORBIDDEN, "this listing cannot be filtered"));
    }
    let total = resources.len() as u64;
    Ok(response::json(StatusCode::OK, &listing::response(resources, total, 1)))
}

fn one(resources: Vec<Value>, kind: &str, id: &str) -> Answer {
    let found =
        resources.into_iter().find(|it| it["id"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(id)));
    let found = found.ok_or_else(|| ScimError::not_found(kind, id))?;
    Ok(response::json(StatusCode::OK, &found))
}

/// `GET /ResourceTypes`
pub(crate) async fn resource_types(State(scim): State<Arc<Scim>>, RawQuery(query): RawQuery) -> Answer {
    all(query.as_deref(), schema::resource_types(&scim.base()))
}

/// `GET /ResourceTypes/{id}`
pub(crate) async fn resource_type(State(scim): State<Arc<Scim>>, Path(id): Path<String>) -> Answer {
    one(schema::resource_types(&scim.base()), "resource type", &id)
}

/// `GET /Schemas`
pub(crate) async fn schemas(State(scim): State<Arc<Scim>>, RawQuery(query): RawQuery) -> Answer {
    all(query.as_deref(), schema::schemas(&scim.base()))
}

/// `GET /Schemas/{id}`
pub(crate) async fn schema(State(scim): State<Arc<Scim>>, Path(id): Path<String>) -> Answer {
    one(schema::schemas(&scim.base()), "schema", &id)
}

/// `POST /.search`: users, then groups. A filter on an attribute that only one of them has finds only those.
pub(crate) async fn search(
    State(scim): State<Arc<Scim>>,
    Extension(key): Extension<Arc<ScimKey>>,
    Body(body): Body,
) -> Answer {
    let parameters = Parameters::of_search(&body)?;
    let users = parameters.query(Resource::User, &key.client);
    let groups = parameters.query(Resource::Group, &key.client);
    if let (Err(error), Err(_)) = (&users, &groups) {
        return Err(error.clone());
    }
    let (mut resources, mut total, mut start) = (Vec::new(), 0, 1);
    if let Ok(query) = &users {
        (resources, total) = user::page(&scim, query, &parameters.projection(Resource::User)?).await?;
        start = query.start;
    }
    if let Ok(mut query) = groups {
        start = query.start;
        query.stored.skip = query.stored.skip.saturating_sub(total);
        query.stored.limit -= u32::try_from(resources.len()).unwrap_or(query.stored.limit);
        let (found, more) = group::page(&scim, &query, &parameters.projection(Resource::Group)?).await?;
        resources.extend(found);
        total += more;
    }
    Ok(response::json(StatusCode::OK, &listing::response(resources, total, start)))
}
