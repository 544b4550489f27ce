//! Users.

use super::*;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn full() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "USERNAME": "bjensen@example.com",
        "externalId": "701984",
        "id": "chosen by the client",
        "meta": {"version": "x"},
        "groups": [{"value": "admins"}],
        "password": "t1meMa$heen",
        "name": {"formatted": "Ms. Barbara J Jensen, III", "familyName": "Jensen", "givenName": "Barbara", "unknown": 1},
        "emails": [{"value": "b@home.example", "type": "home"}, {"value": "bjensen@corp.example", "type": "work", "primary": "True"}],
        "active": "true",
        ENTERPRISE: {"employeeNumber": 701_984, "manager": {"value": "26118915", "displayName": "John"}},
    })
}

#[tokio::test]
async fn a_user_is_created_read_replaced_and_deleted() {
    let server = Server::start().await;
    let created = server.post("/Users", full()).await;
    let (location, etag) =
        (created.header(header::LOCATION).to_owned(), created.header(header::ETAG).to_owned());
    let created = created.with(201);
    let id = id(&created);
    assert_eq!(location, format!("https://localhost:8443/scim/v2/Users/{id}"));
    assert_eq!(
        created,
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
            "id": id,
            "userName": "bjensen@example.com",
            "externalId": "701984",
            "name": {"formatted": "Ms. Barbara J Jensen, III", "familyName": "Jensen", "givenName": "Barbara"},
            "emails": [{"value": "b@home.example", "type": "home"}, {"value": "bjensen@corp.example", "type": "work", "primary": true}],
            "active": true,
            ENTERPRISE: {"employeeNumber": "701984", "manager": {"value": "26118915", "displayName": "John"}},
            "meta": {
                "resourceType": "User",
                "created": "2027-01-15T08:00:00Z",
                "lastModified": "2027-01-15T08:00:00Z",
                "location": location,
                "version": etag,
            },
        })
    );
    let account = server.parts.store.user_by_id(&id).await.unwrap().unwrap();
    assert_eq!(
        (account.email.as_str(), account.name.as_str()),
        ("bjensen@corp.example", "Ms. Barbara J Jensen, III")
    );
    assert_eq!(account.password_hash, None, "a directory gives no passwords");
    let read = server.get(&location).await;
    assert_eq!((read.header(header::ETAG), &read.body), (etag.as_str(), &created));

    // What a replacement does not have is gone, except whether the account is enabled.
    server.patch(&location, json!([{"op": "replace", "path": "active", "value": false}])).await.with(200);
    let replaced = json!({"userName": "bjensen@example.com", "emails": [{"value": "bjensen@corp.example"}]});
    let replaced = server.put(&location, replaced).await.with(200);
    assert_eq!(
        (&replaced["name"], &replaced["externalId"], &replaced["active"]),
        (&Value::Null, &Value::Null, &json!(false))
    );
    assert_eq!(replaced["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:User"]));
    assert_eq!(server.delete(&location).await.with(204), Value::Null);
    assert_eq!(server.parts.store.user_by_id(&id).await.unwrap(), None);
    for answer in [
        server.get(&location).await,
        server.delete(&location).await,
        server.put(&location, json!({"userName": "a@b.c"})).await,
        server.patch(&location, json!([])).await,
    ] {
        assert_eq!(answer.error(404), "");
    }
    let events = server.events().await;
    assert_eq!(events, ["user_deleted", "user_changed", "user_disabled", "user_created"]);
}

#[tokio::test]
async fn versions_are_demanded_and_known() {
    let server = Server::start().await;
    let path = format!("/Users/{}", server.user("ada").await);
    let etag = server.get(&path).await.header(header::ETAG).to_owned();
    let send = async |method: Method, name: header::HeaderName, value: &str, body: &str| {
        let request = server.request(method, &path).header(name, value);
        server.send(request.body(body.to_owned().into()).unwrap()).await
    };
    assert_eq!(send(Method::GET, header::IF_NONE_MATCH, &etag, "").await.status, 304);
    let title = json!({"Operations": [{"op": "add", "path": "title", "value": "Dr"}]}).to_string();
    let changed = send(Method::PATCH, header::IF_MATCH, &etag, &title).await;
    assert_ne!(changed.header(header::ETAG), etag);
    assert_eq!(changed.status, 200);
    for (method, body) in
        [(Method::PATCH, title.as_str()), (Method::PUT, "{\"userName\":\"x@y.z\"}"), (Method::DELETE, "")]
    {
        send(method, header::IF_MATCH, &etag, body).await.error(412);
    }
    assert_eq!(send(Method::GET, header::IF_NONE_MATCH, &etag, "").await.status, 200);
    // Nothing changes: the version stays.
    let same = send(Method::PATCH, header::IF_MATCH, "*", &title).await;
    assert_eq!(same.header(header::ETAG), changed.header(header::ETAG));
    assert_eq!(send(Method::DELETE, header::IF_MATCH, same.header(header::ETAG), "").await.status, 204);
}

#[tokio::test]
async fn duplicates_are_conflicts_without_effect() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    server.parts.store.create_user(&flyte_testing::user("Own")).await.unwrap();
    let before = server.get(&format!("/Users/{ada}")).await.body;
    for user in [
        json!({"userName": "ADA@example.com"}),
        json!({"userName": "new@example.com", "externalId": "ada"}),
        json!({"userName": "new", "emails": [{"value": "ada@example.com"}]}),
        json!({"userName": "own@example.com"}),
    ] {
        assert_eq!(server.post("/Users", user.clone()).await.error(409), "uniqueness", "{user}");
    }
    let bob = format!("/Users/{}", server.user("bob").await);
    let taken = json!([{"op": "replace", "value": {"userName": "ada@example.com"}}]);
    assert_eq!(server.patch(&bob, taken).await.error(409), "uniqueness");
    assert_eq!(server.get(&format!("/Users/{ada}")).await.body, before);
    assert_eq!(server.parts.store.user_count().await.unwrap(), 3);
}

#[tokio::test]
async fn users_are_found_and_listed_in_parts() {
    let server = Server::start().await;
    let listed = async |query: &str| {
        let list = server.get(&format!("/Users{query}")).await.with(200);
        let resources = list["Resources"].as_array().unwrap().clone();
        assert_eq!(list["itemsPerPage"], json!(resources.len()), "{list}");
        let names: Vec<_> = resources
            .iter()
            .map(|it| it["userName"].as_str().unwrap().split('@').next().unwrap().to_owned())
            .collect();
        (names.join(" "), list["totalResults"].as_u64().unwrap())
    };
    assert_eq!(listed("?filter=userName eq \"unknown@example.com\"").await, (String::new(), 0));
    for name in ["cyd", "ada", "bob"] {
        server.user(name).await;
    }
    for (query, names, total) in [
        ("", "cyd ada bob", 3),
        ("?filter=USERNAME eq \"ADA@Example.com\"", "ada", 1),
        ("?filter=externalid eq \"bob\"", "bob", 1),
        ("?filter=externalId eq \"BOB\"", "", 0),
        ("?filter=title eq \"Dr\" or userName sw \"c\"", "cyd", 1),
        ("?filter=not (title pr) and userName co \"@\"&sortBy=userName&count=2&startIndex=2", "bob cyd", 3),
        ("?sortBy=userName&sortOrder=descending", "cyd bob ada", 3),
        ("?sortBy=name.familyName", "cyd ada bob", 3),
        ("?startIndex=0&count=1", "cyd", 3),
        ("?startIndex=3&count=100000", "bob", 3),
        ("?startIndex=4", "", 3),
        ("?count=0", "", 3),
        ("?count=-1", "", 3),
    ] {
        assert_eq!(listed(query).await, (names.to_owned(), total), "{query}");
    }
    for (query, scim_type) in [
        ("?filter=unknown eq \"x\"", "invalidFilter"),
        ("?filter=userName", "invalidFilter"),
        ("?sortBy=unknown", "invalidPath"),
        ("?sortBy=phoneNumbers", "invalidPath"),
        ("?sortOrder=up&sortBy=userName", "invalidValue"),
        ("?count=many", "invalidValue"),
        ("?filter=userName pr&filter=title pr", "invalidSyntax"),
        ("?attributes=title&excludedAttributes=name", "invalidValue"),
    ] {
        assert_eq!(server.get(&format!("/Users{query}")).await.error(400), scim_type, "{query}");
    }
    let search = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "userName sw \"a\"",
        "attributes": ["userName"],
        "startIndex": 1,
        "count": 10,
    });
    let found = server.post("/Users/.search", search.clone()).await.with(200);
    assert_eq!(found["totalResults"], 1);
    let ada = found["Resources"][0].as_object().unwrap();
    assert_eq!(ada.keys().collect::<Vec<_>>(), ["id", "schemas", "userName"]);
    server.group("ada", &[]).await;
    let both = json!({"filter": "displayName eq \"ada\"", "count": 1, "startIndex": 2});
    let both = server.post("/.search", both).await.with(200);
    assert_eq!(
        (&both["totalResults"], &both["Resources"][0]["meta"]["resourceType"]),
        (&json!(2), &json!("Group"))
    );
    assert_eq!(server.post("/.search", search).await.with(200)["totalResults"], 1);
    assert_eq!(server.post("/.search", json!({"filter": "x pr"})).await.error(400), "invalidFilter");
}

#[tokio::test]
async fn responses_have_the_attributes_that_are_wanted() {
    let server = Server::start().await;
    let path = format!("/Users/{}", id(&server.post("/Users", full()).await.with(201)));
    let keys = async |query: &str| {
        let user = server.get(&format!("{path}{query}")).await.with(200);
        user.as_object()
            .unwrap()
            .keys()
            .map(|key| key.rsplit(':').next().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(keys("?attributes=USERNAME,name.givenName").await, "id name schemas userName");
    assert_eq!(
        keys("?excludedAttributes=emails,name,meta,id,active").await,
        "externalId id schemas User userName"
    );
    assert_eq!(keys(&format!("?attributes={ENTERPRISE}:employeeNumber")).await, "id schemas User");
    let user = server.get(&format!("{path}?attributes=emails.value,name.givenName")).await.body;
    assert_eq!(user["emails"], json!([{"value": "b@home.example"}, {"value": "bjensen@corp.example"}]));
    assert_eq!(user["name"], json!({"givenName": "Barbara"}));
    let user = server.get(&format!("{path}?excludedAttributes=emails.value,{ENTERPRISE}")).await.body;
    assert_eq!((&user["emails"][0], &user[ENTERPRISE]), (&json!({"type": "home"}), &Value::Null));
}

#[tokio::test]
async fn hostile_values_are_refused() {
    let server = Server::start().await;
    let long = "x".repeat(300);
    for (user, scim_type) in [
        (json!([]), "invalidSyntax"),
        (json!({"schemas": ["urn:x"], "userName": "a@b.c"}), "invalidSyntax"),
        (json!({"userName": "a@b.c", "USERNAME": "e@b.c"}), "invalidSyntax"),
        (json!({"displayName": "x"}), "invalidValue"),
        (json!({"userName": "bjensen"}), "invalidValue"),
        (json!({"userName": ["a@b.c"]}), "invalidValue"),
        (json!({"userName": "a\u{202e}@b.c"}), "invalidValue"),
        (json!({"userName": format!("{long}@b.c")}), "invalidValue"),
        (json!({"userName": "a@b.c", "externalId": long}), "invalidValue"),
        (json!({"userName": "mi\u{212a}e@b.c"}), "invalidValue"),
        (json!({"userName": "a@b.c", "emails": [{"value": "a b@c"}]}), "invalidValue"),
        (json!({"userName": "a@b.c", "active": "perhaps"}), "invalidValue"),
        (json!({"userName": "a@b.c", "name": "Ada"}), "invalidValue"),
        (json!({"userName": "a@b.c", "title": "x".repeat(5000)}), "invalidValue"),
        (
            json!({"userName": "a@b.c", "emails": [{"value": "a@b.c", "primary": true}, {"value": "e@b.c", "primary": true}]}),
            "invalidValue",
        ),
    ] {
        assert_eq!(server.post("/Users", user.clone()).await.error(400), scim_type, "{user}");
    }
    assert_eq!(server.parts.store.user_count().await.unwrap(), 0);
    let script = json!({"userName": "a@b.c", "displayName": "\u{202e}<script>\u{7}"});
    let user = id(&server.post("/Users", script).await.with(201));
    assert_eq!(server.parts.store.user_by_id(&user).await.unwrap().unwrap().name, "<script>");
    // An account is enabled or disabled, so neither is removed.
    let path = format!("/Users/{user}");
    for operations in
        [json!([{"op": "remove", "path": "active"}]), json!([{"op": "Remove", "path": "ACTIVE"}])]
    {
        assert_eq!(server.patch(&path, operations.clone()).await.error(400), "mutability", "{operations}");
    }
    assert_eq!(server.get(&path).await.with(200)["active"], true);
}

#[tokio::test]
async fn what_the_user_changed_here_stays_until_the_directory_says_otherwise() {
    let server = Server::start().await;
    let id = server.user("ada").await;
    server.parts.store.rename_user(&id, "Ada here").await.unwrap();
    let patch = async |value: Value| {
        let path = format!("/Users/{id}");
        server.patch(&path, json!([{"op": "replace", "value": value}])).await.with(200);
        server.parts.store.user_by_id(&id).await.unwrap().unwrap().name
    };
    assert_eq!(patch(json!({"title": "Dr"})).await, "Ada here");
    assert_eq!(patch(json!({"displayName": "Ada there"})).await, "Ada there");
}
