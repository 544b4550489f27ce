//! Provisioning by SCIM: groups and their members.

use futures_util::future::join_all;

use super::{
    Backend, NOW,
    scim::{change_group, create, data, done, enabled_admin, group, members},
};
use crate::{
    ScimGroupChange, ScimGroupData, ScimMemberChange, ScimOutcome, ScimRefusal, ScimRules, ScimUserData,
    StoreError,
};
use flyte_model::Limit;
use flyte_policy::{Binding, Subject};

pub async fn members_change_row_by_row(store: Backend) {
    let mut ids = Vec::new();
    for name in ["ada", "bob", "cyd"] {
        ids.push(create(&store, name).await.id);
    }
    let [ada, bob, cyd] = ids.clone().try_into().unwrap();
    let ml = group(&store, "ml", &[ada.clone(), bob.clone()]).await;
    assert_eq!(ml.added, [ada.clone(), bob.clone()]);
    let add = ScimMemberChange::Add(vec![bob.clone(), cyd.clone()]);
    let changed = change_group(&store, "id-ml", vec![add, ScimMemberChange::Remove(vec![ada.clone()])]).await;
    assert_eq!((&changed.added, &changed.removed), (&vec![cyd.clone()], &vec![ada.clone()]));
    assert!(changed.group.version > ml.group.version);
    let same = change_group(&store, "id-ml", vec![ScimMemberChange::Add(vec![bob.clone()])]).await;
    assert_eq!(same.group, changed.group, "nothing changed");
    let set =
        change_group(&store, "id-ml", vec![ScimMemberChange::Set(vec![ada.clone(), bob.clone()])]).await;
    assert_eq!((set.added, set.removed), (vec![ada.clone()], vec![cyd.clone()]));
    // Emptied and filled in one request.
    let both = vec![ScimMemberChange::Set(vec![]), ScimMemberChange::Add(vec![ada.clone()])];
    let both = change_group(&store, "id-ml", both).await;
    assert_eq!((both.added, both.removed), (vec![], vec![bob.clone()]));
    let memberships = store.scim_memberships("okta", &ids).await.unwrap();
    assert_eq!(memberships.iter().map(|it| it.user_id.as_str()).collect::<Vec<_>>(), [ada.as_str()]);
    // A new name keeps the members.
    let change = ScimGroupChange { name: Some("Research".to_owned()), ..ScimGroupChange::default() };
    let renamed = done(store.change_scim_group("okta", "id-ml", &change, None, NOW + 1).await.unwrap());
    assert!(renamed.changed && renamed.group.name == "Research");
    assert_eq!(members(&store, "id-ml").await, ["ada"]);
}

pub async fn members_added_at_once_are_all_added(store: Backend) {
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(create(&store, &format!("u{n}")).await.id);
    }
    group(&store, "ml", &ids[..10]).await;
    let adds = ids[10..].iter().map(|id| {
        let store = &store;
        async move { change_group(store, "id-ml", vec![ScimMemberChange::Add(vec![id.clone()])]).await }
    });
    for change in join_all(adds).await {
        assert_eq!(change.added.len(), 1);
    }
    assert_eq!(members(&store, "id-ml").await.len(), 60);
}

pub async fn groups_with_one_name_differ_by_their_external_id(store: Backend) {
    let create = async |id: &str, name: &str, external_id: Option<&str>| {
        let external_id = external_id.map(str::to_owned);
        let data = ScimGroupData { name: name.to_owned(), external_id, members: vec![] };
        store.create_scim_group("okta", id, &data, NOW).await.unwrap()
    };
    done(create("1", "ml", Some("e1")).await);
    done(create("2", "ML", Some("e2")).await);
    for (name, external_id, attribute) in [("ml", None, "displayName"), ("x", Some("e1"), "externalId")] {
        let refused = ScimOutcome::Refused(ScimRefusal::Taken(attribute));
        assert_eq!(create("3", name, external_id).await, refused);
    }
    done(create("4", "ops", None).await);
    let change = ScimGroupChange { name: Some("Ml".to_owned()), ..ScimGroupChange::default() };
    let refused = store.change_scim_group("okta", "4", &change, None, NOW).await.unwrap();
    assert_eq!(refused, ScimOutcome::Refused(ScimRefusal::Taken("displayName")));
}

pub async fn a_client_cannot_take_the_last_administrator(store: Backend) {
    let ada = create(&store, "ada").await;
    let admins = group(&store, "admins", std::slice::from_ref(&ada.id)).await.group;
    let generation = store.policy_generation().await.unwrap();
    let binding =
        Binding { subject: Subject::group(&admins.id), role: "admin".to_owned(), limit: Limit::default() };
    store.bind_role(&binding, NOW).await.unwrap();
    assert!(store.policy_generation().await.unwrap() > generation);
    let remove = |members| ScimGroupChange { members, ..ScimGroupChange::default() };
    for members in [ScimMemberChange::Set(vec![]), ScimMemberChange::Remove(vec![ada.id.clone()])] {
        let error = store.change_scim_group("okta", &admins.id, &remove(vec![members]), None, NOW).await;
        assert!(matches!(error, Err(StoreError::LastAdministrator)), "{error:?}");
    }
    let inactive = ScimUserData { active: false, ..data("ada") };
    let rules = ScimRules::default();
    let error = store.change_scim_user("okta", &rules, &ada.id, &inactive, ada.version, NOW).await;
    assert!(matches!(error, Err(StoreError::LastAdministrator)), "{error:?}");
    let error = store.delete_scim_user("okta", &ada.id, None, NOW).await;
    assert!(matches!(error, Err(StoreError::LastAdministrator)), "{error:?}");
    let error = store.delete_scim_group("okta", &admins.id, None).await;
    assert!(matches!(error, Err(StoreError::LastAdministrator)), "{error:?}");
    assert_eq!(members(&store, &admins.id).await, ["ada"]);
    assert!(store.scim_user("okta", &ada.id).await.unwrap().unwrap().active);
    // With another administrator, the group can be emptied; the rights change at once.
    enabled_admin(&store, "root").await;
    let generation = store.policy_generation().await.unwrap();
    change_group(&store, &admins.id, vec![ScimMemberChange::Set(vec![])]).await;
    assert!(store.policy_generation().await.unwrap() > generation);
}
