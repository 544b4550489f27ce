//! What a key may do, and who may see, rotate and outlive it.

use super::*;

#[tokio::test]
async fn a_limited_key_is_confined_to_its_project_and_role() {
    let server = Server::start().await;
    for id in ["p1", "p2"] {
        server.ok(CREATE, "Root", json!({"project": {"id": id}})).await;
    }
    let tokens = async |name: &str, user: &str, access: Value| {
        let made = server.ok(CREATE_KEY, user, json!({"name": name, "access": access})).await;
        server.token_of(name, made["clientSecret"].as_str().unwrap()).await.unwrap()
    };
    let limited = tokens("limited", "Ada", json!({"project": "p1", "domain": "staging"})).await;
    let viewer = tokens("viewer", "Ada", json!({"role": "viewer"})).await;
    let reader = tokens("reader", "Root", json!({"scopes": ["read"]})).await;
    let admin = tokens("admin", "Root", json!({"role": "admin"})).await;
    let of_p1 = tokens("of-p1", "Root", json!({"role": "admin", "project": "p1"})).await;
    let ids = async |token: &str, filters: &str| {
        let page = server.call(token, LIST, json!({"filters": filters})).await.json()["projects"].clone();
        let projects = page["projects"].as_array().cloned().unwrap_or_default();
        projects
            .iter()
            .map(|project| project["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(ids(&viewer, "").await, "p1 p2");
    assert_eq!(ids(&limited, "").await, "p1");
    assert_eq!(ids(&limited, "eq(id, p1)").await, "p1");
    assert_eq!(ids(&limited, "eq(id, p2)").await, "");
    let found = server.call(&limited, GET, json!({"id": "p1"})).await.json();
    assert_eq!(found["project"]["domains"], json!([{"id": "staging", "name": "Staging"}]));
    assert_eq!(server.call(&limited, GET, json!({"id": "p2"})).await.error().0, "not_found");
    let change = |id: &str| json!({"project": {"id": id, "description": "changed"}});
    for (token, method, request, expected) in [
        (&viewer, UPDATE, change("p1"), "permission_denied"),
        (&limited, UPDATE, change("p1"), "permission_denied"),
        (&reader, UPDATE, change("p1"), "permission_denied"),
        (&of_p1, UPDATE, change("p2"), "not_found"),
        (&of_p1, CREATE, change("p3"), "permission_denied"),
        (&viewer, LIST_KEYS, json!({}), "permission_denied"),
        (&limited, LIST_KEYS, json!({}), "permission_denied"),
        (&limited, CREATE_KEY, json!({"name": "another"}), "permission_denied"),
        (&of_p1, CREATE_KEY, json!({"name": "another", "access": {"project": "p2"}}), "invalid_argument"),
    ] {
        let (code, message) = server.call(token, method, request.clone()).await.error();
        assert_eq!(code, expected, "{method} {request}: {message}");
    }
    for token in [&admin, &of_p1] {
        assert_eq!(server.call(token, UPDATE, change("p1")).await.status, StatusCode::OK);
    }
    // Access that a limited administrator does not set is its own.
    let made = server.call(&of_p1, CREATE_KEY, json!({"name": "another"})).await.json();
    assert_eq!(made["apiKey"]["access"]["project"], "p1");
    let listed = server.call(&of_p1, LIST_KEYS, json!({})).await.json();
    assert_eq!(listed["apiKeys"].as_array().unwrap().len(), 1, "its own");
}

#[tokio::test]
async fn a_key_is_visible_to_its_creator_and_to_administrators() {
    let server = Server::start().await;
    for (name, user) in [("of-ada", "Ada"), ("of-root", "Root")] {
        server.ok(CREATE_KEY, user, json!({"name": name})).await;
        server.plane.clock.advance(1);
    }
    assert_eq!(server.client_ids("Root").await, ["of-root", "of-ada"], "the newest first");
    assert_eq!(server.client_ids("Ada").await, ["of-ada"]);
    for method in [GET_KEY, DELETE_KEY, ROTATE_KEY, GET_APP, DELETE_APP] {
        let (code, message) = server.json(method, Some("Ada"), &json!({"clientId": "of-root"})).await.error();
        assert_eq!((code.as_str(), message.as_str()), ("not_found", "there is no API key \"of-root\""));
    }
    let made = server.ok(GET_KEY, "Root", json!({"clientId": "of-root"})).await;
    assert_eq!(
        made["apiKey"]["access"],
        json!({"role": "contributor", "scopes": ["all"]}),
        "a key is an administrator only if the request says so"
    );
    let (code, _) = server
        .json(CREATE_KEY, Some("Ada"), &json!({"name": "x", "access": {"role": "admin"}}))
        .await
        .error();
    assert_eq!(code, "permission_denied");
    server.ok(DELETE_KEY, "Root", json!({"clientId": "of-ada"})).await;
    let page = server.ok(LIST_KEYS, "Root", json!({"limit": 1})).await;
    assert_eq!(page.get("token"), None, "the last page");
}

#[tokio::test]
async fn a_former_administrator_cannot_rotate_an_admin_key() {
    let server = Server::start().await;
    let (key, _) =
        flyte_testing::api_key(&*server.plane.store, "old", |key| key.rights.role = Role::Admin).await;
    assert_eq!(key.created_by, "user-Ada");
    let (code, message) = server.json(ROTATE_KEY, Some("Ada"), &json!({"clientId": "old"})).await.error();
    assert_eq!(code, "permission_denied", "{message}");
    server.ok(DELETE_KEY, "Ada", json!({"clientId": "old"})).await;
}

#[tokio::test]
async fn a_key_does_not_outlive_the_key_that_created_it() {
    let server = Server::start().await;
    let admin = json!({"role": "admin"});
    let contributor = json!({"role": "contributor"});
    let request = json!({"name": "short", "access": admin, "lifetime": 1000});
    let made = server.ok(CREATE_KEY, "Root", request).await;
    let token = server.token_of("short", made["clientSecret"].as_str().unwrap()).await.unwrap();
    for (access, lifetime, no_expiry, reason) in [
        (&contributor, 1001, false, "ends at 2027-01-15T08:16:40Z"),
        (&contributor, 0, true, "an API key cannot create one without an expiry"),
        (&admin, 1000, false, "only users create administrators' keys"),
        (&admin, 0, false, "only users create administrators' keys"),
    ] {
        let request = json!({"name": "next", "access": access, "lifetime": lifetime, "noExpiry": no_expiry});
        let (code, message) = server.call(&token, CREATE_KEY, request).await.error();
        assert_eq!(code, "permission_denied", "{access} {lifetime} {no_expiry}");
        assert!(message.contains(reason), "{message}");
    }
    for (name, lifetime) in [("next", 1000), ("next-2", 0)] {
        let request = json!({"name": name, "access": contributor, "lifetime": lifetime});
        let made = server.call(&token, CREATE_KEY, request).await.json();
        assert_eq!(
            made["apiKey"]["expiresAt"],
            (NOW + 1000).to_string(),
            "{name}: the key expires no later than its creator"
        );
    }
    // A rotation does not extend it either.
    server.ok(CREATE_KEY, "Root", json!({"name": "for-ever", "noExpiry": true})).await;
    for (name, expected) in
        [("for-ever", StatusCode::FORBIDDEN), ("short", StatusCode::FORBIDDEN), ("next", StatusCode::OK)]
    {
        assert_eq!(
            server.call(&token, ROTATE_KEY, json!({"clientId": name})).await.status,
            expected,
            "{name}"
        );
    }
    let lasting = json!({"name": "lasting", "access": admin, "noExpiry": true});
    let made = server.ok(CREATE_KEY, "Root", lasting).await;
    let token = server.token_of("lasting", made["clientSecret"].as_str().unwrap()).await.unwrap();
    for (request, expected) in [
        (json!({"name": "another"}), StatusCode::OK),
        (json!({"name": "a-year", "lifetime": 366 * 86_400}), StatusCode::OK),
        (json!({"name": "longer", "lifetime": 366 * 86_400 + 1}), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(server.call(&token, CREATE_KEY, request.clone()).await.status, expected, "{request}");
    }
    // The keys that it created end with it.
    let made = server.ok(GET_KEY, "Root", json!({"clientId": "another"})).await;
    assert_eq!(made["apiKey"]["createdBy"], "lasting");
    assert_eq!(
        (&made["apiKey"]["createdByEmail"], &made["apiKey"]["createdByName"]),
        (&Value::Null, &json!("lasting"))
    );
    server.ok(DELETE_KEY, "Root", json!({"clientId": "lasting"})).await;
    for gone in ["lasting", "another", "a-year"] {
        let answer = server.json(GET_KEY, Some("Root"), &json!({"clientId": gone})).await;
        assert_eq!(answer.error().0, "not_found", "{gone}");
    }
}
