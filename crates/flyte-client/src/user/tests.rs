use std::sync::{Arc, Mutex};

use flyte_idl::cloudidl::{common, identity};

use super::*;
use crate::testing::{Answer, Server};

fn spec(first: &str, last: &str, email: &str) -> common::UserSpec {
    common::UserSpec {
        first_name: first.into(),
        last_name: last.into(),
        email: email.into(),
        groups: vec!["ml".into()],
        ..Default::default()
    }
}

fn ada() -> common::User {
    let role = |project: &str| common::Role {
        id: common::RoleIdentifier { name: "viewer".into(), ..Default::default() }.into(),
        permissions: match project {
            "" => Vec::new(),
            project => vec![common::Permission {
                resource: Grant { role: String::new(), project: project.into(), domain: String::new() }
                    .binding("acme")
                    .resource,
                ..Default::default()
            }],
        },
        ..Default::default()
    };
    common::User {
        id: common::UserIdentifier { subject: "s1".into(), ..Default::default() }.into(),
        spec: spec("Ada", "Lovelace", "ada@example.com").into(),
        roles: vec![role(""), role("alpha")],
        policies: vec![common::Policy {
            id: common::PolicyIdentifier { name: "team".into(), ..Default::default() }.into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A server that has only the published service.
fn hosted(created: Arc<Mutex<Vec<common::UserSpec>>>) -> Server {
    Server::default()
        .on("cloudidl.identity.UserService/GetUser", |request: identity::GetUserRequest| {
            let known = request.id.into_option().is_some_and(|id| id.subject == "s1");
            let answer = identity::GetUserResponse { user: ada().into(), ..Default::default() };
            if known { Ok(Answer::one(&answer)) } else { Err(ErrorCode::NotFound) }
        })
        .on("cloudidl.identity.UserService/ListUsers", |request: identity::ListUsersRequest| {
            assert_eq!(request.organization, "acme");
            let filters = request.request.into_option().unwrap().filters;
            let wanted = filters.first().map(|filter| (filter.field.as_str(), filter.values[0].as_str()));
            let users = match wanted {
                None | Some(("email", "ada@example.com")) => vec![ada()],
                Some(("email", "twins@example.com")) => vec![ada(), ada()],
                _ => Vec::new(),
            };
            Ok(Answer::one(&identity::ListUsersResponse { users, ..Default::default() }))
        })
        .on("cloudidl.identity.UserService/CreateUser", move |request: identity::CreateUserRequest| {
            created.lock().unwrap().push(request.spec.into_option().unwrap());
            let id = common::UserIdentifier { subject: "s1".into(), ..Default::default() };
            Ok(Answer::one(&identity::CreateUserResponse { id: id.into(), ..Default::default() }))
        })
        .on("cloudidl.identity.UserService/DeleteUser", |request: identity::DeleteUserRequest| {
            assert_eq!((request.organization.as_str(), request.id.subject.as_str()), ("acme", "s1"));
            Ok(Answer::one(&identity::DeleteUserResponse::default()))
        })
}

#[tokio::test]
async fn published_services_alone_are_enough() {
    let created = Arc::new(Mutex::new(Vec::new()));
    let users = hosted(Arc::clone(&created)).client().users();
    let expected = User {
        subject: "s1".into(),
        email: "ada@example.com".into(),
        name: "Ada Lovelace".into(),
        roles: ["viewer", "viewer@alpha"].map(|text| text.parse().unwrap()).into(),
        policies: vec!["team".into()],
        groups: vec!["ml".into()],
        ..User::default()
    };
    assert_eq!(users.get("s1").await.unwrap(), expected);
    assert_eq!(users.get("ada@example.com").await.unwrap(), expected);
    assert_eq!(users.list(None).collect().await.unwrap(), std::slice::from_ref(&expected));
    for unknown in ["s2", "bob@example.com"] {
        assert!(matches!(users.get(unknown).await, Err(ClientError::NotFound { .. })), "{unknown}");
    }
    // It is not guessed which of them is meant.
    assert!(matches!(users.get("twins@example.com").await, Err(ClientError::InvalidArgument { .. })));
    let new = NewUser {
        email: "ada@example.com".into(),
        first_name: "Ada".into(),
        last_name: "Lovelace".into(),
        roles: Vec::new(),
    };
    assert_eq!(users.create(new.clone()).await.unwrap(), expected);
    assert_eq!(created.lock().unwrap()[0].last_name, "Lovelace");
    users.delete("s1").await.unwrap();
    assert!(matches!(users.invite(new.clone()).await, Err(ClientError::Unsupported { .. })));
    // What the service cannot do is refused before anything has changed.
    let with_role = NewUser { roles: vec!["viewer".parse().unwrap()], ..new };
    assert!(matches!(users.create(with_role).await, Err(ClientError::Unsupported { .. })));
    assert_eq!(created.lock().unwrap().len(), 1);
    let changes = Changes { enabled: Some(false), ..Changes::default() };
    assert!(matches!(users.update("s1", changes).await, Err(ClientError::Unsupported { .. })));
}

#[tokio::test]
async fn our_own_service_says_more() {
    let server = Server::default()
        .on("flyteauth.UserService/CreateUser", |request: wire::CreateUserRequest| {
            assert_eq!((request.name.as_str(), request.with_password), ("Ada Lovelace", false));
            let user = wire::User {
                subject: "s1".into(),
                email: request.email,
                name: request.name,
                roles: request.roles,
                created_at: 5,
                ..Default::default()
            };
            Ok(Answer::one(&wire::CreateUserResponse { user: user.into(), ..Default::default() }))
        })
        .on("flyteauth.UserService/InviteUser", |request: wire::InviteUserRequest| {
            let mailed = request.name.is_empty();
            let url = if mailed { String::new() } else { "https://localhost/invitation?token=t".to_owned() };
            let link = wire::AccountLink { expires_at: 9, mailed, ..Default::default() };
            let user = wire::User { email: request.email, roles: request.roles, ..Default::default() };
            let answer =
                wire::InviteUserResponse { user: user.into(), link: link.into(), url, ..Default::default() };
            Ok(Answer::one(&answer))
        })
        .on("flyteauth.UserService/UpdateUser", |request: wire::UpdateUserRequest| {
            assert_eq!(
                (request.user.as_str(), request.name.as_str(), request.enabled),
                ("s1", "", Some(false))
            );
            let user = wire::User { disabled_at: 7, has_password: true, ..Default::default() };
            Ok(Answer::one(&wire::UpdateUserResponse { user: user.into(), ..Default::default() }))
        });
    let users = server.client().users();
    let new = NewUser {
        email: "ada@example.com".into(),
        first_name: " Ada ".into(),
        last_name: "Lovelace".into(),
        roles: vec!["viewer@alpha/production".parse().unwrap()],
    };
    let user = users.create(new.clone()).await.unwrap();
    assert_eq!((&user.roles, user.created_at, user.has_password), (&new.roles, Some(5), Some(false)));
    let (user, invitation) = users.invite(new.clone()).await.unwrap();
    assert_eq!((&user.roles, invitation.expires_at), (&new.roles, Some(9)));
    assert!(invitation.url.is_some() && !format!("{invitation:?}").contains("token"));
    let mailed = NewUser { first_name: String::new(), last_name: String::new(), ..new };
    assert!(users.invite(mailed).await.unwrap().1.url.is_none());
    let changes = Changes { enabled: Some(false), ..Changes::default() };
    let user = users.update("s1", changes).await.unwrap();
    assert_eq!((user.disabled_at, user.has_password), (Some(7), Some(true)));
}
