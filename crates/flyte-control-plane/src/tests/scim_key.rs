//! `ScimKeyService`.

use serde_json::json;

use super::*;
use flyte_model::Limit;
use flyte_policy::{Binding, Subject};
use flyte_store::{AuditQuery, ScimRules};

const CREATE: &str = "/flyteauth.ScimKeyService/CreateScimKey";
const LIST: &str = "/flyteauth.ScimKeyService/ListScimKeys";
const DELETE: &str = "/flyteauth.ScimKeyService/DeleteScimKey";

#[tokio::test]
async fn a_scim_key_is_created_listed_and_deleted() {
    let server = Server::start().await;
    let root = async |method: &str, body: Value| server.json(method, Some("Root"), &body).await;
    let key =
        json!({"name": "okta-1", "client": "okta", "adopts": true, "role": "viewer", "issuer": "https://id"});
    let created = root(CREATE, json!({"key": key, "lifetime": "60"})).await.json();
    let secret = created["secret"].as_str().unwrap();
    assert!(secret.starts_with("flscim_"), "{created}");
    assert_eq!(created["url"], "https://localhost:8443/scim/v2");
    let stored = server.plane.store.scim_keys().await.unwrap().remove(0);
    let rules =
        ScimRules { adopts: true, role: Some("viewer".to_owned()), issuer: Some("https://id".to_owned()) };
    assert_eq!(
        (stored.rules, stored.expires_at, stored.created_by.as_str()),
        (rules, Some(NOW + 60), "user-Root")
    );
    let error = root(CREATE, json!({"key": key})).await.error();
    assert_eq!(error.0, "already_exists");
    root(CREATE, json!({"key": {"name": "entra"}, "noExpiry": true})).await.json();
    let list = root(LIST, json!({})).await.json();
    assert_eq!((&list["keys"][0]["name"], &list["keys"][0]["client"]), (&json!("entra"), &json!("entra")));
    assert!(!list.to_string().contains("secret"), "{list}");
    assert_eq!(root(DELETE, json!({"name": "okta-1"})).await.status, StatusCode::OK);
    assert_eq!(root(DELETE, json!({"name": "okta-1"})).await.error().0, "not_found");
    for (wrong, word) in [
        (json!({}), "key"),
        (json!({"key": {"name": "Okta"}}), "name"),
        (json!({"key": {"name": "a", "client": "scim:x"}}), "client"),
        (json!({"key": {"name": "a", "role": "admin"}}), "role"),
        (json!({"key": {"name": "a", "issuer": "http://id"}}), "issuer"),
        (json!({"key": {"name": "a"}, "lifetime": "-1"}), "lifetime"),
        (json!({"key": {"name": "a"}, "lifetime": "1", "noExpiry": true}), "no_expiry"),
    ] {
        let (code, message) = root(CREATE, wrong).await.error();
        assert!(code == "invalid_argument" && message.contains(word), "{code} {message}");
    }
    let query = AuditQuery { limit: 10, ..AuditQuery::default() };
    let (records, _) = server.plane.store.list_audit_records(&query).await.unwrap();
    let events: Vec<_> = records.iter().map(|it| it.record.event.as_str()).collect();
    assert_eq!(events, ["scim_key_deleted", "scim_key_created", "scim_key_created"]);
    assert!(records.iter().all(|it| it.record.subject.as_deref() == Some("user-Root")), "{records:?}");
}

#[tokio::test]
async fn only_administrators_who_have_just_signed_in_create_scim_keys() {
    let server = Server::start().await;
    let body = json!({"key": {"name": "a"}});
    for method in [CREATE, LIST, DELETE] {
        assert_eq!(server.json(method, Some("Ada"), &body).await.error().0, "permission_denied", "{method}");
    }
    // One who administers accounts, but not groups.
    let accounts = flyte_store::CustomRole {
        name: "accounts".to_owned(),
        description: String::new(),
        permissions: flyte_policy::Permission::AdministerServer.into(),
        created_at: NOW,
    };
    server.plane.store.create_role(&accounts).await.unwrap();
    let binding =
        Binding { subject: Subject::user("user-Ada"), role: "accounts".to_owned(), limit: Limit::default() };
    server.plane.store.bind_role(&binding, NOW).await.unwrap();
    server.plane.access.reload_policies().await.unwrap();
    assert_eq!(server.json(LIST, Some("Ada"), &body).await.status, StatusCode::OK);
    assert_eq!(server.json(CREATE, Some("Ada"), &body).await.error().0, "permission_denied");
    // One who may do both has less than what groups of the client can be given.
    let both = [flyte_policy::Permission::AdministerServer, flyte_policy::Permission::ManagePermissions];
    let own = Binding {
        subject: Subject::user("user-Ada"),
        role: "contributor".to_owned(),
        limit: Limit::default(),
    };
    assert!(server.plane.store.unbind_role(&own).await.unwrap());
    server.plane.store.update_role("accounts", "", both.into_iter().collect()).await.unwrap();
    server.plane.access.reload_policies().await.unwrap();
    let with_role = json!({"key": {"name": "b", "role": "contributor"}});
    assert_eq!(server.json(CREATE, Some("Ada"), &with_role).await.error().0, "permission_denied");
    assert_eq!(server.json(CREATE, Some("Ada"), &body).await.error().0, "permission_denied");
    server.json(CREATE, Some("Root"), &body).await.json();
    server.plane.clock.advance(901);
    let (code, message) = server.json(CREATE, Some("Root"), &body).await.error();
    assert!(code == "unauthenticated" && message.contains("15 minutes"), "{code} {message}");
}
