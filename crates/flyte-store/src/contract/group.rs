//! Groups and their members.

use super::{Backend, NOW, user};
use crate::{Group, GroupOrigin, GroupQuery, MemberQuery, ProviderGroup, StoreError};

fn group(name: &str) -> Group {
    Group {
        id: format!("id-{name}"),
        name: name.to_owned(),
        description: "For tests".to_owned(),
        origin: None,
        created_at: NOW,
    }
}

fn origin(provider: &str, external_id: &str) -> GroupOrigin {
    GroupOrigin { provider: provider.to_owned(), external_id: external_id.to_owned() }
}

fn of_provider(external_id: &str, name: &str) -> ProviderGroup {
    ProviderGroup { external_id: external_id.to_owned(), name: name.to_owned() }
}

async fn members(store: &Backend, group: &str) -> Vec<String> {
    let query = MemberQuery { group_id: group.to_owned(), limit: 100, ..MemberQuery::default() };
    let (users, token) = store.list_group_members(&query).await.unwrap();
    assert_eq!(token, "");
    users.into_iter().map(|user| user.name).collect()
}

pub async fn a_group_is_read_back_and_renamed(store: Backend) {
    let ml = group("ML");
    store.create_group(&ml).await.unwrap();
    assert_eq!(store.group_by_id("id-ML").await.unwrap().as_ref(), Some(&ml));
    assert_eq!(store.group_by_name("ml").await.unwrap(), Some(ml));
    for taken in
        [Group { id: "other".to_owned(), ..group("ml") }, Group { id: "id-ML".to_owned(), ..group("x") }]
    {
        let error = store.create_group(&taken).await.unwrap_err();
        assert!(matches!(error, StoreError::AlreadyExists { kind: "group", .. }), "{error}");
    }
    store.create_group(&group("ops")).await.unwrap();
    assert!(store.update_group("id-ML", "Research", "Renamed").await.unwrap());
    let renamed = store.group_by_name("research").await.unwrap().unwrap();
    assert_eq!((renamed.name.as_str(), renamed.description.as_str()), ("Research", "Renamed"));
    let error = store.update_group("id-ML", "OPS", "").await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { .. }), "{error}");
    assert!(!store.update_group("none", "n", "").await.unwrap());
    assert!(store.delete_group("id-ML").await.unwrap() && !store.delete_group("id-ML").await.unwrap());
    assert_eq!(store.group_by_id("id-ML").await.unwrap(), None);
}

pub async fn members_are_added_and_removed_one_by_one(store: Backend) {
    store.create_group(&group("ml")).await.unwrap();
    for name in ["ada", "bob"] {
        store.create_user(&user(name)).await.unwrap();
        assert!(store.add_group_member("id-ml", &format!("id-{name}")).await.unwrap());
    }
    assert!(!store.add_group_member("id-ml", "id-ada").await.unwrap());
    for (group, user) in [("id-ml", "id-none"), ("id-none", "id-ada")] {
        let error = store.add_group_member(group, user).await.unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    }
    assert_eq!(members(&store, "id-ml").await, ["ada", "bob"]);
    let groups = store.groups_of_user("id-ada").await.unwrap();
    assert_eq!(groups.iter().map(|group| &*group.name).collect::<Vec<_>>(), ["ml"]);
    assert!(store.remove_group_member("id-ml", "id-ada").await.unwrap());
    assert!(!store.remove_group_member("id-ml", "id-ada").await.unwrap());
    assert_eq!(members(&store, "id-ml").await, ["bob"]);
    store.delete_group("id-ml").await.unwrap();
    assert!(store.groups_of_user("id-bob").await.unwrap().is_empty());
}

pub async fn groups_of_a_provider_are_apart_from_those_made_here(store: Backend) {
    let theirs = |id: &str, provider: &str| Group {
        id: id.to_owned(),
        origin: Some(origin(provider, "g1")),
        ..group("admins")
    };
    store.create_group(&group("admins")).await.unwrap();
    store.create_group(&theirs("a", "okta")).await.unwrap();
    store.create_group(&theirs("b", "entra")).await.unwrap();
    let error = store.create_group(&theirs("c", "okta")).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { .. }), "{error}");
    assert_eq!(store.group_by_name("admins").await.unwrap().unwrap().id, "id-admins");
    assert_eq!(store.group_by_origin(&origin("entra", "g1")).await.unwrap().unwrap().id, "b");
    assert_eq!(store.group_by_origin(&origin("entra", "g2")).await.unwrap(), None);
}

pub async fn a_provider_decides_about_its_own_groups_only(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    store.create_group(&group("admins")).await.unwrap();
    let set = async |provider: &str, groups: &[ProviderGroup]| {
        store.set_provider_groups("id-ada", provider, groups, NOW).await.unwrap()
    };
    let own = async || {
        let groups = store.groups_of_user("id-ada").await.unwrap();
        let name = |group: Group| {
            let origin = group.origin.map(|origin| origin.provider + "/" + &origin.external_id);
            format!("{} {}", group.name, origin.unwrap_or_default())
        };
        groups.into_iter().map(name).collect::<Vec<_>>()
    };
    // A group with the name of one that was made here is another group.
    assert!(set("okta", &[of_provider("g1", "admins"), of_provider("g2", "ml")]).await);
    assert_eq!(own().await, ["admins okta/g1", "ml okta/g2"]);
    assert!(members(&store, "id-admins").await.is_empty());
    assert!(!set("okta", &[of_provider("g1", "admins"), of_provider("g2", "ml")]).await);
    store.add_group_member("id-admins", "id-ada").await.unwrap();
    assert!(set("entra", &[of_provider("g1", "x")]).await);
    // Renamed there: it is the same group.
    assert!(set("okta", &[of_provider("g2", "research")]).await);
    assert_eq!(own().await, ["admins ", "research okta/g2", "x entra/g1"]);
    assert!(set("okta", &[]).await);
    assert_eq!(own().await, ["admins ", "x entra/g1"]);
    let error = store.set_provider_groups("id-none", "okta", &[], NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { kind: "user", .. }), "{error}");
}

pub async fn groups_and_members_are_listed_in_pages(store: Backend) {
    for n in 0..7 {
        store.create_user(&user(&format!("u{n}"))).await.unwrap();
        store.create_group(&group(&format!("g{n}"))).await.unwrap();
        store.add_group_member("id-g0", &format!("id-u{n}")).await.unwrap();
    }
    let mut query = GroupQuery { limit: 3, ..GroupQuery::default() };
    let mut names = Vec::new();
    loop {
        let (page, token) = store.list_groups(&query).await.unwrap();
        assert!(page.len() <= 3);
        names.extend(page.into_iter().map(|group| group.name));
        if token.is_empty() {
            break;
        }
        query.page_token = token;
    }
    assert_eq!(names, (0..7).map(|n| format!("g{n}")).collect::<Vec<_>>());
    let theirs = GroupQuery { provider: Some("okta".to_owned()), ..query.clone() };
    let error = store.list_groups(&theirs).await.unwrap_err();
    assert!(matches!(error, StoreError::InvalidPageToken), "{error}");
    let mut query = MemberQuery { group_id: "id-g0".to_owned(), limit: 4, ..MemberQuery::default() };
    let (first, token) = store.list_group_members(&query).await.unwrap();
    query.page_token = token;
    let (second, token) = store.list_group_members(&query).await.unwrap();
    assert_eq!((first.len(), second.len(), token.as_str()), (4, 3, ""));
}
