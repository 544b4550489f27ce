//! Invitations, and links that set a password.

use serde_json::json;

use super::{api_key::CREATE_KEY, *};
use flyte_store::{AccountLink, LinkPurpose};

const USERS: &str = "/flyteauth.UserService";

impl Server {
    async fn user_call(&self, user: &str, method: &str, request: Value) -> Value {
        self.ok(&format!("{USERS}/{method}"), user, request).await
    }

    async fn user_error(&self, user: &str, method: &str, request: Value) -> (String, String) {
        self.json(&format!("{USERS}/{method}"), Some(user), &request).await.error()
    }

    /// The link at an address.
    async fn link_at(&self, url: &Value) -> Option<AccountLink> {
        let token = url.as_str().unwrap().split_once("?token=").unwrap().1;
        let hash = flyte_secrets::opaque_token::hash(token);
        self.plane.store.account_link_by_token(&hash, NOW).await.unwrap()
    }
}

#[tokio::test]
async fn an_invitation_creates_an_account_without_a_password() {
    let server = Server::with_project().await;
    let in_p1 = json!({"role": "viewer", "project": "p1"});
    let asked = json!({"email": "eve@example.com", "name": " Eve ", "roles": [in_p1]});
    let made = server.user_call("Root", "InviteUser", asked).await;
    assert_eq!(made["user"]["name"], "Eve");
    assert!(made["user"]["hasPassword"].is_null(), "{made}");
    assert_eq!(made["link"]["purpose"], "PURPOSE_INVITATION");
    assert_eq!(made["link"]["createdBy"], "user-Root");
    let url = made["url"].as_str().unwrap();
    assert!(url.starts_with("https://localhost:8443/invitation?token=fll_"), "{url}");
    let link = server.link_at(&made["url"]).await.unwrap();
    assert_eq!((link.purpose, link.mailed), (LinkPurpose::Invitation, false));
    assert_eq!(link.expires_at, NOW + 7 * 86_400);
    let subject = flyte_policy::Subject::user(&link.user_id);
    let bindings = server.plane.store.bindings_of(&subject).await.unwrap();
    assert_eq!((bindings[0].role.as_str(), bindings.len()), ("viewer", 1));

    // A second invitation ends the first one, and can add roles.
    let again = json!({"email": "EVE@example.com", "roles": [{"role": "contributor", "project": "p1"}]});
    let newer = server.user_call("Root", "InviteUser", again).await;
    assert_eq!(newer["user"]["subject"], made["user"]["subject"]);
    assert_eq!(server.link_at(&made["url"]).await, None);
    assert_eq!(server.plane.store.bindings_of(&subject).await.unwrap().len(), 2);

    let listed = server.user_call("Root", "ListAccountLinks", json!({})).await;
    assert_eq!(listed["links"].as_array().unwrap().len(), 1);
    let id = listed["links"][0]["id"].clone();
    assert_eq!(id, newer["link"]["id"]);
    assert!(!listed.to_string().contains("fll_"), "{listed}");
    server.user_call("Root", "DeleteAccountLink", json!({"id": id})).await;
    assert_eq!(server.link_at(&newer["url"]).await, None);
    assert_eq!(server.user_error("Root", "DeleteAccountLink", json!({"id": id})).await.0, "not_found");

    // Without roles, that of new accounts, or none.
    let made = server.user_call("Root", "InviteUser", json!({"email": "new@example.com"})).await;
    let subject = flyte_policy::Subject::user(made["user"]["subject"].as_str().unwrap());
    assert_eq!(server.plane.store.bindings_of(&subject).await.unwrap()[0].role, "contributor");
    let without = json!({"email": "none@example.com", "withoutRole": true});
    let made = server.user_call("Root", "InviteUser", without).await;
    let subject = flyte_policy::Subject::user(made["user"]["subject"].as_str().unwrap());
    assert!(server.plane.store.bindings_of(&subject).await.unwrap().is_empty());

    server.plane.store.set_password_hash("user-Ada", "$hash", NOW).await.unwrap();
    for (request, code) in [
        (json!({"email": "ada@example.com"}), "already_exists"),
        (json!({"email": "a\r\nb@example.com"}), "invalid_argument"),
        (json!({"email": "x@example.com", "roles": [{"role": ""}]}), "invalid_argument"),
        (json!({"email": "x@example.com", "roles": [{"role": "none-such"}]}), "invalid_argument"),
        (
            json!({"email": "x@example.com", "roles": [{"role": "viewer", "domain": "d9"}]}),
            "invalid_argument",
        ),
        (json!({"email": "x@example.com", "roles": [in_p1], "withoutRole": true}), "invalid_argument"),
    ] {
        let error = server.user_error("Root", "InviteUser", request.clone()).await;
        assert_eq!(error.0, code, "{request}: {}", error.1);
    }
    assert!(server.plane.store.user_by_email("x@example.com").await.unwrap().is_none());
}

#[tokio::test]
async fn a_link_sets_the_password_of_an_account() {
    let server = Server::start().await;
    let made = server.user_call("Root", "CreatePasswordLink", json!({"user": "ada@example.com"})).await;
    let url = made["url"].as_str().unwrap();
    assert!(url.starts_with("https://localhost:8443/reset?token=fll_"), "{url}");
    let link = server.link_at(&made["url"]).await.unwrap();
    assert_eq!((link.user_id.as_str(), link.purpose), ("user-Ada", LinkPurpose::Password));
    let newer = server.user_call("Root", "CreatePasswordLink", json!({"user": "user-Ada"})).await;
    assert_eq!(server.link_at(&made["url"]).await, None);
    server.user_call("Root", "UpdateUser", json!({"user": "user-Ada", "enabled": false})).await;
    assert_eq!(server.link_at(&newer["url"]).await, None);
    let refused = server.user_error("Root", "CreatePasswordLink", json!({"user": "user-Ada"})).await;
    assert_eq!(refused.0, "failed_precondition", "{}", refused.1);
    assert_eq!(
        server.user_error("Root", "CreatePasswordLink", json!({"user": "eve@example.com"})).await.0,
        "not_found"
    );
}

#[tokio::test]
async fn only_administrators_who_have_just_signed_in_let_others_into_accounts() {
    let server = Server::start().await;
    let requests = [
        ("InviteUser", json!({"email": "eve@example.com"})),
        ("CreatePasswordLink", json!({"user": "ada@example.com"})),
    ];
    for (method, request) in &requests {
        assert_eq!(server.user_error("Ada", method, request.clone()).await.0, "permission_denied");
    }
    assert_eq!(server.user_error("Ada", "ListAccountLinks", json!({})).await.0, "permission_denied");
    let made = server.ok(CREATE_KEY, "Root", json!({"name": "ops", "access": {"role": "admin"}})).await;
    let key = server.token_of("ops", made["clientSecret"].as_str().unwrap()).await.unwrap();
    for (method, request) in &requests {
        let error = server.call(&key, &format!("{USERS}/{method}"), request.clone()).await.error();
        assert_eq!(error.0, "permission_denied", "{method}: {}", error.1);
        assert!(error.1.contains("needs a person"), "{}", error.1);
    }
    server.plane.clock.advance(901);
    for (method, request) in &requests {
        let error = server.user_error("Root", method, request.clone()).await;
        assert!(error.1.contains("needs a sign-in of the last 15 minutes"), "{method}: {error:?}");
    }
    // What else lets others in, or makes them administrators.
    let admin = json!({"role": "admin"});
    for (method, request) in [
        ("UserService/CreateUser", json!({"email": "eve@example.com", "withPassword": true})),
        ("UserService/CreateUser", json!({"email": "eve@example.com", "roles": [admin]})),
        ("RoleService/GrantRole", json!({"subject": {"user": "ada@example.com"}, "grant": admin})),
    ] {
        let error = server.json(&format!("/flyteauth.{method}"), Some("Root"), &request).await.error();
        assert!(error.1.contains("needs a sign-in of the last 15 minutes"), "{method}: {error:?}");
    }
    assert!(server.plane.store.user_by_email("eve@example.com").await.unwrap().is_none());
}

#[tokio::test]
async fn a_link_gives_no_more_than_its_creator_has() {
    let server = Server::start().await;
    // Ada administers accounts, and may do nothing else.
    let names = ["administer-server", "manage-permissions", "view-identities", "view-inventory"];
    let role = json!({"name": "accounts", "permissions": names});
    server.ok("/flyteauth.RoleService/CreateRole", "Root", role).await;
    let identity = json!({"userId": {"subject": "user-Ada"}});
    let authorizer = "/cloudidl.authorizer.AuthorizerService";
    for (method, role) in [("AssignIdentity", "accounts"), ("UnassignIdentity", "contributor")] {
        let request = json!({"identity": identity, "roleId": {"name": role}});
        server.ok(&format!("{authorizer}/{method}"), "Root", request).await;
    }
    let root = json!({"user": "root@example.com"});
    assert_eq!(server.user_error("Ada", "CreatePasswordLink", root).await.0, "permission_denied");
    let invite = |role: &str| json!({"email": "eve@example.com", "roles": [{"role": role}]});
    for role in ["admin", "contributor"] {
        assert_eq!(
            server.user_error("Ada", "InviteUser", invite(role)).await.0,
            "permission_denied",
            "{role}"
        );
    }
    let default = json!({"email": "eve@example.com"});
    assert_eq!(server.user_error("Ada", "InviteUser", default).await.0, "permission_denied");
    server.user_call("Ada", "InviteUser", invite("accounts")).await;
    // The invitation of another administrator's account would give its roles.
    let root = json!({"email": "carl@example.com", "roles": [{"role": "admin"}]});
    server.user_call("Root", "InviteUser", root).await;
    let again = json!({"email": "carl@example.com", "roles": [{"role": "accounts"}]});
    assert_eq!(server.user_error("Ada", "InviteUser", again).await.0, "permission_denied");
}

#[tokio::test]
async fn other_clients_let_no_one_in() {
    let server = Server::start().await;
    let roles = json!([{"role": "viewer"}]);
    let requests = [
        ("InviteUser", json!({"email": "eve@example.com", "roles": roles})),
        ("CreatePasswordLink", json!({"user": "ada@example.com"})),
        ("CreateUser", json!({"email": "eve@example.com", "withPassword": true, "roles": roles})),
    ];
    let token = server.token_by("other", "Root", &["all"], NOW);
    for (method, request) in &requests {
        let error = server.call(&token, &format!("{USERS}/{method}"), request.clone()).await.error();
        assert_eq!(error.0, "permission_denied", "{method}: {}", error.1);
        assert!(error.1.contains("client"), "{method}: {}", error.1);
    }
    assert!(server.plane.store.user_by_email("eve@example.com").await.unwrap().is_none());
    // A link to one's own account would outlive the sign-in.
    let own = json!({"user": "root@example.com"});
    assert_eq!(server.user_error("Root", "CreatePasswordLink", own).await.0, "failed_precondition");
}
