//! Keys, clients, and what the service says about itself.

use super::*;
use flyte_testing::{api_key, user};

#[tokio::test]
async fn only_a_scim_key_that_has_not_expired_works() {
    let server = Server::start().await;
    let send = async |authorization: Option<String>| {
        let mut request = server.request(Method::GET, "/Users");
        request.headers_mut().unwrap().remove(header::AUTHORIZATION);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        server.send(request.body(Body::empty()).unwrap()).await
    };
    let (_, secret) = api_key(&*server.parts.store, "ci", |_| {}).await;
    server.parts.store.create_user(&user("Ada")).await.unwrap();
    let token = server.token_of("user-Ada")[header::AUTHORIZATION].to_str().unwrap().to_owned();
    for refused in [
        None,
        Some(format!("Basic {}", server.secret)),
        Some("Bearer ".to_owned()),
        Some(format!("Bearer {}x", server.secret)),
        Some(format!("Bearer {}", secret.expose_secret())),
        Some(token),
    ] {
        let answer = send(refused).await;
        assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer realm=\"SCIM\"");
        answer.error(401);
    }
    // And a SCIM key is no token of anything else.
    let headers = [(header::AUTHORIZATION, format!("Bearer {}", server.secret).parse().unwrap())];
    assert!(server.parts.access.authenticate(&headers.into_iter().collect()).await.is_err());
    assert_eq!(send(Some(format!("bearer {}", server.secret))).await.status, 200);
    let key = server.parts.store.scim_keys().await.unwrap().remove(0);
    assert_eq!(key.last_used_at, Some(NOW));
    server.parts.clock.advance(86_400);
    for _ in 0..3 {
        send(Some(format!("Bearer {}", server.secret))).await.error(401);
    }
    assert_eq!(server.events().await, ["scim_key_refused"; 2], "one, and the count of its repeats");
    server.parts.store.delete_scim_key(&key.name).await.unwrap();
    server.parts.clock.advance(-86_400);
    send(Some(format!("Bearer {}", server.secret))).await.error(401);
}

#[tokio::test]
async fn who_tries_keys_must_wait() {
    let mut server = Server::start().await;
    let good = std::mem::replace(&mut server.secret, "flscim_guess".to_owned());
    for _ in 0..30 {
        server.get("/Users").await.error(401);
    }
    let refused = server.get("/Users").await;
    assert_eq!(refused.header(header::RETRY_AFTER), "1");
    refused.error(429);
    server.secret = good;
    server.parts.clock.advance(5);
    server.get("/Users").await.with(200);
}

#[tokio::test]
async fn a_client_sees_and_changes_only_what_it_provisioned() {
    let mut server = Server::start().await;
    server.parts.store.create_user(&user("Own")).await.unwrap();
    let ada = server.user("ada").await;
    let group = server.group("ml", &[&ada]).await;
    server.secret = server.key("entra", ScimRules::default()).await;
    for path in [format!("/Users/{ada}"), format!("/Groups/{group}"), "/Users/user-Own".to_owned()] {
        server.get(&path).await.error(404);
        server.put(&path, json!({"userName": "a@b.c", "displayName": "x"})).await.error(404);
        server.patch(&path, json!([{"op": "replace", "path": "displayName", "value": "x"}])).await.error(404);
        server.delete(&path).await.error(404);
    }
    for path in ["/Users", "/Groups", "/Users?filter=userName eq \"own@example.com\""] {
        assert_eq!(server.get(path).await.with(200)["totalResults"], 0);
    }
    let eve = server.user("eve").await;
    let own = server.group("own", &[&eve]).await;
    let add = json!([{"op": "add", "path": "members", "value": [{"value": ada}]}]);
    assert_eq!(server.patch(&format!("/Groups/{own}"), add).await.error(400), "invalidValue");
    // A second key of the first client has its users.
    server.secret = server.key("okta", ScimRules::default()).await;
    assert_eq!(server.get("/Users").await.with(200)["Resources"][0]["id"], ada);
}

#[tokio::test]
async fn an_account_is_adopted_with_its_address_and_never_an_administrators() {
    let server = Server::with(ScimRules { adopts: true, ..ScimRules::default() }).await;
    server.parts.store.create_user(&user("Own")).await.unwrap();
    server.parts.store.create_user(&flyte_store::User { admin: true, ..user("Root") }).await.unwrap();
    let error = server.post("/Users", json!({"userName": "root@example.com"})).await.error(409);
    assert_eq!(error, "uniqueness");
    let adopted =
        server.post("/Users", json!({"userName": "OWN@example.com", "displayName": "O"})).await.with(201);
    assert_eq!(adopted["id"], "user-Own");
    let path = "/Users/user-Own";
    let moved = json!({"userName": "own@example.com", "emails": [{"value": "eve@example.com"}]});
    server.put(path, moved).await.error(403);
    server.patch(path, json!([{"op": "add", "path": "title", "value": "Dr"}])).await.with(200);
    let account = server.parts.store.user_by_id("user-Own").await.unwrap().unwrap();
    assert_eq!((account.email.as_str(), account.name.as_str()), ("own@example.com", "O"));
    server.delete(path).await.with(204);
    server.get(path).await.error(404);
    assert!(server.parts.store.user_by_id("user-Own").await.unwrap().unwrap().disabled_at.is_some());
    assert_eq!(server.post("/Users", json!({"userName": "own@example.com"})).await.error(409), "uniqueness");
    assert_eq!(server.events().await, ["user_disabled", "user_changed", "user_changed"]);
}

#[tokio::test]
async fn the_service_says_what_it_can_do() {
    let server = Server::start().await;
    let config = server.get("/ServiceProviderConfig").await.with(200);
    assert_eq!((&config["patch"]["supported"], &config["bulk"]["supported"]), (&json!(true), &json!(false)));
    let types = server.get("/ResourceTypes").await.with(200);
    assert_eq!(
        (&types["totalResults"], &types["Resources"][1]["schema"]),
        (&json!(2), &json!(schema::GROUP))
    );
    assert_eq!(server.get("/ResourceTypes/User").await.with(200)["endpoint"], "/Users");
    for urn in [schema::USER, schema::GROUP, schema::ENTERPRISE] {
        assert_eq!(server.get(&format!("/Schemas/{urn}")).await.with(200)["id"], urn);
    }
    assert_eq!(server.get("/Schemas").await.with(200)["totalResults"], 3);
    server.get("/Schemas?filter=id pr").await.error(403);
    server.get("/Schemas/urn:x").await.error(404);
    server.get("/nothing").await.error(404);
    server.get("/Me").await.error(501);
    server.post("/Bulk", json!({})).await.error(501);
    server.delete("/Users").await.error(405);
    let send = async |media: &str, body: &str| {
        let request = server.request(Method::POST, "/Users").header(header::CONTENT_TYPE, media);
        server.send(request.body(body.to_owned().into()).unwrap()).await
    };
    send("text/plain", "{}").await.error(415);
    assert_eq!(send("application/json", "{").await.error(400), "invalidSyntax");
    for (media, name) in [("application/json; charset=utf-8", "a@b.c"), ("Application/SCIM+json", "b@b.c")] {
        assert_eq!(send(media, &json!({"userName": name}).to_string()).await.status, 201);
    }
    send("application/json", &"x".repeat(9 << 20)).await.error(413);
}
