//! Groups.

use http::StatusCode;

use super::{HOSTILE, Server};

#[tokio::test]
async fn a_group_is_created_filled_and_deleted() {
    let server = Server::start().await;
    let root = server.browser("Root").await;
    let new = [("act", "create"), ("name", "Data Science"), ("description", HOSTILE)];
    let page = root.change("/admin/groups/new", &new).await;
    assert!(page.contains("Created.") && page.contains("No members."), "{page}");
    let group = server.parts.store.group_by_name("data science").await.unwrap().unwrap();
    let here = format!("/admin/groups/{}", group.id);
    let page = root.fails("/admin/groups/new", &new, StatusCode::CONFLICT).await;
    assert!(page.contains("value=\"Data Science\""), "{page}");

    let page = root.change(&here, &[("act", "add-member"), ("user", "VIC@example.com")]).await;
    assert!(
        page.contains("vic@example.com") && page.contains("aria-label=\"Remove vic@example.com\""),
        "{page}"
    );
    let page = root.page("/admin/users/user-Vic").await;
    assert!(page.contains("Data Science"), "{page}");
    let unknown = [("act", "add-member"), ("user", "nowhere@example.com")];
    let page = root.fails(&here, &unknown, StatusCode::CONFLICT).await;
    assert!(page.contains("There is no account") && page.contains("value=\"nowhere@example.com\""), "{page}");
    let page = root.change(&here, &[("act", "remove-member"), ("user", "user-Vic")]).await;
    assert!(page.contains("No members."), "{page}");

    let page = root.change(&here, &[("act", "assign"), ("policy", "viewer")]).await;
    assert!(page.contains("viewer"), "{page}");
    let page = root.change(&here, &[("act", "unassign"), ("policy", "viewer")]).await;
    assert!(page.contains("No policies of its own."), "{page}");
    let page = root.change(&here, &[("act", "change"), ("name", "DS"), ("description", "")]).await;
    assert!(page.contains("Saved.") && page.contains("DS"), "{page}");

    let status = StatusCode::UNPROCESSABLE_ENTITY;
    root.fails(&here, &[("act", "delete"), ("confirm", "ds")], status).await;
    let page = root.change(&here, &[("act", "delete"), ("confirm", "DS")]).await;
    assert!(page.contains("Deleted.") && page.contains("No groups yet."), "{page}");
}
