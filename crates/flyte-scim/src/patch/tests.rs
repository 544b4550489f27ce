//! Operations on documents, as RFC 7644, Okta and Entra ID have them.

use serde_json::{Value, json};

use super::*;
use crate::{document, schema::Resource};

fn patched(before: Value, operations: Value) -> Result<Value, ScimError> {
    let mut document = document::normalize(Resource::User, &before)?;
    for operation in super::operations(&json!({"Operations": operations}))? {
        apply(Resource::User, &mut document, &operation)?;
    }
    Ok(Value::Object(document))
}

#[test]
fn entra_creates_what_is_missing() {
    // https://learn.microsoft.com/entra/identity/app-provisioning/use-scim-to-provision-users-and-groups
    let operations = json!([
        {"op": "Add", "value": {"name.givenName": "Ida", "active": "False"}},
        {"op": "Add", "path": "emails[type eq \"work\"].value", "value": "ida@corp.example"},
        {"op": "Replace", "path": "addresses[type eq \"work\"].locality", "value": "Bergen"},
        {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "R&D"},
        {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "value": "m1"},
        {"op": "Add", "path": "roles[primary eq \"True\"].value", "value": "admin"},
    ]);
    let expected = json!({
        "userName": "ida",
        "active": false,
        "name": {"givenName": "Ida"},
        "emails": [{"type": "work", "value": "ida@corp.example"}],
        "addresses": [{"type": "work", "locality": "Bergen"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "R&D", "manager": {"value": "m1"}},
    });
    assert_eq!(patched(json!({"userName": "ida"}), operations), Ok(expected));
    let urn_keys = json!([{"op": "replace", "value": {
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber": 701_984,
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"costCenter": "4130"},
        "urn:ietf:params:scim:schemas:core:2.0:User:title": "Dr",
    }}]);
    let expected = json!({
        "userName": "ida",
        "title": "Dr",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "701984", "costCenter": "4130"},
    });
    assert_eq!(patched(json!({"userName": "ida"}), urn_keys), Ok(expected));
}

#[test]
fn values_are_added_replaced_and_removed() {
    let user = || {
        json!({
            "userName": "ada",
            "title": "Dr",
            "name": {"givenName": "Ada", "familyName": "L"},
            "emails": [{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x", "type": "home"}],
        })
    };
    let emails = |operations: Value| patched(user(), operations).map(|user| user["emails"].clone());
    for (operation, expected) in [
        // A new primary value replaces the old one; a value that is there is not added twice.
        (
            json!({"op": "add", "path": "emails", "value": [{"value": "c@x", "primary": true}, {"value": "b@x", "type": "home"}]}),
            json!([{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home"}, {"value": "c@x", "primary": true}]),
        ),
        (json!({"op": "replace", "path": "emails", "value": {"value": "c@x"}}), json!([{"value": "c@x"}])),
        (
            json!({"op": "replace", "path": "emails[type eq \"home\"]", "value": {"primary": true}}),
            json!([{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home", "primary": true}]),
        ),
        (
            json!({"op": "remove", "path": "emails[type eq \"work\"]"}),
            json!([{"value": "b@x", "type": "home"}]),
        ),
        (
            json!({"op": "remove", "path": "emails", "value": [{"value": "a@x"}]}),
            json!([{"value": "b@x", "type": "home"}]),
        ),
        (
            json!({"op": "remove", "path": "emails[value eq \"b@x\"].type"}),
            json!([{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x"}]),
        ),
        (json!({"op": "remove", "path": "emails[type pr].value"}), Value::Null),
        (json!({"op": "remove", "path": "emails"}), Value::Null),
        (json!({"op": "replace", "path": "emails", "value": []}), Value::Null),
        (json!({"op": "remove", "path": "emails", "value": []}), user()["emails"].clone()),
    ] {
        assert_eq!(emails(json!([operation.clone()])), Ok(expected), "{operation}");
    }
    let changed = json!([
        {"op": "remove", "path": "title"},
        {"op": "replace", "path": "name", "value": {"familyName": "Lovelace"}},
        {"op": "add", "value": {"displayName": "Ada", "id": "other", "meta": {}, "unknown": 1, "password": "x"}},
        {"op": "replace", "path": "name.givenName", "value": null},
    ]);
    let mut expected = user();
    expected.as_object_mut().unwrap().remove("title");
    expected["name"] = json!({"familyName": "Lovelace"});
    expected["displayName"] = json!("Ada");
    assert_eq!(patched(user(), changed), Ok(expected));
}

#[test]
fn what_cannot_be_done_is_an_error() {
    for (operation, scim_type) in [
        (json!({"op": "remove"}), "noTarget"),
        (json!({"op": "move", "path": "title"}), "invalidSyntax"),
        (json!({"op": "add", "path": 5}), "invalidSyntax"),
        (json!({"op": "add", "value": "x"}), "invalidValue"),
        (json!({"op": "add", "path": "active", "value": "maybe"}), "invalidValue"),
        (json!({"op": "add", "path": "emails", "value": [{"value": 5}, true]}), "invalidValue"),
        (json!({"op": "replace", "path": "unknown", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "title[value eq \"x\"]", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "emails[", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "emails[unknown pr]", "value": "x"}), "invalidFilter"),
        (json!({"op": "replace", "path": "emails[type sw \"w\"].value", "value": "x"}), "noTarget"),
        (json!({"op": "replace", "path": "id", "value": "x"}), "mutability"),
        (json!({"op": "replace", "path": "groups", "value": []}), "mutability"),
        (json!({"op": "replace", "path": "meta.version", "value": "x"}), "mutability"),
    ] {
        let error = patched(json!({"userName": "ada"}), json!([operation.clone()])).unwrap_err();
        assert_eq!(error.scim_type, Some(scim_type), "{operation} {error:?}");
    }
    let error = super::operations(&json!({"schemas": ["urn:x"], "Operations": []})).unwrap_err();
    assert_eq!(error.scim_type, Some("invalidSyntax"));
    assert!(super::operations(&json!([])).is_err());
}
