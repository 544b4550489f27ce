//! Groups and their members.

use futures_util::future::join_all;

use super::*;
use flyte_model::{Limit, Role};
use flyte_policy::{Binding, Permission, Subject};
use flyte_store::{Group, ScimGroupChange, ScimMemberChange, ScimUserData, StoreError};

#[tokio::test]
async fn every_way_to_remove_members_removes_exactly_those() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for name in ["ada", "bob", "cyd"] {
        ids.push(server.user(name).await);
    }
    let all: Vec<_> = ids.iter().map(|id| json!({"value": id})).collect();
    let [ada, bob, _] = [&ids[0], &ids[1], &ids[2]];
    for (operation, left) in [
        (json!({"op": "remove", "path": format!("members[value eq \"{ada}\"]")}), "bob cyd"),
        (
            json!({"op": "Remove", "path": format!("members[value eq \"{ada}\" or value eq \"{bob}\"]")}),
            "cyd",
        ),
        (json!({"op": "remove", "path": "members", "value": [{"value": ada}]}), "bob cyd"),
        (json!({"op": "remove", "path": "members", "value": {"value": ada}}), "bob cyd"),
        (json!({"op": "remove", "path": "members", "value": [ada, bob]}), "cyd"),
        (json!({"op": "remove", "path": "members[display eq \"ADA\"]"}), "bob cyd"),
        (json!({"op": "remove", "path": "members[not (display sw \"a\")]"}), "ada"),
        (json!({"op": "remove", "path": "members[type eq \"User\"]"}), ""),
        (json!({"op": "remove", "path": "members"}), ""),
        (json!({"op": "replace", "path": "members", "value": []}), ""),
        (json!({"op": "replace", "value": {"members": [{"value": bob}]}}), "bob"),
        (json!({"op": "replace", "path": "members", "value": [{"$ref": format!("../Users/{bob}")}]}), "bob"),
        // Nothing is named, so nothing is removed.
        (json!({"op": "remove", "path": "members", "value": []}), "ada bob cyd"),
        (json!({"op": "remove", "path": "members[value eq \"unknown\"]"}), "ada bob cyd"),
    ] {
        let group = id(&server.post("/Groups", json!({"displayName": "ml", "members": all})).await.with(201));
        let path = format!("/Groups/{group}");
        assert_eq!(
            server.patch(&path, json!([operation.clone()])).await.with(204),
            Value::Null,
            "{operation}"
        );
        assert_eq!(server.members(&group).await.join(" "), left, "{operation}");
        server.delete(&path).await.with(204);
    }
    let group = server.group("ml", &[ada]).await;
    for (operation, scim_type) in [
        (json!({"op": "remove", "path": "members[value eq"}), "invalidPath"),
        (json!({"op": "remove", "path": "members[unknown eq \"x\"]"}), "invalidFilter"),
        (json!({"op": "remove", "path": format!("members[value eq \"{ada}\"].display")}), "mutability"),
        (
            json!({"op": "replace", "path": format!("members[value eq \"{ada}\"]"), "value": {"value": bob}}),
            "invalidPath",
        ),
        (json!({"op": "add", "path": "members", "value": [{"value": "unknown"}]}), "invalidValue"),
        (
            json!({"op": "add", "path": "members", "value": [{"value": group, "type": "Group"}]}),
            "invalidValue",
        ),
        (json!({"op": "add", "path": "members", "value": [{}]}), "invalidValue"),
        (json!({"op": "remove", "path": "displayName"}), "mutability"),
        (json!({"op": "replace", "path": "id", "value": "x"}), "mutability"),
        (json!({"op": "replace", "path": "unknown", "value": "x"}), "invalidPath"),
    ] {
        let answer = server.patch(&format!("/Groups/{group}"), json!([operation.clone()])).await;
        assert_eq!(answer.error(400), scim_type, "{operation}");
        assert_eq!(server.members(&group).await, ["ada"], "{operation}");
    }
}

#[tokio::test]
async fn members_that_are_added_at_once_to_a_large_group_are_all_added() {
    let server = Server::start().await;
    let data = |n: usize| ScimUserData {
        user_name: format!("u{n}"),
        external_id: None,
        email: format!("u{n}@example.com"),
        emails: vec![],
        name: format!("U{n}"),
        display_name: None,
        active: true,
        attributes: "{}".to_owned(),
    };
    let ids: Vec<_> = (0..5050).map(|n| format!("id-{n}")).collect();
    let create = async |n: usize| {
        server
            .parts
            .store
            .create_scim_user("okta", &ScimRules::default(), &ids[n], &data(n), NOW)
            .await
            .unwrap();
    };
    join_all((0..5050).map(create)).await;
    let group = server.group("all", &[]).await;
    let first = ScimGroupChange {
        members: vec![ScimMemberChange::Add(ids[..5000].to_vec())],
        ..ScimGroupChange::default()
    };
    server.parts.store.change_scim_group("okta", &group, &first, None, NOW).await.unwrap();
    let path = format!("/Groups/{group}");
    let add = async |id: &String| {
        let operation = json!([{"op": "Add", "path": "members", "value": [{"value": id}]}]);
        server.patch(&path, operation).await.with(204);
    };
    join_all(ids[5000..].iter().map(add)).await;
    let whole = server.get(&path).await.with(200);
    assert_eq!(whole["members"].as_array().unwrap().len(), 5050);
    for query in ["?excludedAttributes=members", "?attributes=displayName"] {
        let small = server.get(&format!("{path}{query}")).await.with(200);
        assert_eq!((&small["members"], &small["displayName"]), (&Value::Null, &json!("all")));
    }
}

#[tokio::test]
async fn a_new_name_keeps_members_and_a_replacement_says_who_they_are() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let group = server.group("ml", &[&ada, &bob]).await;
    let path = format!("/Groups/{group}");
    let renamed = json!([{"op": "Replace", "value": {"id": group, "displayName": "Research"}}]);
    server.patch(&path, renamed).await.with(204);
    let replaced = server.put(&path, json!({"displayName": "Labs", "externalId": "g1"})).await.with(200);
    assert_eq!((&replaced["displayName"], &replaced["externalId"]), (&json!("Labs"), &json!("g1")));
    assert_eq!(server.members(&group).await, ["ada", "bob"]);
    server.put(&path, json!({"displayName": "Labs", "Members": [{"value": ada}]})).await.with(200);
    assert_eq!(server.members(&group).await, ["ada"]);
    let user = server.get(&format!("/Users/{ada}")).await.with(200);
    assert_eq!(user["groups"][0]["display"], "Labs");
    assert_eq!(user["groups"][0]["$ref"], format!("https://localhost:8443/scim/v2/Groups/{group}"));
    server.put(&path, json!({"displayName": "Labs", "members": []})).await.with(200);
    assert_eq!(server.members(&group).await, Vec::<String>::new());
    let answer = server.patch(&format!("{path}?attributes=displayName"), json!([])).await.with(200);
    assert_eq!(answer["displayName"], "Labs");
    for (query, total) in [
        ("?filter=displayName eq \"LABS\"", 1),
        ("?filter=members.value eq \"x\"", 0),
        ("?filter=displayName eq \"x\" or meta.created pr&sortBy=displayName", 1),
    ] {
        assert_eq!(server.get(&format!("/Groups{query}")).await.with(200)["totalResults"], total, "{query}");
    }
    let events = server.events().await;
    let count = |kind: &str| events.iter().filter(|event| *event == kind).count();
    assert_eq!(
        (count("group_created"), count("group_changed"), count("member_added"), count("member_removed")),
        (1, 3, 2, 2)
    );
}

#[tokio::test]
async fn rights_are_those_of_the_group_and_change_at_once() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let store = &server.parts.store;
    let made_here = Group {
        id: "hand".to_owned(),
        name: "operators".to_owned(),
        description: String::new(),
        origin: None,
        created_at: NOW,
    };
    store.create_group(&made_here).await.unwrap();
    let group = server.group("operators", &[&ada]).await;
    for (subject, role) in [("hand", Role::Admin), (group.as_str(), Role::Contributor)] {
        let (subject, role) = (Subject::group(subject), role.to_string());
        store.bind_role(&Binding { subject, role, limit: Limit::default() }, NOW).await.unwrap();
    }
    // The caller is remembered until this replica learns of other policies; the clock does not move.
    let headers = server.token_of(&ada);
    let may = async |permission: Permission| {
        let caller = server.parts.access.authenticate(&headers).await.unwrap();
        caller.grants.may_everywhere(permission)
    };
    server.parts.access.reload_policies().await.unwrap();
    assert!(
        may(Permission::Run).await && !may(Permission::AdministerServer).await,
        "another group has that name"
    );
    let path = format!("/Groups/{group}");
    server.patch(&path, json!([{"op": "remove", "path": "members"}])).await.with(204);
    assert!(!may(Permission::Run).await);
    server.patch(&path, json!([{"op": "add", "path": "members", "value": [{"value": ada}]}])).await.with(204);
    assert!(may(Permission::Run).await);
    server.delete(&path).await.with(204);
    assert!(!may(Permission::Run).await);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let group = server.group("admins", &[&ada]).await;
    let binding =
        Binding { subject: Subject::group(&group), role: "admin".to_owned(), limit: Limit::default() };
    server.parts.store.bind_role(&binding, NOW).await.unwrap();
    let (user, group) = (format!("/Users/{ada}"), format!("/Groups/{group}"));
    for answer in [
        server.patch(&group, json!([{"op": "remove", "path": "members"}])).await,
        server.put(&group, json!({"displayName": "admins", "members": []})).await,
        server.delete(&group).await,
        server.patch(&user, json!([{"op": "replace", "value": {"active": "False"}}])).await,
        server.delete(&user).await,
    ] {
        assert_eq!(answer.error(403), "");
    }
    assert_eq!(server.get(&user).await.with(200)["active"], true);
    let disabled = server.parts.store.deactivate_user(&ada, NOW).await;
    assert!(matches!(disabled, Err(StoreError::LastAdministrator)));
}
