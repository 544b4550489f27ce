//! The life of a user and of a group, as Entra ID sends it
//! (<https://learn.microsoft.com/entra/identity/app-provisioning/use-scim-to-provision-users-and-groups>).

use super::*;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

const ENTRA_USER: &str = r#"{
    "schemas": [
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    ],
    "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
    "userName": "Test_User_ab6490ee@testuser.com",
    "active": true,
    "displayName": "lennay",
    "emails": [{"primary": true, "type": "work", "value": "Test_User_fd0ea19b@testuser.com"}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
    "roles": []
}"#;

fn entra_user() -> Value {
    serde_json::from_str(ENTRA_USER).unwrap()
}

#[tokio::test]
async fn a_user_of_entra_is_provisioned_changed_and_deactivated() {
    let server = Server::start().await;
    // The connection is tested with a name that no user has.
    let none = server.get("/Users?filter=userName eq \"7cbd3a2f-non-existent\"").await.with(200);
    assert_eq!((&none["totalResults"], &none["Resources"]), (&json!(0), &json!([])));
    let user = server.post("/Users", entra_user()).await.with(201);
    let path = format!("/Users/{}", id(&user));
    for filter in [
        "externalId eq \"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef\"",
        "userName eq \"test_user_AB6490ee@testuser.com\"",
        "emails[type eq \"work\"].value eq \"x\" or userName eq \"Test_User_ab6490ee@testuser.com\"",
    ] {
        let list = server.get(&format!("/Users?filter={filter}")).await;
        // Brackets followed by a sub-attribute are paths of PATCH, not filters.
        match filter.contains("].") {
            true => assert_eq!(list.error(400), "invalidFilter", "{filter}"),
            false => assert_eq!(list.with(200)["totalResults"], 1, "{filter}"),
        }
    }
    let operations = json!([
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "updatedEmail@corp.example"},
        {"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
        {"op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "R&D"},
        {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+4712345678"},
        {"op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": "b0b"},
    ]);
    let changed = server.patch(&path, operations).await.with(200);
    assert_eq!(
        changed["emails"],
        json!([{"primary": true, "type": "work", "value": "updatedEmail@corp.example"}])
    );
    assert_eq!(changed["phoneNumbers"], json!([{"type": "mobile", "value": "+4712345678"}]));
    assert_eq!(changed[ENTERPRISE], json!({"department": "R&D", "manager": {"value": "b0b"}}));
    let account = server.parts.store.user_by_id(&id(&user)).await.unwrap().unwrap();
    assert_eq!(account.email, "updatedEmail@corp.example");

    // Without `aadOptscim062020`, booleans are texts and all comes without a path.
    let old =
        json!([{"op": "Add", "value": {"name.givenName": "Ida", "active": "False", "displayName": "Ida"}}]);
    let off = server.patch(&path, old).await.with(200);
    assert_eq!((&off["active"], &off["name"]["givenName"]), (&json!(false), &json!("Ida")));
    assert!(server.parts.store.user_by_id(&id(&user)).await.unwrap().unwrap().disabled_at.is_some());
    let on = json!([{"op": "Replace", "path": "active", "value": "True"}]);
    assert_eq!(server.patch(&path, on).await.with(200)["active"], true);
    // An attribute that is not stored does not keep the user in.
    let off = json!([
        {"op": "Replace", "path": "roles[primary eq \"True\"].value", "value": "admin"},
        {"op": "Replace", "path": "active", "value": "False"},
    ]);
    assert_eq!(server.patch(&path, off).await.with(200)["active"], false);
    // Thirty days later.
    server.delete(&path).await.with(204);
    server.get(&path).await.error(404);
}

#[tokio::test]
async fn a_missing_address_is_created() {
    let server = Server::start().await;
    let user = id(&server.post("/Users", json!({"userName": "ida@corp.example"})).await.with(201));
    let body = json!({"Operations": [
        {"op": "Add", "value": {"name.givenName": "Ida", "active": "False"}},
        {"op": "Add", "path": "emails[type eq \"work\"].value", "value": "ida@corp.example"},
    ]});
    let changed = server.call(Method::PATCH, &format!("/Users/{user}"), body).await.with(200);
    assert_eq!((&changed["active"], &changed["name"]), (&json!(false), &json!({"givenName": "Ida"})));
    assert_eq!(changed["emails"], json!([{"type": "work", "value": "ida@corp.example"}]));
}

#[tokio::test]
async fn a_group_of_entra_is_filled_and_emptied() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let created = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group", "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
        "displayName": "displayName",
        "meta": {"resourceType": "Group"},
    });
    let group = id(&server.post("/Groups", created).await.with(201));
    // Another group of the same name is another group.
    let other = json!({"displayName": "displayName", "externalId": "another"});
    server.post("/Groups", other).await.with(201);
    let path = format!("/Groups/{group}");
    let found = server.get(
        "/Groups?excludedAttributes=members&filter=externalId eq \"8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159\"",
    );
    assert_eq!(found.await.with(200)["Resources"][0]["id"], group);
    server
        .patch(&path, json!([{"op": "Replace", "path": "displayName", "value": "1879db59"}]))
        .await
        .with(204);
    for id in [&ada, &bob] {
        let add = json!([{"op": "Add", "path": "members", "value": [{"$ref": null, "value": id}]}]);
        server.patch(&path, add).await.with(204);
    }
    assert_eq!(server.members(&group).await, ["ada", "bob"]);
    let remove = json!([{"op": "Remove", "path": "members", "value": [{"$ref": null, "value": ada}]}]);
    server.patch(&path, remove).await.with(204);
    assert_eq!(server.members(&group).await, ["bob"]);
    let found =
        server.get(&format!("/Groups?filter=id eq \"{group}\" and members eq \"{bob}\"")).await.with(200);
    assert_eq!(found["totalResults"], 1);
}
