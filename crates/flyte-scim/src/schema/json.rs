//! The schemas and resource types as JSON (RFC 7643 sections 6 and 7).

use serde_json::{Value, json};

use super::{Attribute, ENTERPRISE, GROUP, Resource, Type, USER, attributes};

fn attribute(it: &Attribute) -> Value {
    let (kind, references) = match it.kind {
        Type::Text => ("string", &[][..]),
        Type::Flag => ("boolean", &[][..]),
        Type::Time => ("dateTime", &[][..]),
        Type::Reference(types) => ("reference", types),
        Type::Complex(_) => ("complex", &[][..]),
    };
    let mut value = json!({
        "name": it.name,
        "type": kind,
        "multiValued": it.is_list,
        "description": it.description,
        "required": it.is_required,
        "caseExact": it.case_exact,
        "mutability": if it.is_read_only { "readOnly" } else { "readWrite" },
        "returned": if it.is_always_returned { "always" } else { "default" },
        "uniqueness": if it.is_unique { "server" } else { "none" },
    });
    if !references.is_empty() {
        value["referenceTypes"] = references.into();
    }
    if !it.canonical_values.is_empty() {
        value["canonicalValues"] = it.canonical_values.into();
    }
    if let Type::Complex(subs) = it.kind {
        value["subAttributes"] = subs.iter().map(attribute).collect();
    }
    value
}

fn schema(base: &str, id: &str, name: &str, description: &str, attributes: &[Attribute]) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": id,
        "name": name,
        "description": description,
        "attributes": attributes.iter().map(attribute).collect::<Vec<_>>(),
        "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{id}")},
    })
}

/// All schemas. `base` is the address of the service.
pub(crate) fn schemas(base: &str) -> Vec<Value> {
    vec![
        schema(base, USER, "User", "A user account", attributes::USER),
        schema(base, ENTERPRISE, "EnterpriseUser", "A user in an enterprise", attributes::ENTERPRISE),
        schema(base, GROUP, "Group", "A group of users", attributes::GROUP),
    ]
}

/// All types of resources.
pub(crate) fn resource_types(base: &str) -> Vec<Value> {
    [Resource::User, Resource::Group]
        .into_iter()
        .map(|resource| {
            let name = resource.name();
            let mut value = json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
                "id": name,
                "name": name,
                "endpoint": format!("/{}", resource.endpoint()),
                "description": if name == "User" { "User accounts" } else { "Groups of users" },
                "schema": resource.schema(),
                "meta": {"resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/{name}")},
            });
            if resource == Resource::User {
                value["schemaExtensions"] = json!([{"schema": ENTERPRISE, "required": false}]);
            }
            value
        })
        .collect()
}
