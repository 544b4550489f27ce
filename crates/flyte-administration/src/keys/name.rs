//! Names of API keys, and the `client_id` that is derived from a name.

use connectrpc::ConnectError;
use uuid::Uuid;

use super::{Fields, NewKey};
use flyte_model::ClientId;
use flyte_rpc::invalid;
use flyte_settings::reserved;

/// The longest name, in characters.
const MAX_NAME: usize = 255;
/// The longest `client_id`, in bytes.
const MAX_CLIENT_ID: usize = 63;
/// What the published plugin makes of a name: lower case, each run of other characters than 0-9 and a-z a hyphen.
pub(crate) fn client_id_of(name: &str) -> String {
    let mut id = String::with_capacity(name.len());
    for c in name.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            id.push(c);
        } else if !id.ends_with('-') {
            id.push('-');
        }
    }
    id
}

pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), ConnectError> {
    if name.trim().is_empty() {
        return Err(invalid(field, "is missing"));
    }
    if name.chars().count() > MAX_NAME {
        return Err(invalid(field, &format!("is longer than {MAX_NAME} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid(field, "has control characters"));
    }
    Ok(())
}

pub(super) fn check_client_id(new: &NewKey, fields: Fields) -> Result<ClientId, ConnectError> {
    let (field, id) = if new.client_id.is_empty() {
        (fields.name, client_id_of(&new.name))
    } else {
        (fields.client_id, new.client_id.clone())
    };
    if id.len() > MAX_CLIENT_ID {
        return Err(invalid(field, &format!("makes a client_id of more than {MAX_CLIENT_ID} characters")));
    }
    if id != client_id_of(&id) || !id.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Err(invalid(
            field,
            "must have letters or digits (a-z, 0-9), with single hyphens between them",
        ));
    }
    let id = ClientId::try_from(id).map_err(|error| invalid(field, &error.to_string()))?;
    if reserved::is_reserved(&id) {
        return Err(invalid(field, "makes a client_id that the server uses itself: choose another one"));
    }
    // Subjects of users are UUIDs. A resource server that does not check the kind of the subject must not mistake a key for a
    // user (RFC 9068 section 5).
    if Uuid::try_parse(id.as_str()).is_ok() {
        return Err(invalid(field, "cannot be a UUID"));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_made_as_the_published_plugin_makes_it() {
        for (name, expected) in [
            ("ci", "ci"),
            ("My CI key", "my-ci-key"),
            ("a__b--c", "a-b-c"),
            ("(x)", "-x-"),
            ("\u{c9}t\u{e9} 1", "-t-1"),
            ("", ""),
        ] {
            assert_eq!(client_id_of(name), expected, "{name}");
        }
    }
}
