//! The life of a user and of a pushed group, as Okta sends it
//! (<https://developer.okta.com/docs/api/openapi/okta-scim/guides/scim-20/>).

use super::*;

const OKTA_USER: &str = r#"{
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "test.user@okta.local",
    "name": {"givenName": "Test", "familyName": "User"},
    "emails": [{"primary": true, "value": "test.user@okta.local", "type": "work"}],
    "displayName": "Test User",
    "locale": "en-US",
    "externalId": "00ujl29u0le5T6Aj10h7",
    "groups": [],
    "password": "1mz050nq",
    "active": true
}"#;

fn okta_user() -> Value {
    serde_json::from_str(OKTA_USER).unwrap()
}

#[tokio::test]
async fn a_user_of_okta_is_provisioned_changed_deactivated_and_brought_back() {
    let rules = ScimRules { issuer: Some("https://acme.okta.com".to_owned()), ..ScimRules::default() };
    let server = Server::with(rules).await;
    let find = async || {
        server
            .get("/Users?filter=userName eq \"test.user@okta.local\"&startIndex=1&count=100")
            .await
            .with(200)
    };
    assert_eq!(find().await["totalResults"], 0);
    let user = server.post("/Users", okta_user()).await.with(201);
    let (id, path) = (id(&user), format!("/Users/{}", id(&user)));
    assert_eq!(find().await["Resources"][0]["id"], id);
    let identity = server.parts.store.outside_identity("https://acme.okta.com", "00ujl29u0le5T6Aj10h7").await;
    assert_eq!(identity.unwrap().unwrap().user_id, id, "they sign in through Okta");

    // Changes come as PUT, with all that was read.
    let mut changed = server.get(&path).await.with(200);
    changed["name"]["familyName"] = json!("Changed");
    changed["displayName"] = json!("Test Changed");
    assert_eq!(server.put(&path, changed).await.with(200)["name"]["familyName"], "Changed");

    // Deactivation: one act, after which nothing of the user works, at once.
    let token = server.token_of(&id);
    server.parts.access.authenticate(&token).await.unwrap();
    let (key, _) =
        flyte_testing::api_key(&*server.parts.store, "own", |key| key.created_by.clone_from(&id)).await;
    let off = json!([{"op": "replace", "value": {"active": false}}]);
    assert_eq!(server.patch(&path, off.clone()).await.with(200)["active"], false);
    assert_eq!(server.parts.store.api_key_by_id(&key.client_id).await.unwrap(), None);
    server.parts.clock.advance(31);
    assert!(server.parts.access.authenticate(&token).await.is_err());
    // Again, and with the user gone from the directory and back: the same account.
    assert_eq!(server.patch(&path, off).await.with(200)["active"], false);
    let revived = server.post("/Users", okta_user()).await;
    assert!(revived.header(header::LOCATION).ends_with(&id));
    let revived = revived.with(201);
    assert_eq!((&revived["id"], &revived["active"]), (&json!(id), &json!(true)));
    assert_eq!(server.post("/Users", okta_user()).await.error(409), "uniqueness");
    assert_eq!(server.get(&path).await.with(200)["active"], true, "a conflict changes nothing");
    let events = server.events().await;
    for kind in [
        "user_created",
        "user_changed",
        "user_disabled",
        "user_enabled",
        "identity_linked",
        "api_key_deleted",
    ] {
        assert!(events.iter().any(|event| event == kind), "{kind} {events:?}");
    }

    // A local administrator's decision stays.
    server.parts.store.deactivate_user(&id, NOW).await.unwrap();
    server.put(&path, okta_user()).await.error(403);
    server.post("/Users", okta_user()).await.error(409);
    assert_eq!(server.get(&path).await.with(200)["active"], false);
}

#[tokio::test]
async fn a_group_of_okta_is_pushed_renamed_and_emptied() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let pushed = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "Test SCIMv2",
        "members": [{"value": ada, "display": "ada@example.com"}],
    });
    let group = server.post("/Groups", pushed.clone()).await.with(201);
    let (id, path) = (id(&group), format!("/Groups/{}", id(&group)));
    // Okta does not know whether its first request arrived: there must be one group.
    assert_eq!(server.post("/Groups", pushed).await.error(409), "uniqueness");
    let found = server.get("/Groups?filter=displayName eq \"Test SCIMv2\"").await.with(200);
    assert_eq!(found["Resources"][0]["id"], id);
    let renamed = json!([{"op": "replace", "value": {"id": id, "displayName": "Test SCIMv2 renamed"}}]);
    server.patch(&path, renamed).await.with(204);
    assert_eq!(server.members(&id).await, ["ada"]);
    let both = json!([
        {"op": "remove", "path": format!("members[value eq \"{ada}\"]")},
        {"op": "add", "path": "members", "value": [{"value": bob, "display": "bob@example.com"}]},
    ]);
    server.patch(&path, both).await.with(204);
    assert_eq!(server.members(&id).await, ["bob"]);
    let replaced = json!([{"op": "replace", "path": "members", "value": [{"value": ada}, {"value": bob}]}]);
    server.patch(&path, replaced).await.with(204);
    assert_eq!(server.members(&id).await, ["ada", "bob"]);
    let put = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "id": id,
        "displayName": "Test SCIMv2",
        "members": [{"value": ada}],
    });
    server.put(&path, put).await.with(200);
    assert_eq!(server.members(&id).await, ["ada"]);
    server.delete(&path).await.with(204);
}
