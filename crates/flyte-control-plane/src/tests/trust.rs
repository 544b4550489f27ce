//! `TrustService`.

use serde_json::json;

use super::*;
use flyte_audit::Kind;
use flyte_store::{AuditQuery, Project, ProjectState};

pub(super) const CREATE_TRUST: &str = "/flyteauth.TrustService/CreateTrust";
const GET_TRUST: &str = "/flyteauth.TrustService/GetTrust";
const LIST_TRUSTS: &str = "/flyteauth.TrustService/ListTrusts";
const DELETE_TRUST: &str = "/flyteauth.TrustService/DeleteTrust";

pub(super) fn trust() -> Value {
    json!({
        "name": "ci",
        "issuer": "https://token.actions.githubusercontent.com",
        "audience": "https://localhost:8443",
        "claims": {"repository": "acme/*", "ref": "refs/heads/main"},
        "access": {"role": "contributor", "project": "p1", "domain": "development"},
        "tokenLifetime": "900",
    })
}

impl Server {
    pub(super) async fn with_project() -> Self {
        let server = Self::start().await;
        let project = Project {
            id: "p1".to_owned(),
            name: "P1".to_owned(),
            description: String::new(),
            labels: [].into(),
            state: ProjectState::Active,
            created_at: 0,
            updated_at: 0,
        };
        server.plane.store.create_project(&project).await.unwrap();
        server
    }

    async fn root(&self, method: &str, body: Value) -> Answer {
        self.json(method, Some("Root"), &body).await
    }
}

#[tokio::test]
async fn a_rule_is_created_read_listed_and_deleted() {
    let server = Server::with_project().await;
    let created = server.root(CREATE_TRUST, json!({"trust": trust()})).await.json();
    let mut expected = trust();
    expected["access"]["scopes"] = json!(["all"]);
    expected["createdBy"] = json!("user-Root");
    expected["createdByEmail"] = json!("root@example.com");
    expected["createdByName"] = json!("Root");
    expected["createdAt"] = json!(NOW.to_string());
    assert_eq!(created["trust"], expected);
    assert_eq!(server.root(GET_TRUST, json!({"name": "ci"})).await.json()["trust"], expected);
    let mut other = trust();
    other["name"] = json!("a");
    other["access"] = json!({"role": "viewer", "scopes": ["read", "read"]});
    other.as_object_mut().unwrap().remove("tokenLifetime");
    server.root(CREATE_TRUST, json!({"trust": other})).await.json();
    let list = server.root(LIST_TRUSTS, json!({})).await.json()["trusts"].clone();
    assert_eq!((&list[0]["name"], &list[0]["access"]["scopes"]), (&json!("a"), &json!(["read"])));
    assert_eq!(list[1], expected);

    let (code, message) = server.root(CREATE_TRUST, json!({"trust": trust()})).await.error();
    assert!(code == "already_exists" && message.contains("\"ci\""), "{code} {message}");
    let family = server.plane.store.trust_rule_by_name("ci").await.unwrap().unwrap().family_id;
    assert_eq!(server.root(DELETE_TRUST, json!({"name": "ci"})).await.status, StatusCode::OK);
    for method in [DELETE_TRUST, GET_TRUST] {
        assert_eq!(server.root(method, json!({"name": "ci"})).await.error().0, "not_found");
    }
    assert_eq!(server.plane.store.families_revoked_since(NOW).await.unwrap(), std::slice::from_ref(&family));

    let query = AuditQuery { limit: 10, ..AuditQuery::default() };
    let (records, _) = server.plane.store.list_audit_records(&query).await.unwrap();
    let summaries: Vec<_> =
        records.iter().map(|it| (it.record.event.as_str(), it.record.object.as_deref().unwrap())).collect();
    let (created, deleted) = (Kind::TrustCreated.as_str(), Kind::TrustDeleted.as_str());
    assert_eq!(summaries, [(deleted, "ci"), (created, "a"), (created, "ci")]);
    let first = &records[2].record;
    assert_eq!(first.subject.as_deref(), Some("user-Root"));
    assert_eq!((&first.details["role"], &first.details["project"]), (&"contributor".into(), &"p1".into()));
    assert_eq!(first.details["family_id"], family);
}

#[tokio::test]
async fn only_administrators_manage_trust_rules() {
    let server = Server::with_project().await;
    for (method, body) in [
        (CREATE_TRUST, json!({"trust": trust()})),
        (GET_TRUST, json!({"name": "ci"})),
        (LIST_TRUSTS, json!({})),
        (DELETE_TRUST, json!({"name": "ci"})),
    ] {
        assert_eq!(server.json(method, None, &body).await.error().0, "unauthenticated");
        assert_eq!(server.json(method, Some("Ada"), &body).await.error().0, "permission_denied", "{method}");
    }
    server.plane.audit.flush().await;
    let query = AuditQuery { limit: 10, event: Some("call_denied".to_owned()), ..AuditQuery::default() };
    assert_eq!(server.plane.store.list_audit_records(&query).await.unwrap().0.len(), 4);
}

#[tokio::test]
async fn errors_name_the_invalid_field() {
    let server = Server::with_project().await;
    for (pointer, value, expected) in [
        ("/name", json!("CI"), "trust.name must have"),
        ("/issuer", json!("http://ci.example"), "trust.issuer must start with https://"),
        ("/jwksUri", json!("ftp://ci.example"), "trust.jwks_uri must start"),
        ("/audience", json!(""), "trust.audience is missing"),
        ("/claims", json!({}), "trust.claims is empty"),
        ("/claims", json!({"ref": "refs/heads/main"}), "trust.claims does not name an owner"),
        ("/claims", json!({"repository": "acme/***"}), "trust.claims[\"repository\"] has more than two *"),
        ("/tokenLifetime", json!("5"), "trust.token_lifetime must be"),
        ("/tokenLifetime", json!("-1"), "trust.token_lifetime must be"),
        ("/access/role", json!(""), "trust.access.role is missing"),
        ("/access/role", json!("root"), "trust.access.role must be viewer"),
        ("/access/scopes", json!(["openid"]), "trust.access.scopes has \"openid\""),
        ("/access/project", json!("p2"), "trust.access.project names no project"),
        ("/access/project", json!(""), "trust.access.domain needs"),
        ("/access/domain", json!("moon"), "trust.access.domain is not one of"),
    ] {
        let mut rule = trust();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        rule.pointer_mut(parent).unwrap()[name] = value;
        let (code, message) = server.root(CREATE_TRUST, json!({"trust": rule})).await.error();
        assert!(code == "invalid_argument" && message.starts_with(expected), "{pointer}: {code} {message}");
    }
    let (code, message) = server.root(CREATE_TRUST, json!({})).await.error();
    assert_eq!((code.as_str(), message.as_str()), ("invalid_argument", "trust is missing"));
    assert!(server.plane.store.list_trust_rules().await.unwrap().is_empty());
}
