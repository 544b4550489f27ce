//! What a client says about a user, in one form: names as in the schemas, values of their types, nothing that is not stored.

use serde_json::{Map, Value};

use crate::{
    error::ScimError,
    schema::{self, Attribute, Resource, Type},
};
use flyte_model::clock::UnixTime;
use flyte_settings::settings;
use flyte_store::{ScimUser, ScimUserData};

/// The longest text of an attribute, in bytes.
const MAX_TEXT_BYTES: usize = 4096;
/// The longest name, address and identifier, in bytes.
const MAX_NAME_BYTES: usize = 254;

/// An attribute name or value that is a text.
fn text_of<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Brings the body of a POST or PUT request into the form.
///
/// # Errors
/// `invalidSyntax` and `invalidValue`.
pub(crate) fn normalize(resource: Resource, body: &Value) -> Result<Map<String, Value>, ScimError> {
    let Value::Object(members) = body else {
        return Err(ScimError::syntax("the body must be a JSON object"));
    };
    let mut document = Map::new();
    for (key, value) in members {
        if key.eq_ignore_ascii_case("schemas") {
            check_schemas(resource.schema(), value)?;
        } else if let Some((urn, attributes)) = resource.extension(key) {
            let Value::Object(members) = value else {
                return Err(ScimError::value(format!("{urn} must be an object")));
            };
            let extension = object(attributes, members)?;
            if !extension.is_empty() {
                document.insert(urn.to_owned(), Value::Object(extension));
            }
        } else if let Some(attribute) = attribute(resource, key) {
            insert(&mut document, attribute, value)?;
        }
    }
    Ok(document)
}

fn attribute(resource: Resource, name: &str) -> Option<&'static Attribute> {
    let path = crate::filter::AttributePath { name: name.to_owned(), ..Default::default() };
    resource.find(&path).ok()?.attribute
}

fn check_schemas(urn: &str, value: &Value) -> Result<(), ScimError> {
    let is_urn = |value: &Value| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(urn));
    match value {
        Value::Array(items) if items.iter().any(is_urn) => Ok(()),
        _ => Err(ScimError::syntax(format!("schemas must contain {urn}"))),
    }
}

fn object(attributes: &[Attribute], members: &Map<String, Value>) -> Result<Map<String, Value>, ScimError> {
    let mut object = Map::new();
    for (key, value) in members {
        if let Some(attribute) = schema::find(attributes, key) {
            insert(&mut object, attribute, value)?;
        }
    }
    Ok(object)
}

fn insert(object: &mut Map<String, Value>, attribute: &Attribute, value: &Value) -> Result<(), ScimError> {
    if attribute.is_read_only {
        return Ok(());
    }
    if let Some(value) = self::value(attribute, value)?
        && object.insert(attribute.name.to_owned(), value).is_some()
    {
        return Err(ScimError::syntax(format!("{} is there twice", attribute.name)));
    }
    Ok(())
}

/// Brings a value of an attribute into the form; `None` if it is no value (RFC 7643 section 2.5).
///
/// # Errors
/// `invalidValue`.
pub(crate) fn value(attribute: &Attribute, value: &Value) -> Result<Option<Value>, ScimError> {
    if value.is_null() {
        return Ok(None);
    }
    if !attribute.is_list {
        return single(attribute, value);
    }
    let given = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut items = Vec::with_capacity(given.len());
    for item in given {
        if let Some(item) = single(attribute, item)?
            && !items.contains(&item)
        {
            items.push(item);
        }
    }
    if items.iter().filter(|item| is_primary(item)).count() > 1 {
        return Err(ScimError::value(format!("{}: only one value can be primary", attribute.name)));
    }
    Ok((!items.is_empty()).then_some(Value::Array(items)))
}

/// Whether a value is the primary one.
pub(crate) fn is_primary(item: &Value) -> bool {
    item.get("primary") == Some(&Value::Bool(true))
}

/// Brings one value into the form.
pub(crate) fn single(attribute: &Attribute, value: &Value) -> Result<Option<Value>, ScimError> {
    let name = attribute.name;
    let wrong = |what: &str| Err(ScimError::value(format!("{name} must be {what}")));
    match (attribute.kind, value) {
        (_, Value::Null) => Ok(None),
        (Type::Text | Type::Reference(_) | Type::Time, Value::String(text)) => {
            if text.len() > MAX_TEXT_BYTES {
                return wrong("shorter: a text has at most 4096 bytes");
            }
            Ok(Some(Value::String(text.clone())))
        }
        // Directories keep numbers of employees and postal codes as numbers.
        (Type::Text, Value::Number(number)) => Ok(Some(Value::String(number.to_string()))),
        (Type::Text | Type::Reference(_) | Type::Time, _) => wrong("a text"),
        (Type::Flag, Value::Bool(_)) => Ok(Some(value.clone())),
        // Entra ID sends "True" and "False".
        (Type::Flag, Value::String(text)) => match text.to_ascii_lowercase().parse::<bool>() {
            Ok(flag) => Ok(Some(Value::Bool(flag))),
            Err(_) => wrong("true or false"),
        },
        (Type::Flag, _) => wrong("true or false"),
        (Type::Complex(attributes), Value::Object(members)) => {
            let object = object(attributes, members)?;
            Ok((!object.is_empty()).then_some(Value::Object(object)))
        }
        // Entra ID sends the identifier of a manager without an object around it.
        (Type::Complex(attributes), Value::String(_)) if schema::find(attributes, "value").is_some() => {
            Ok(Some(Value::Object(Map::from_iter([("value".to_owned(), value.clone())]))))
        }
        (Type::Complex(_), _) => wrong("an object"),
    }
}

/// Checks a name that people see in lists, or an identifier.
pub(crate) fn check_name(attribute: &str, text: &str) -> Result<(), ScimError> {
    let wrong = |what: String| Err(ScimError::value(format!("{attribute} {what}")));
    if text.trim().is_empty() {
        return wrong("is missing".to_owned());
    }
    if text.len() > MAX_NAME_BYTES {
        return wrong(format!("must have at most {MAX_NAME_BYTES} bytes"));
    }
    if text.chars().any(is_unseen) {
        return wrong("must have no control characters and no marks that turn its direction".to_owned());
    }
    Ok(())
}

/// Whether a character is a control character, or a mark that could make one name look like another.
fn is_unseen(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// The address of the account: the primary one, otherwise that of the type `work`, otherwise the first; `userName` if there is
/// none.
pub(crate) fn account_email(document: &Map<String, Value>) -> Option<&str> {
    let emails = document.get("emails").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let address = |email: &'_ &Value| email.get("value").and_then(Value::as_str).is_some();
    let is_work = |email: &&Value| {
        email.get("type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("work"))
    };
    let emails = || emails.iter().filter(address);
    let chosen = emails().find(|email| is_primary(email)).or_else(|| emails().find(is_work));
    let chosen = chosen.or_else(|| emails().next()).and_then(|email| email.get("value")?.as_str());
    chosen.or_else(|| text_of(document, "userName").filter(|name| name.contains('@'))).map(str::trim)
}

/// The name of the account.
pub(crate) fn account_name(document: &Map<String, Value>) -> String {
    let part = |part| document.get("name").and_then(|name| name.get(part)).and_then(Value::as_str);
    let parts = || {
        let parts: Vec<_> = [part("givenName"), part("familyName")].into_iter().flatten().collect();
        Some(parts.join(" ")).filter(|name| !name.trim().is_empty())
    };
    let name = text_of(document, "displayName").or(part("formatted")).map(str::to_owned);
    let name = name.or_else(parts).or_else(|| text_of(document, "userName").map(str::to_owned));
    let mut name: String = name.unwrap_or_default().chars().filter(|c| !is_unseen(*c)).collect();
    while name.len() > MAX_NAME_BYTES {
        name.pop();
    }
    name.trim().to_owned()
}

/// What is stored of a document. `active` is its default.
///
/// # Errors
/// `invalidValue` if something that an account needs is missing or unusable.
pub(crate) fn user_data(mut document: Map<String, Value>, active: bool) -> Result<ScimUserData, ScimError> {
    let user_name = text_of(&document, "userName").unwrap_or_default().trim().to_owned();
    check_name("userName", &user_name)?;
    let external_id = text_of(&document, "externalId").map(str::to_owned);
    if let Some(external_id) = &external_id {
        check_name("externalId", external_id)?;
    }
    let Some(email) = account_email(&document).map(str::to_owned) else {
        return Err(ScimError::value("emails: an e-mail address is needed, because userName is not one"));
    };
    let is_usable = email.is_ascii() && email.len() <= MAX_NAME_BYTES && !email.contains(char::is_control);
    if !is_usable || settings::email(&email).is_err() {
        return Err(ScimError::value(format!(
            "emails: {email:?} is not an e-mail address of at most {MAX_NAME_BYTES} ASCII characters"
        )));
    }
    let emails = document.get("emails").and_then(Value::as_array).into_iter().flatten();
    let emails = emails.filter_map(|email| email.get("value")?.as_str()).map(str::to_owned).collect();
    let name = account_name(&document);
    let display_name = text_of(&document, "displayName").map(str::to_owned);
    let active = document.get("active").and_then(Value::as_bool).unwrap_or(active);
    for column in ["userName", "externalId", "active"] {
        document.remove(column);
    }
    let attributes = Value::Object(document).to_string();
    Ok(ScimUserData { user_name, external_id, email, emails, name, display_name, active, attributes })
}

/// The document of a stored user.
pub(crate) fn of_user(user: &ScimUser) -> Map<String, Value> {
    let mut document = match serde_json::from_str(&user.attributes) {
        Ok(Value::Object(document)) => document,
        other => {
            tracing::error!(user_id = user.id, ?other, "the stored attributes of a user are not an object");
            Map::new()
        }
    };
    document.insert("userName".to_owned(), user.user_name.clone().into());
    document.insert("active".to_owned(), user.active.into());
    if let Some(external_id) = &user.external_id {
        document.insert("externalId".to_owned(), external_id.clone().into());
    }
    document
}

/// What changes: the account keeps the name and address that its user or an administrator gave it, until the client says
/// something else than before.
pub(crate) fn keep_own(data: &mut ScimUserData, before: &ScimUser) {
    let said = of_user(before);
    if account_name(&said) == data.name {
        data.name.clone_from(&before.name);
    }
    if account_email(&said).is_some_and(|email| email.eq_ignore_ascii_case(&data.email)) {
        data.email.clone_from(&before.email);
    }
}

/// `meta` of a resource.
pub(crate) fn meta(
    resource: Resource,
    base: &str,
    id: &str,
    version: i64,
    (created, modified): (UnixTime, UnixTime),
) -> Value {
    serde_json::json!({
        "resourceType": resource.name(),
        "created": crate::time::format(created),
        "lastModified": crate::time::format(modified),
        "location": format!("{base}/{}/{id}", resource.endpoint()),
        "version": crate::precondition::etag(version),
    })
}
