use std::sync::{Arc, Mutex};

use connectrpc::ErrorCode;

use super::*;
use crate::testing::{Answer, Server};

#[test]
fn words_of_actions_are_those_of_the_published_plugin() {
    for word in ["ACTION_VIEW_IDENTITIES", "view_identities", " View_Identities "] {
        assert_eq!(action_name(word), Some("ACTION_VIEW_IDENTITIES"), "{word}");
    }
    for word in ["view-identities", "none", "ACTION_NONE", "", "run", "deploy", "view-runs"] {
        assert_eq!(action_name(word), None, "{word}");
    }
}

/// A server that has only the published service, and what changed there.
fn hosted(changes: Arc<Mutex<Vec<String>>>) -> Server {
    let (created, deleted) = (Arc::clone(&changes), Arc::clone(&changes));
    let ops = || common::Role {
        id: role_id("acme", "ops").into(),
        role_type: RoleType::ROLE_TYPE_CUSTOM.into(),
        actions: vec![Action::ACTION_VIEW_IDENTITIES.into()],
        ..Default::default()
    };
    Server::default()
        .on("cloudidl.identity.RoleService/CreateRole", move |request: hosted::CreateRoleRequest| {
            let role = Role::from(request.role.into_option().unwrap());
            changes.lock().unwrap().push(format!("create {} {:?}", role.name, role.actions));
            Ok(Answer::one(&hosted::CreateRoleResponse::default()))
        })
        .on("cloudidl.identity.RoleService/GetRole", move |request: hosted::GetRoleRequest| {
            let answer = hosted::GetRoleResponse { role: ops().into(), ..Default::default() };
            if request.id.name == "ops" { Ok(Answer::one(&answer)) } else { Err(ErrorCode::NotFound) }
        })
        .on("cloudidl.identity.RoleService/List", move |_: hosted::ListRolesRequest| {
            Ok(Answer::one(&hosted::ListRolesResponse { roles: vec![ops()], ..Default::default() }))
        })
        .on(
            "cloudidl.identity.RoleService/CreateRoleAction",
            move |request: hosted::CreateRoleActionRequest| {
                created.lock().unwrap().push(format!("add {:?}", request.action.as_known().unwrap()));
                Ok(Answer::one(&hosted::CreateRoleActionResponse::default()))
            },
        )
        .on(
            "cloudidl.identity.RoleService/DeleteRoleAction",
            move |request: hosted::DeleteRoleActionRequest| {
                deleted.lock().unwrap().push(format!("remove {:?}", request.action.as_known().unwrap()));
                Ok(Answer::one(&hosted::DeleteRoleActionResponse::default()))
            },
        )
}

#[tokio::test]
async fn published_services_alone_are_enough() {
    let changed = Arc::new(Mutex::new(Vec::new()));
    let roles = hosted(Arc::clone(&changed)).client().roles();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let new = NewRole { name: "ops".into(), actions: words(&["view_identities"]), ..NewRole::default() };
    let made = roles.create(new.clone()).await.unwrap();
    assert_eq!((made.actions.as_slice(), made.built_in), (&words(&["ACTION_VIEW_IDENTITIES"])[..], false));
    assert_eq!(roles.list(None).collect().await.unwrap(), [made]);
    let changes = Changes {
        add: words(&["create_flyte_executions"]),
        remove: words(&["ACTION_VIEW_IDENTITIES"]),
        description: None,
    };
    roles.update("ops", changes.clone()).await.unwrap();
    let expected = [
        "create ops [\"ACTION_VIEW_IDENTITIES\"]",
        "add ACTION_CREATE_FLYTE_EXECUTIONS",
        "remove ACTION_VIEW_IDENTITIES",
    ];
    assert_eq!(*changed.lock().unwrap(), expected);
    // Permissions are those of a `flyte-server`. Nothing has changed when they are refused.
    let with_permission = Changes { add: words(&["create_flyte_executions", "view-runs"]), ..changes };
    assert!(matches!(roles.update("ops", with_permission).await, Err(ClientError::Unsupported { .. })));
    let by_permission = NewRole { permissions: words(&["run"]), actions: Vec::new(), ..new.clone() };
    assert!(matches!(roles.create(by_permission).await, Err(ClientError::Unsupported { .. })));
    for wrong in [
        NewRole { permissions: words(&["run"]), ..new.clone() },
        NewRole { actions: words(&["nonsense"]), ..new.clone() },
    ] {
        assert!(matches!(roles.create(wrong).await, Err(ClientError::InvalidArgument { .. })));
    }
    assert_eq!(changed.lock().unwrap().len(), 3);
    let empty = NewRole { actions: Vec::new(), ..new };
    roles.create(empty).await.unwrap();
    assert_eq!(changed.lock().unwrap()[3], "create ops []");
}
