//! Queries and their responses (RFC 7644 section 3.4.2).

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::{
    error::ScimError,
    filter::{self, Filter},
    projection::Projection,
    schema::Resource,
};
use flyte_store::{ScimCondition, ScimOrder, ScimQuery};

/// The most resources of a response.
pub(crate) const MAX_COUNT: u32 = 200;
/// The number of resources of a response if the request has no `count`.
const DEFAULT_COUNT: u32 = 100;
/// The URN of responses.
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// The URN of requests for `.search`.
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Map<String, Value>);

impl Parameters {
    /// Those of a query component.
    ///
    /// # Errors
    /// `invalidSyntax` for a parameter that is there twice.
    pub(crate) fn of_query(query: Option<&str>) -> Result<Self, ScimError> {
        let mut parameters = Map::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if parameters.insert(name.to_ascii_lowercase(), Value::String(value.into_owned())).is_some() {
                return Err(ScimError::syntax(format!("the parameter {name} is there twice")));
            }
        }
        Ok(Self(parameters))
    }

    /// Those of a `.search` request.
    ///
    /// # Errors
    /// `invalidSyntax`.
    pub(crate) fn of_search(body: &Value) -> Result<Self, ScimError> {
        let members = body.as_object().ok_or_else(|| ScimError::syntax("the body must be a JSON object"))?;
        let is_search =
            |schemas: &Value| schemas.as_array().is_some_and(|all| all.iter().any(|it| it == SEARCH));
        if members.get("schemas").is_some_and(|schemas| !is_search(schemas)) {
            return Err(ScimError::syntax(format!("schemas must contain {SEARCH}")));
        }
        let lower = |(name, value): (&String, &Value)| (name.to_ascii_lowercase(), value.clone());
        Ok(Self(members.iter().map(lower).collect()))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, ScimError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ScimError::value(format!("{name} must be a text"))),
        }
    }

    fn number(&self, name: &str) -> Result<Option<i64>, ScimError> {
        let wrong = || ScimError::value(format!("{name} must be a whole number"));
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or_else(wrong),
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }

    fn names(&self, name: &str) -> Result<Vec<String>, ScimError> {
        let split = |text: &str| -> Vec<_> {
            text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        };
        match self.0.get(name) {
            Some(Value::Array(items)) => {
                let wrong = || ScimError::value(format!("{name} must be a list of texts"));
                items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            _ => Ok(self.text(name)?.map(split).unwrap_or_default()),
        }
    }

    /// Whether there is a filter.
    pub(crate) fn has_filter(&self) -> bool {
        matches!(self.text("filter"), Ok(Some(_)) | Err(_))
    }

    /// The attributes to return.
    ///
    /// # Errors
    /// `invalidValue`.
    pub(crate) fn projection(&self, resource: Resource) -> Result<Projection, ScimError> {
        Projection::new(resource, &self.names("attributes")?, &self.names("excludedattributes")?)
    }

    /// Whether the client names the attributes that it wants.
    pub(crate) fn names_attributes(&self) -> bool {
        self.0.contains_key("attributes") || self.0.contains_key("excludedattributes")
    }

    fn order(&self, resource: Resource) -> Result<Option<ScimOrder>, ScimError> {
        let descending = match self.text("sortorder")? {
            None => false,
            Some(order) if order.eq_ignore_ascii_case("ascending") => false,
            Some(order) if order.eq_ignore_ascii_case("descending") => true,
            Some(_) => return Err(ScimError::value("sortOrder must be ascending or descending")),
        };
        self.text("sortby")?.map(|path| filter::order(resource, path, descending)).transpose()
    }

    /// The query, and what the database cannot decide.
    ///
    /// # Errors
    /// `invalidFilter`, `invalidPath` and `invalidValue`.
    pub(crate) fn query(&self, resource: Resource, client: &str) -> Result<Query, ScimError> {
        let filter = self.text("filter")?.map(filter::parse).transpose();
        let filter = filter.map_err(|error| ScimError::filter(error.to_string()))?;
        let split = filter.map(|filter| filter::split(resource, filter)).transpose()?;
        let (condition, rest): (Option<ScimCondition>, Option<Filter>) = split.unwrap_or_default();
        let start = u64::try_from(self.number("startindex")?.unwrap_or(1).max(1)).unwrap_or(1);
        let count = self.number("count")?.unwrap_or(i64::from(DEFAULT_COUNT));
        let limit = u32::try_from(count.max(0)).unwrap_or(MAX_COUNT).min(MAX_COUNT);
        let stored = ScimQuery {
            client: client.to_owned(),
            condition,
            order: self.order(resource)?,
            skip: start - 1,
            limit,
        };
        Ok(Query { stored, rest, start })
    }
}

/// A query.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// What the database decides.
    pub(crate) stored: ScimQuery,
    /// What is decided for each resource.
    pub(crate) rest: Option<Filter>,
    /// `startIndex`.
    pub(crate) start: u64,
}

/// The response to a query.
pub(crate) fn response(resources: Vec<Value>, total: u64, start: u64) -> Value {
    json!({
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}
