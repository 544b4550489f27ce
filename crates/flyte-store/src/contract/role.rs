//! Custom roles.

use super::{Backend, NOW, user};
use crate::{CustomRole, NameQuery, StoreError};
use flyte_model::Limit;
use flyte_policy::{Binding, Permission, Permissions, Subject};

fn role(name: &str) -> CustomRole {
    CustomRole {
        name: name.to_owned(),
        description: "For tests".to_owned(),
        permissions: [Permission::Run, Permission::ViewRuns].into_iter().collect(),
        created_at: NOW,
    }
}

pub async fn a_role_is_read_back_and_changed(store: Backend) {
    let operator = role("operator");
    store.create_role(&operator).await.unwrap();
    assert_eq!(store.role_by_name("operator").await.unwrap().as_ref(), Some(&operator));
    for taken in ["operator", "admin"] {
        let error = store.create_role(&role(taken)).await.unwrap_err();
        assert!(matches!(error, StoreError::AlreadyExists { kind: "role", .. }), "{error}");
    }
    store.create_role(&CustomRole { permissions: Permissions::NONE, ..role("empty") }).await.unwrap();
    let query = NameQuery { limit: 1, ..NameQuery::default() };
    let (page, page_token) = store.list_roles(&query).await.unwrap();
    assert_eq!((page.len(), &*page[0].name, page[0].permissions), (1, "empty", Permissions::NONE));
    let (page, token) = store.list_roles(&NameQuery { page_token, ..query }).await.unwrap();
    assert_eq!((page.as_slice(), token.as_str()), (&[operator][..], ""));

    assert!(store.add_role_permission("operator", Permission::Deploy).await.unwrap());
    assert!(!store.add_role_permission("operator", Permission::Deploy).await.unwrap());
    assert!(store.remove_role_permission("operator", Permission::Run).await.unwrap());
    assert!(!store.remove_role_permission("operator", Permission::Run).await.unwrap());
    let error = store.add_role_permission("none", Permission::Run).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { kind: "role", .. }), "{error}");
    let own = store.role_by_name("operator").await.unwrap().unwrap().permissions;
    assert_eq!(own, [Permission::ViewRuns, Permission::Deploy].into_iter().collect());
    assert!(store.update_role("operator", "New", Permission::Run.into()).await.unwrap());
    assert!(!store.update_role("none", "", Permissions::NONE).await.unwrap());
    let own = store.role_by_name("operator").await.unwrap().unwrap();
    assert_eq!((own.description.as_str(), own.permissions), ("New", Permission::Run.into()));
}

pub async fn a_role_in_use_stays(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    store.create_role(&role("operator")).await.unwrap();
    let binding = Binding {
        subject: Subject::user("id-ada"),
        role: "operator".to_owned(),
        limit: Limit { project: Some("p".to_owned()), domain: None },
    };
    assert!(store.bind_role(&binding, NOW).await.unwrap());
    let error = store.delete_role("operator").await.unwrap_err();
    assert!(matches!(error, StoreError::InUse { kind: "role", .. }), "{error}");
    assert!(store.unbind_role(&binding).await.unwrap());
    assert!(store.delete_role("operator").await.unwrap() && !store.delete_role("operator").await.unwrap());
    assert_eq!(store.role_by_name("operator").await.unwrap(), None);
}
