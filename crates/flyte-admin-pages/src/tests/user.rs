//! Users.

use flyte_store::User;
use flyte_testing::{NOW, api_key, user};
use http::StatusCode;

use super::{HOSTILE, Server};

#[tokio::test]
async fn users_are_found_and_paged() {
    let server = Server::start().await;
    for n in 0..60 {
        let user = User { email: format!("u{n:02}@example.com"), ..user(&format!("U{n:02}")) };
        server.parts.store.create_user_with(&user, &[]).await.unwrap();
    }
    let root = server.browser("Root").await;
    let page = root.page("/admin/users").await;
    assert!(page.contains("pia@example.com") && !page.contains("vic@example.com"), "the first 50: {page}");
    let next = page.split("href=\"").find(|rest| rest.starts_with("/admin/users?token=")).unwrap();
    let page = root.page(next.split('"').next().unwrap()).await;
    assert!(
        page.contains("vic@example.com") && !page.contains("pia@example.com") && !page.contains("Next page"),
        "{page}"
    );

    let page = root.page("/admin/users?q=U5").await;
    assert!(page.contains("u59@example.com") && !page.contains("u49@example.com"), "{page}");
    let page = root.page("/admin/users?role=viewer").await;
    assert!(page.contains("vic@example.com") && !page.contains("pia@example.com"), "{page}");
    let page = root.page("/admin/users?state=disabled").await;
    assert!(page.contains("No user matches this search."), "{page}");
    assert_eq!(root.get("/admin/users?token=x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_user_is_created_changed_and_deleted() {
    let server = Server::start().await;
    let root = server.browser("Root").await;
    let new = [("act", "create"), ("email", "new@example.com"), ("name", HOSTILE)];
    let page = root.change("/admin/users/new", &new).await;
    assert!(page.contains("Created.") && page.contains("new@example.com"), "{page}");
    let user = server.parts.store.user_by_email("new@example.com").await.unwrap().unwrap();
    let here = format!("/admin/users/{}", user.id);
    // The same address again, in other case: what was typed is still there.
    let again = [("act", "create"), ("email", "NEW@example.com"), ("name", HOSTILE)];
    let page = root.fails("/admin/users/new", &again, StatusCode::CONFLICT).await;
    assert!(page.contains("role=\"alert\"") && page.contains("value=\"NEW@example.com\""), "{page}");
    assert!(page.contains("value=\"&#60;script&#62;"), "{page}");
    // A password is shown once.
    let with = [("act", "create"), ("email", "two@example.com"), ("way", "password")];
    let answer = root.post("/admin/users/new", &with).await;
    assert!(
        answer.status == StatusCode::OK && answer.body.contains("only place that shows it"),
        "{answer:?}"
    );

    // So is the link of an invitation, and a link that sets a password.
    let invited = [("act", "create"), ("email", "three@example.com"), ("way", "invitation")];
    for (path, fields) in [("/admin/users/new", &invited[..]), (&here, &[("act", "password-link")])] {
        let answer = root.post(path, fields).await;
        assert!(
            answer.status == StatusCode::OK && answer.body.contains("https://localhost:8443/"),
            "{answer:?}"
        );
        assert!(answer.body.contains("It works once, until"), "{answer:?}");
    }
    let page = root.change(&here, &[("act", "rename"), ("name", "Néw")]).await;
    assert!(page.contains("Saved.") && page.contains("Néw"), "{page}");
    let page = root
        .fails(&here, &[("act", "rename"), ("name", "a\u{202e}b")], StatusCode::UNPROCESSABLE_ENTITY)
        .await;
    assert!(page.contains("Name must have no control characters"), "{page}");

    let (session, _) = server.sessions.start(&user).await.unwrap().unwrap();
    let page = root.change(&here, &[("act", "end-sessions")]).await;
    assert!(page.contains("have ended"), "{page}");
    assert_eq!(server.parts.store.session_by_id(&session.id, NOW).await.unwrap(), None);
    assert_eq!(server.events("user_sessions_ended").await.len(), 1);

    let page = root.change(&here, &[("act", "disable")]).await;
    assert!(page.contains("Enable the account") && page.contains("disabled"), "{page}");
    let page = root.change(&here, &[("act", "enable")]).await;
    assert!(page.contains("Disable the account"), "{page}");

    let (status, wrong) = (StatusCode::UNPROCESSABLE_ENTITY, [("act", "delete"), ("confirm", "yes")]);
    let page = root.fails(&here, &wrong, status).await;
    assert!(page.contains("Nothing was changed"), "{page}");
    let page = root.change(&here, &[("act", "delete"), ("confirm", "new@example.com")]).await;
    assert!(page.contains("Deleted.") && !page.contains("new@example.com"), "{page}");
    assert_eq!(root.get(&here).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.events("user_deleted").await[0].record.subject.as_deref(), Some("user-Root"));
}

#[tokio::test]
async fn a_user_page_shows_what_the_user_has_and_did() {
    let server = Server::start().await;
    let (_, _) = api_key(&*server.parts.store, "ci", |key| key.created_by = "user-Pia".to_owned()).await;
    let root = server.browser("Root").await;
    root.change("/admin/users/user-Root", &[("act", "rename"), ("name", "Root R.")]).await;
    let page = root.page("/admin/users/user-Pia").await;
    assert!(page.contains(">ci<") && page.contains("Nothing recorded."), "{page}");
    let page = root.page("/admin/users/user-Root").await;
    assert!(page.contains("user changed") && page.contains("/admin/audit?who=user-Root"), "{page}");
    // Addresses are at subjects only: an e-mail address may later be that of another person.
    assert_eq!(root.get("/admin/users/pia%40example.com").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let server = Server::start().await;
    let root = server.browser("Root").await;
    let here = "/admin/users/user-Root";
    for fields in [&[("act", "disable")][..], &[("act", "delete"), ("confirm", "root@example.com")]] {
        let page = root.fails(here, fields, StatusCode::CONFLICT).await;
        assert!(page.contains("administrator"), "{page}");
    }
    assert_eq!(root.get(here).await.status, StatusCode::OK);
}
