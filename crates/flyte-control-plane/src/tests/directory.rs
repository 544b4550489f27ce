//! Users, groups, roles, policies and who has them.

use serde_json::json;

use super::{
    api_key::CREATE_KEY,
    trust::{CREATE_TRUST, trust},
    *,
};
use flyte_model::{Limit, Role};
use flyte_policy::{Binding, Subject};
use flyte_store::AuditQuery;

const USERS: &str = "/cloudidl.identity.UserService";
const ROLES: &str = "/cloudidl.identity.RoleService";
const POLICIES: &str = "/cloudidl.identity.PolicyService";
const AUTHORIZER: &str = "/cloudidl.authorizer.AuthorizerService";
const OWN_USERS: &str = "/flyteauth.UserService";
const OWN_ROLES: &str = "/flyteauth.RoleService";
const GROUPS: &str = "/flyteauth.GroupService";

impl Server {
    async fn by(&self, user: &str, service: &str, method: &str, request: Value) -> Value {
        self.ok(&format!("{service}/{method}"), user, request).await
    }

    /// The code and the message of a call that fails.
    async fn refused(&self, user: &str, service: &str, method: &str, request: Value) -> (String, String) {
        self.json(&format!("{service}/{method}"), Some(user), &request).await.error()
    }

    async fn denied(&self, user: &str, service: &str, method: &str, request: Value) -> String {
        let (code, message) = self.refused(user, service, method, request).await;
        assert_eq!(code, "permission_denied", "{method}: {message}");
        message
    }

    /// Gives Ada a role in the project `p1` instead of her own role everywhere.
    async fn ada_only_in_p1(&self, role: Role) {
        let binding = |role: Role, limit: Limit| Binding {
            subject: Subject::user("user-Ada"),
            role: role.to_string(),
            limit,
        };
        let p1 = Limit { project: Some("p1".to_owned()), domain: None };
        self.plane.store.bind_role(&binding(role, p1), NOW).await.unwrap();
        self.plane.store.unbind_role(&binding(Role::Contributor, Limit::default())).await.unwrap();
        self.plane.access.reload_policies().await.unwrap();
    }

    async fn recorded(&self) -> Vec<String> {
        self.plane.audit.flush().await;
        let query = AuditQuery { limit: 100, ..Default::default() };
        let events = self.plane.store.list_audit_records(&query).await.unwrap().0;
        events.iter().rev().map(|event| event.record.event.clone()).collect()
    }
}

fn user(subject: &str) -> Value {
    json!({"userId": {"subject": subject}})
}

fn assign(subject: &str, policy: &str) -> Value {
    json!({"identity": user(subject), "policyId": {"name": policy}})
}

/// A policy with one binding.
fn policy(name: &str, role: &str, resource: Value) -> Value {
    let binding = json!({"roleId": {"name": role}, "resource": resource});
    json!({"policy": {"id": {"name": name}, "bindings": [binding]}})
}

fn in_project(project: &str) -> Value {
    json!({"project": {"name": project, "domain": {"name": ""}}})
}

#[tokio::test]
async fn an_account_is_created_listed_and_deleted_with_all_that_it_has() {
    let server = Server::with_project().await;
    let spec = json!({"spec": {"firstName": "Jane Q", "lastName": "Doe", "email": "jane@example.com"}});
    let subject = server.by("Root", USERS, "CreateUser", spec.clone()).await["id"]["subject"].clone();
    let found =
        server.by("Root", USERS, "GetUser", json!({"id": {"subject": subject}})).await["user"].clone();
    assert_eq!(found["spec"]["firstName"], "Jane Q");
    assert_eq!(found["spec"]["lastName"], "Doe");
    assert_eq!(found["roles"][0]["id"]["name"], "contributor");
    let mut double = spec;
    double["spec"]["email"] = json!("JANE@example.com");
    assert_eq!(server.refused("Root", USERS, "CreateUser", double).await.0, "already_exists");
    for bad in ["", "jane", "j\u{202e}ane@example.com", "a b@example.com"] {
        let spec = json!({"spec": {"email": bad}});
        let (code, message) = server.refused("Root", USERS, "CreateUser", spec).await;
        assert_eq!(code, "invalid_argument", "{bad:?}: {message}");
        assert!(message.starts_with("spec.email"), "{message}");
    }
    let filter = json!({"field": "email", "function": "EQUAL", "values": ["Jane@Example.com"]});
    let listed = server.by("Root", USERS, "ListUsers", json!({"request": {"filters": [filter]}})).await;
    assert_eq!(listed["users"].as_array().unwrap().len(), 1);
    assert_eq!(listed["count"], "3");
    let page = server.by("Root", USERS, "ListUsers", json!({"request": {"limit": 2}})).await;
    assert_eq!(page["users"][0]["spec"]["email"], "ada@example.com");
    let next = json!({"request": {"limit": 2, "token": page["token"]}});
    let last = server.by("Root", USERS, "ListUsers", next).await;
    assert_eq!(last["users"][0]["spec"]["email"], "root@example.com");
    assert!(last["token"].is_null());

    // A person with a key, a trust rule and a token.
    server.by("Root", AUTHORIZER, "AssignIdentity", assign("user-Ada", "admin")).await;
    let made = server.ok(CREATE_KEY, "Ada", json!({"name": "ci", "access": {"role": "viewer"}})).await;
    let key = server.token_of("ci", made["clientSecret"].as_str().unwrap()).await.unwrap();
    server.ok(CREATE_TRUST, "Ada", json!({"trust": trust()})).await;
    assert_eq!(server.call(&key, USER_INFO, json!({})).await.status, StatusCode::OK);
    server.by("Root", USERS, "DeleteUser", json!({"id": {"subject": "user-Ada"}})).await;
    for token in [key, server.token("Ada", &["all"])] {
        assert_eq!(server.call(&token, USER_INFO, json!({})).await.error().0, "unauthenticated", "at once");
    }
    assert!(server.plane.store.list_trust_rules().await.unwrap().is_empty());
    let gone = json!({"id": {"subject": "user-Ada"}});
    assert_eq!(server.refused("Root", USERS, "DeleteUser", gone).await.0, "not_found");
    let (code, message) =
        server.refused("Root", USERS, "DeleteUser", json!({"id": {"subject": "user-Root"}})).await;
    assert_eq!(code, "failed_precondition", "{message}");
    let events = server.recorded().await;
    for event in ["user_created", "role_granted", "user_deleted", "api_key_deleted", "trust_deleted"] {
        assert!(events.contains(&event.to_owned()), "{event}: {events:?}");
    }
}

#[tokio::test]
async fn a_password_is_made_up_for_people_only() {
    let server = Server::start().await;
    let new = json!({"email": "jane@example.com", "withPassword": true});
    let made = server.by("Root", OWN_USERS, "CreateUser", new).await;
    assert_eq!(made["password"].as_str().unwrap().len(), 23);
    assert_eq!(made["user"]["name"], "jane");
    assert_eq!(made["user"]["hasPassword"], true);
    let change = json!({"user": "JANE@example.com", "name": "Jane Doe", "enabled": false});
    let changed = server.by("Root", OWN_USERS, "UpdateUser", change).await;
    assert_eq!(changed["user"]["name"], "Jane Doe");
    assert_eq!(changed["user"]["disabledAt"], NOW.to_string());
    let change = json!({"user": "jane@example.com", "enabled": true});
    assert!(server.by("Root", OWN_USERS, "UpdateUser", change).await["user"]["disabledAt"].is_null());
    let last = json!({"user": "root@example.com", "enabled": false});
    assert_eq!(server.refused("Root", OWN_USERS, "UpdateUser", last).await.0, "failed_precondition");

    let made = server.ok(CREATE_KEY, "Root", json!({"name": "scim", "access": {"role": "admin"}})).await;
    let key = server.token_of("scim", made["clientSecret"].as_str().unwrap()).await.unwrap();
    let new = |email: &str, with: bool| json!({"email": email, "withPassword": with});
    let method = "/flyteauth.UserService/CreateUser";
    assert_eq!(server.call(&key, method, new("a@example.com", false)).await.status, StatusCode::OK);
    assert_eq!(server.call(&key, method, new("b@example.com", true)).await.error().0, "permission_denied");
    // Nor does the holder of a key make administrators.
    let method = "/cloudidl.authorizer.AuthorizerService/AssignIdentity";
    let refused = server.call(&key, method, assign("user-Ada", "admin")).await.error();
    assert_eq!(refused.0, "permission_denied", "{}", refused.1);
    assert_eq!(server.call(&key, method, assign("user-Ada", "viewer")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn contributors_neither_see_nor_change_who_may_do_what() {
    let server = Server::start().await;
    for (service, method, request) in [
        (USERS, "CreateUser", json!({"spec": {"email": "a@example.com"}})),
        (USERS, "ListUsers", json!({})),
        ("/cloudidl.identity.MemberService", "ListMembers", json!({})),
        (ROLES, "CreateRole", json!({"role": {"id": {"name": "r"}}})),
        (ROLES, "List", json!({})),
        (POLICIES, "CreatePolicy", json!({"policy": {"id": {"name": "p"}}})),
        (POLICIES, "GetPolicy", json!({"id": {"name": "admin"}})),
        (AUTHORIZER, "AssignIdentity", assign("user-Ada", "admin")),
        (AUTHORIZER, "GetIdentityAssignments", json!({"identity": user("user-Root")})),
        (GROUPS, "CreateGroup", json!({"name": "g"})),
        (OWN_ROLES, "ListRoles", json!({})),
    ] {
        server.denied("Ada", service, method, request).await;
    }
    // Also administrators do not ask what the parts of a hosted control plane ask each other.
    server.denied("Root", AUTHORIZER, "CreateOrganization", json!({})).await;
}

#[tokio::test]
async fn an_administrator_of_a_project_gives_away_roles_in_it_only() {
    let server = Server::with_project().await;
    server.ok(CREATE, "Root", json!({"project": {"id": "p2"}})).await;
    server.ada_only_in_p1(Role::Admin).await;
    server.by("Root", OWN_USERS, "CreateUser", json!({"email": "bob@example.com"})).await;
    let bob = server.by("Ada", OWN_USERS, "GetUser", json!({"user": "bob@example.com"})).await;
    let bob = bob["user"]["subject"].as_str().unwrap().to_owned();

    server.by("Ada", POLICIES, "CreatePolicy", policy("team", "admin", in_project("p1"))).await;
    server.by("Ada", AUTHORIZER, "AssignIdentity", assign(&bob, "team")).await;
    let has = server.by("Ada", AUTHORIZER, "GetIdentityAssignments", json!({"identity": user(&bob)})).await;
    let names: Vec<_> = has["identityAssignment"]["policies"].as_array().unwrap().iter().collect();
    assert_eq!(names.last().unwrap()["id"]["name"], "team");

    for (name, role, resource) in [
        ("a", "viewer", in_project("p2")),
        ("b", "viewer", json!({"organization": {"name": "acme"}})),
        ("c", "viewer", json!({"domain": {"name": "development"}})),
    ] {
        let refused = server.refused("Ada", POLICIES, "CreatePolicy", policy(name, role, resource)).await;
        assert!(["permission_denied", "invalid_argument"].contains(&refused.0.as_str()), "{refused:?}");
        assert_eq!(
            server.refused("Root", POLICIES, "GetPolicy", json!({"id": {"name": name}})).await.0,
            "not_found"
        );
    }
    server.by("Root", POLICIES, "CreatePolicy", policy("wide", "viewer", in_project("p2"))).await;
    server.denied("Ada", AUTHORIZER, "AssignIdentity", assign(&bob, "wide")).await;
    server.denied("Ada", AUTHORIZER, "AssignIdentity", assign("user-Ada", "admin")).await;
    server.denied("Ada", AUTHORIZER, "UnassignIdentity", assign("user-Root", "admin")).await;
    server.denied("Ada", POLICIES, "DeletePolicy", json!({"id": {"name": "wide"}})).await;
    server.denied("Ada", ROLES, "CreateRole", json!({"role": {"id": {"name": "r"}}})).await;
    server.denied("Ada", GROUPS, "CreateGroup", json!({"name": "g"})).await;
    server.denied("Ada", USERS, "DeleteUser", json!({"id": {"subject": bob}})).await;
    let unknown = policy("d", "viewer", in_project("p9"));
    assert_eq!(server.refused("Root", POLICIES, "CreatePolicy", unknown).await.0, "invalid_argument");
}

#[tokio::test]
async fn callers_hand_out_no_more_than_they_hold() {
    let server = Server::with_project().await;
    // Ada manages permissions and sees accounts everywhere, and may do nothing else.
    let names = ["manage-permissions", "view-identities", "view-inventory"];
    let role = json!({"name": "manager", "permissions": names});
    server.by("Root", OWN_ROLES, "CreateRole", role).await;
    let role = json!({"identity": user("user-Ada"), "roleId": {"name": "manager"}});
    server.by("Root", AUTHORIZER, "AssignIdentity", role).await;
    let own = json!({"identity": user("user-Ada"), "roleId": {"name": "contributor"}});
    server.by("Root", AUTHORIZER, "UnassignIdentity", own).await;

    // By a role for herself, a policy, a policy of another, a change of her own role, a group.
    let message = server.denied("Ada", AUTHORIZER, "AssignIdentity", assign("user-Ada", "admin")).await;
    assert!(message.contains("you can give others only what you have"), "{message}");
    server.denied("Ada", POLICIES, "CreatePolicy", policy("p", "contributor", in_project("p1"))).await;
    server.by("Root", POLICIES, "CreatePolicy", policy("run", "contributor", in_project("p1"))).await;
    server.denied("Ada", AUTHORIZER, "AssignIdentity", assign("user-Ada", "run")).await;
    let action = json!({"id": {"name": "manager"}, "action": "ACTION_CREATE_FLYTE_EXECUTIONS"});
    server.denied("Ada", ROLES, "CreateRoleAction", action).await;
    server.denied("Ada", OWN_ROLES, "UpdateRole", json!({"name": "manager", "add": ["read-audit"]})).await;
    server.by("Root", GROUPS, "CreateGroup", json!({"name": "runners"})).await;
    server.by("Root", GROUPS, "AssignGroupPolicy", json!({"group": "runners", "policy": "run"})).await;
    let member = json!({"group": "runners", "user": "ada@example.com"});
    server.denied("Ada", GROUPS, "AddGroupMember", member.clone()).await;

    // What she has, she can give.
    let small = json!({"name": "small", "permissions": ["view-inventory"]});
    server.by("Ada", OWN_ROLES, "CreateRole", small).await;
    server.by("Ada", POLICIES, "CreatePolicy", policy("small", "small", in_project("p1"))).await;
    server.by("Ada", AUTHORIZER, "AssignIdentity", assign("user-Ada", "small")).await;

    // As a member of the group she has what it has, at once, and no longer when she is none.
    server.by("Root", GROUPS, "AddGroupMember", member.clone()).await;
    let group = server.by("Root", GROUPS, "GetGroup", json!({"group": "RUNNERS"})).await;
    assert_eq!(group["group"]["policies"], json!(["run"]));
    let members = server.by("Root", GROUPS, "ListGroupMembers", json!({"group": "runners"})).await;
    assert_eq!(members["members"][0]["email"], "ada@example.com");
    server.by("Ada", AUTHORIZER, "AssignIdentity", assign("user-Ada", "run")).await;
    server.by("Ada", AUTHORIZER, "UnassignIdentity", assign("user-Ada", "run")).await;
    server.by("Root", GROUPS, "RemoveGroupMember", member).await;
    server.denied("Ada", AUTHORIZER, "AssignIdentity", assign("user-Ada", "run")).await;
}

#[tokio::test]
async fn a_role_is_given_and_taken_in_a_part_of_the_control_plane() {
    let server = Server::with_project().await;
    server.ok(CREATE, "Root", json!({"project": {"id": "p2"}})).await;
    let roles = json!([
        {"role": "contributor", "project": "p2", "domain": "staging"},
        {"role": "viewer", "project": "p1"},
    ]);
    let new = json!({"email": "bob@example.com", "roles": roles});
    let bob = server.by("Root", OWN_USERS, "CreateUser", new).await["user"].clone();
    assert_eq!(bob["roles"], roles, "instead of the role of new accounts");
    server.by("Root", GROUPS, "CreateGroup", json!({"name": "g"})).await;
    server.by("Root", GROUPS, "AddGroupMember", json!({"group": "g", "user": "bob@example.com"})).await;
    let grant = |subject: Value, role: &str, project: &str| json!({"subject": subject, "grant": {"role": role, "project": project}});
    let group = grant(json!({"group": "g"}), "admin", "p1");
    server.by("Root", OWN_ROLES, "GrantRole", group.clone()).await;
    server.by("Root", OWN_ROLES, "GrantRole", group.clone()).await;
    let read = server.by("Root", GROUPS, "GetGroup", json!({"group": "g"})).await;
    assert_eq!(read["group"]["roles"], json!([{"role": "admin", "project": "p1"}]));
    let listed = server.by("Root", OWN_USERS, "ListUsers", json!({})).await;
    let listed =
        listed["users"].as_array().unwrap().iter().find(|user| user["email"] == bob["email"]).unwrap();
    assert_eq!((&listed["roles"], &listed["groups"]), (&roles, &json!(["g"])));

    // What each may do: by the group in p1, by the account's own role in a domain of p2.
    let allowed = async |by: &str, subject: &Value, project: &str, domain: &str| {
        let resource = json!({"project": {"name": project, "domain": {"name": domain}}});
        let action = "ACTION_CREATE_FLYTE_EXECUTIONS";
        let request =
            json!({"identity": {"userId": {"subject": subject}}, "resource": resource, "action": action});
        server.by(by, AUTHORIZER, "Authorize", request).await["allowed"] == true
    };
    for (project, domain, expected) in [
        ("p1", "", true),
        ("p1", "production", true),
        ("p2", "", false),
        ("p2", "staging", true),
        ("p2", "production", false),
    ] {
        assert_eq!(allowed("Root", &bob["subject"], project, domain).await, expected, "{project} {domain}");
    }
    assert!(allowed("Ada", &json!("user-Ada"), "p1", "").await, "about herself");
    let about_another = json!({"identity": user("user-Root"), "resource": in_project("p1"), "action": "ACTION_MANAGE_PERMISSIONS"});
    server.denied("Ada", AUTHORIZER, "Authorize", about_another).await;
    for wrong in [
        json!({"resource": in_project("p1"), "action": "ACTION_MANAGE_PERMISSIONS"}),
        json!({"identity": user("user-Root"), "action": "ACTION_MANAGE_PERMISSIONS"}),
        json!({"identity": user("user-Root"), "resource": in_project("p1"), "action": "ACTION_MANAGE_TENANT"}),
        json!({"identity": {"externalIdentity": {"subject": "x"}}, "resource": in_project("p1"), "action": "ACTION_MANAGE_PERMISSIONS"}),
    ] {
        assert_eq!(
            server.refused("Root", AUTHORIZER, "Authorize", wrong.clone()).await.0,
            "invalid_argument",
            "{wrong}"
        );
    }

    server.by("Root", OWN_ROLES, "RevokeRole", group.clone()).await;
    assert!(!allowed("Root", &bob["subject"], "p1", "").await);
    assert_eq!(server.refused("Root", OWN_ROLES, "RevokeRole", group).await.0, "not_found");
    let own = json!({"user": "bob@example.com"});
    for wrong in [
        grant(own.clone(), "viewer", "p9"),
        json!({"subject": own, "grant": {"role": "viewer", "project": "p1", "domain": "nowhere"}}),
        json!({"subject": own}),
        json!({"grant": {"role": "viewer"}}),
        grant(own.clone(), "", "p1"),
    ] {
        assert_eq!(
            server.refused("Root", OWN_ROLES, "GrantRole", wrong.clone()).await.0,
            "invalid_argument",
            "{wrong}"
        );
    }
    assert_eq!(
        server.refused("Root", OWN_ROLES, "GrantRole", grant(own.clone(), "none", "p1")).await.0,
        "not_found"
    );

    // An administrator of p1 gives roles there only, and not those of the server.
    server.ada_only_in_p1(Role::Admin).await;
    server.by("Ada", OWN_ROLES, "GrantRole", grant(own.clone(), "contributor", "p1")).await;
    for project in ["p2", ""] {
        let refused =
            server.refused("Ada", OWN_ROLES, "GrantRole", grant(own.clone(), "viewer", project)).await;
        assert!(
            ["permission_denied", "invalid_argument"].contains(&refused.0.as_str()),
            "{project}: {refused:?}"
        );
    }
    server
        .denied(
            "Ada",
            OWN_ROLES,
            "RevokeRole",
            json!({"subject": {"user": "user-Root"}, "grant": {"role": "admin"}}),
        )
        .await;
    // Nor does she make accounts.
    server.denied("Ada", OWN_USERS, "CreateUser", json!({"email": "c@example.com"})).await;
    let events = server.recorded().await;
    assert_eq!(events.iter().filter(|event| *event == "role_granted").count(), 4, "{events:?}");
    assert_eq!(events.iter().filter(|event| *event == "role_revoked").count(), 1, "{events:?}");
}

#[tokio::test]
async fn roles_and_policies_are_changed_piece_by_piece() {
    let server = Server::with_project().await;
    let actions = json!(["ACTION_VIEW_FLYTE_INVENTORY", "ACTION_CREATE_FLYTE_EXECUTIONS"]);
    let role = json!({"role": {"id": {"name": "ops"}, "roleSpec": {"description": "d"}, "actions": actions}});
    server.by("Root", ROLES, "CreateRole", role.clone()).await;
    assert_eq!(server.refused("Root", ROLES, "CreateRole", role).await.0, "already_exists");
    let id = json!({"id": {"name": "ops"}});
    let read = server.by("Root", ROLES, "GetRole", id.clone()).await;
    assert_eq!(read["role"]["actions"], actions);
    assert_eq!(read["role"]["roleType"], "ROLE_TYPE_CUSTOM");
    let more = json!({"id": {"name": "ops"}, "action": "ACTION_VIEW_IDENTITIES"});
    server.by("Root", ROLES, "CreateRoleAction", more.clone()).await;
    server.by("Root", ROLES, "DeleteRoleAction", more).await;
    assert_eq!(server.by("Root", ROLES, "GetRole", id.clone()).await, read);
    for (action, name) in [("ACTION_MANAGE_TENANT", "ops"), ("ACTION_NONE", "ops")] {
        let wrong = json!({"id": {"name": name}, "action": action});
        assert_eq!(server.refused("Root", ROLES, "CreateRoleAction", wrong).await.0, "invalid_argument");
    }
    let built_in = json!({"id": {"name": "viewer"}, "action": "ACTION_VIEW_IDENTITIES"});
    assert_eq!(server.refused("Root", ROLES, "CreateRoleAction", built_in).await.0, "failed_precondition");
    for name in ["admin", "A", "a b", "", "a\u{202e}b"] {
        let bad = json!({"role": {"id": {"name": name}}});
        assert_eq!(server.refused("Root", ROLES, "CreateRole", bad).await.0, "invalid_argument", "{name}");
    }

    let place = json!({"project": {"name": "p1", "domain": {"name": "development"}}});
    server.by("Root", POLICIES, "CreatePolicy", json!({"policy": {"id": {"name": "p"}}})).await;
    let binding = json!({"id": {"name": "p"}, "binding": {"roleId": {"name": "ops"}, "resource": place}});
    server.by("Root", POLICIES, "CreatePolicyBinding", binding.clone()).await;
    let read = server.by("Root", POLICIES, "GetPolicy", json!({"id": {"name": "p"}})).await;
    assert_eq!(read["policy"]["bindings"][0]["resource"]["project"]["name"], "p1");
    assert_eq!(read["policy"]["bindings"][0]["resource"]["project"]["domain"]["name"], "development");
    assert_eq!(
        server.refused("Root", ROLES, "DeleteRole", id.clone()).await.0,
        "failed_precondition",
        "in use"
    );
    let mut wrong = binding.clone();
    wrong["binding"]["resource"] = json!({"domain": {"name": "nowhere"}});
    assert_eq!(server.refused("Root", POLICIES, "CreatePolicyBinding", wrong).await.0, "invalid_argument");
    server.by("Root", POLICIES, "DeletePolicyBinding", binding.clone()).await;
    assert_eq!(server.refused("Root", POLICIES, "DeletePolicyBinding", binding).await.0, "not_found");
    server.by("Root", POLICIES, "DeletePolicy", json!({"id": {"name": "p"}})).await;
    server.by("Root", ROLES, "DeleteRole", id).await;

    let listed = server.by("Root", POLICIES, "List", json!({})).await;
    let names: Vec<_> = listed["policies"].as_array().unwrap().iter().map(|it| &it["id"]["name"]).collect();
    assert_eq!(names, ["viewer", "contributor", "admin"]);
    let members = server.by("Root", "/cloudidl.identity.MemberService", "ListMembers", json!({})).await;
    assert_eq!(members["members"].as_array().unwrap().len(), 2);
    let events = server.recorded().await;
    let expected = [
        "role_created",
        "role_changed",
        "role_changed",
        "policy_created",
        "policy_changed",
        "policy_changed",
        "policy_deleted",
        "role_deleted",
    ];
    assert_eq!(events, expected);
}
