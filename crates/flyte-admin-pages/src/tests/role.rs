//! Roles and policies, and who has them.

use http::StatusCode;

use super::{HOSTILE, Server};

#[tokio::test]
async fn a_role_is_created_changed_given_and_deleted() {
    let server = Server::start().await;
    let root = server.browser("Root").await;
    let new = [
        ("act", "create"),
        ("name", "ml-ops"),
        ("description", HOSTILE),
        ("permission", "view-runs"),
        ("permission", "read-audit"),
    ];
    let page = root.change("/admin/roles/new", &new).await;
    assert!(page.contains("Created.") && page.contains("Read the audit log"), "{page}");
    // What was typed and chosen stays after a mistake.
    let again = [("act", "create"), ("name", "ML"), ("permission", "run")];
    let page = root.fails("/admin/roles/new", &again, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(page.contains("value=\"ML\"") && page.contains("value=\"run\" checked"), "{page}");

    let here = "/admin/roles/ml-ops";
    let page =
        root.change(here, &[("act", "change"), ("description", "x"), ("permission", "view-runs")]).await;
    assert!(page.contains("Saved.") && !page.contains("value=\"read-audit\" checked"), "{page}");
    assert!(page.contains("value=\"view-runs\" checked"), "{page}");

    // Given to a user in a project, and to a group.
    let grant = [("act", "grant-role"), ("role", "ml-ops"), ("project", "p")];
    let page = root.change("/admin/users/user-Vic", &grant).await;
    assert!(
        page.contains("project p") && page.contains("aria-label=\"Take away ml-ops in project p\""),
        "{page}"
    );
    let page = root.page(here).await;
    assert!(page.contains("vic@example.com") && page.contains("project p"), "{page}");
    let page = root.fails(here, &[("act", "delete"), ("confirm", "ml-ops")], StatusCode::CONFLICT).await;
    assert!(page.contains("role=\"alert\""), "it is in use: {page}");
    let page = root.change("/admin/users/user-Vic", &[("act", "revoke-role"), ("grant", "ml-ops p ")]).await;
    assert!(page.contains("Removed.") && !page.contains("project p"), "{page}");
    let page = root.change(here, &[("act", "delete"), ("confirm", "ml-ops")]).await;
    assert!(page.contains("Deleted."), "{page}");
    // Built-in roles have no forms.
    let page = root.page("/admin/roles/admin").await;
    assert!(!page.contains("<form") && page.contains("root@example.com"), "{page}");
}

#[tokio::test]
async fn a_policy_is_created_changed_assigned_and_deleted() {
    let server = Server::start().await;
    let root = server.browser("Root").await;
    let new = [
        ("act", "create"),
        ("name", "readers"),
        ("description", HOSTILE),
        ("role", "viewer"),
        ("project", "p"),
    ];
    let page = root.change("/admin/policies/new", &new).await;
    assert!(page.contains("project p") && page.contains("Created."), "{page}");
    let here = "/admin/policies/readers";
    let add = [("act", "add-binding"), ("role", "viewer"), ("domain", "development")];
    let page = root.change(here, &add).await;
    assert!(page.contains("domain development of all projects"), "{page}");
    let page = root.change(here, &[("act", "remove-binding"), ("binding", "viewer p ")]).await;
    assert!(!page.contains("project p"), "{page}");
    let wrong = [("act", "add-binding"), ("role", "nothing")];
    let page = root.fails(here, &wrong, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(page.contains("value=\"nothing\""), "{page}");

    let page = root.change("/admin/users/user-Vic", &[("act", "assign"), ("policy", "readers")]).await;
    assert!(page.contains("/admin/policies/readers"), "{page}");
    let page = root.page(here).await;
    assert!(page.contains("user-Vic"), "{page}");
    let page = root.change("/admin/users/user-Vic", &[("act", "unassign"), ("policy", "readers")]).await;
    assert!(page.contains("No policies of its own."), "{page}");
    let page = root.change(here, &[("act", "delete"), ("confirm", "readers")]).await;
    assert!(page.contains("Deleted."), "{page}");
    assert!(server.parts.store.policy_by_name("readers").await.unwrap().is_none());
}

#[tokio::test]
async fn an_administrator_of_a_project_gives_roles_there_only() {
    let server = Server::start().await;
    let pia = server.browser("Pia").await;
    let there = [("act", "grant-role"), ("role", "contributor"), ("project", "p")];
    let page = pia.change("/admin/users/user-Vic", &there).await;
    assert!(page.contains("project p"), "{page}");
    // The project q does not exist, as far as Pia can tell.
    let (forbidden, unknown) = (StatusCode::FORBIDDEN, StatusCode::UNPROCESSABLE_ENTITY);
    for (project, role, status) in
        [("", "viewer", forbidden), ("q", "viewer", unknown), ("", "admin", forbidden)]
    {
        let elsewhere = [("act", "grant-role"), ("role", role), ("project", project)];
        let page = pia.fails("/admin/users/user-Vic", &elsewhere, status).await;
        assert!(page.contains("role=\"alert\""), "{page}");
    }
    let page =
        pia.change("/admin/users/user-Vic", &[("act", "revoke-role"), ("grant", "contributor p ")]).await;
    assert!(!page.contains("project p"), "{page}");
    pia.fails(
        "/admin/users/user-Vic",
        &[("act", "revoke-role"), ("grant", "viewer  ")],
        StatusCode::FORBIDDEN,
    )
    .await;
}
