//! Bindings, policies and their assignments.

use futures_util::future::join;

use super::{Backend, NOW, client_id, user};
use crate::{ApiKey, AssigneeQuery, Group, NameQuery, Policy, RoleHolderQuery, RoleIn, StoreError, User};
use flyte_model::{Limit, Rights, Role, Scopes};
use flyte_policy::{Binding, Permission, PolicySet, Subject};

fn limit(project: &str, domain: &str) -> Limit {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Limit { project: given(project), domain: given(domain) }
}

fn binding(subject: Subject, role: &str, project: &str) -> Binding {
    Binding { subject, role: role.to_owned(), limit: limit(project, "") }
}

fn policy(name: &str) -> Policy {
    Policy { name: name.to_owned(), description: "For tests".to_owned(), created_at: NOW }
}

fn in_project(role: Role, project: &str) -> RoleIn {
    RoleIn { role: role.to_string(), limit: limit(project, "") }
}

async fn create_group(store: &Backend, name: &str, members: &[&str]) {
    let group = Group {
        id: format!("id-{name}"),
        name: name.to_owned(),
        description: String::new(),
        origin: None,
        created_at: NOW,
    };
    store.create_group(&group).await.unwrap();
    for member in members {
        store.add_group_member(&group.id, &format!("id-{member}")).await.unwrap();
    }
}

async fn create_key(store: &Backend, id: &str) {
    let key = ApiKey {
        client_id: client_id(id),
        name: id.to_owned(),
        secret_hash: None,
        previous_secret: None,
        jwks: Some("{}".to_owned()),
        rights: Rights { role: Role::Viewer, scopes: Scopes::new(), limit: Limit::default() },
        created_by: "console".to_owned(),
        created_at: NOW,
        expires_at: None,
        last_used_at: None,
        family_id: format!("family-{id}"),
    };
    store.create_api_key(&key).await.unwrap();
}

async fn set(store: &Backend) -> PolicySet {
    PolicySet::new(store.policy_rows().await.unwrap())
}

pub async fn an_account_begins_with_its_roles(store: Backend) {
    for name in ["admin", "ada"] {
        store.create_user(&user(name)).await.unwrap();
    }
    store.create_user_with(&user("bob"), &[in_project(Role::Viewer, "alpha")]).await.unwrap();
    // The roles decide, not the record.
    store.create_user_with(&User { admin: true, ..user("eve") }, &[]).await.unwrap();
    let set = set(&store).await;
    let grants = |name: &str| set.grants(&Subject::user(&format!("id-{name}")));
    assert_eq!(grants("admin").role_over(&Limit::default()), Some(Role::Admin));
    assert_eq!(grants("ada").role_over(&Limit::default()), Some(Role::Contributor));
    assert_eq!(grants("bob").role_over(&Limit::default()), None);
    assert_eq!(grants("bob").role_over(&limit("alpha", "")), Some(Role::Viewer));
    assert!(!grants("eve").may_somewhere(Permission::ViewRuns));
    let admins = store.users().await.unwrap().into_iter().filter(|user| user.admin);
    assert_eq!(admins.map(|user| user.name).collect::<Vec<_>>(), ["admin"]);
    let error = store
        .create_user_with(&user("joe"), &[RoleIn { role: "none".to_owned(), limit: Limit::default() }])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Missing { kind: "role", .. }), "{error}");
    assert_eq!(store.user_by_id("id-joe").await.unwrap(), None, "all of it or nothing");
}

pub async fn bindings_are_added_and_removed_one_by_one(store: Backend) {
    store.create_user_with(&user("ada"), &[]).await.unwrap();
    let ada = Subject::user("id-ada");
    let alpha = binding(ada.clone(), "viewer", "alpha");
    let in_domain = Binding { limit: limit("alpha", "d"), ..alpha.clone() };
    let of_all = Binding { limit: limit("", "d"), ..alpha.clone() };
    for one in [&alpha, &in_domain, &of_all] {
        assert!(store.bind_role(one, NOW).await.unwrap());
        assert!(!store.bind_role(one, NOW).await.unwrap());
    }
    let own = store.bindings_of(&ada).await.unwrap();
    assert_eq!(own, [of_all.clone(), alpha.clone(), in_domain.clone()]);
    assert!(store.unbind_role(&alpha).await.unwrap() && !store.unbind_role(&alpha).await.unwrap());
    assert_eq!(store.bindings_of(&ada).await.unwrap(), [of_all, in_domain]);
    assert!(store.bindings_of(&Subject::group("id-ada")).await.unwrap().is_empty());
}

pub async fn what_does_not_exist_gets_no_role(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    for subject in [
        Subject::user("none"),
        Subject::group("id-ada"),
        Subject::application("id-ada"),
        Subject::policy("id-ada"),
    ] {
        let error = store.bind_role(&binding(subject, "viewer", ""), NOW).await.unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    }
    let error = store.bind_role(&binding(Subject::user("id-ada"), "none", ""), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { kind: "role", .. }), "{error}");
    let error = store.assign_policy(&Subject::user("id-ada"), "none", NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { kind: "policy", .. }), "{error}");
    store.create_policy(&policy("ops"), &[]).await.unwrap();
    let error = store.assign_policy(&Subject::policy("ops"), "ops", NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "a policy has no policies: {error}");
}

pub async fn a_policy_is_assigned_and_deleted(store: Backend) {
    for name in ["ada", "bob"] {
        store.create_user_with(&user(name), &[]).await.unwrap();
    }
    create_group(&store, "ml", &["bob"]).await;
    create_key(&store, "ci").await;
    let roles = [in_project(Role::Viewer, "alpha"), in_project(Role::Contributor, "beta")];
    store.create_policy(&policy("ops"), &roles).await.unwrap();
    let error = store.create_policy(&policy("ops"), &[]).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "policy", .. }), "{error}");
    let subjects = [Subject::user("id-ada"), Subject::group("id-ml"), Subject::application("ci")];
    for subject in &subjects {
        assert!(store.assign_policy(subject, "ops", NOW).await.unwrap());
        assert!(!store.assign_policy(subject, "ops", NOW).await.unwrap());
        assert_eq!(store.policies_of(subject).await.unwrap(), [policy("ops")]);
    }
    let of_bob = async || set(&store).await.grants(&Subject::user("id-bob"));
    assert!(of_bob().await.may(Permission::Run, "beta", Some("d")));
    assert!(store.unassign_policy(&subjects[1], "ops").await.unwrap());
    assert!(!store.unassign_policy(&subjects[1], "ops").await.unwrap());
    assert!(!of_bob().await.sees("beta", None));
    assert!(
        store.update_policy("ops", "New").await.unwrap() && !store.update_policy("no", "").await.unwrap()
    );
    assert_eq!(store.policy_by_name("ops").await.unwrap().unwrap().description, "New");
    assert!(store.delete_policy("ops").await.unwrap() && !store.delete_policy("ops").await.unwrap());
    assert!(store.policies_of(&subjects[0]).await.unwrap().is_empty());
    assert!(!set(&store).await.grants(&subjects[0]).sees("alpha", None));
}

pub async fn what_is_deleted_leaves_nothing_behind(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    let subjects = [Subject::group("id-ml"), Subject::application("ci"), Subject::policy("ops")];
    let create = async || {
        create_group(&store, "ml", &["ada"]).await;
        create_key(&store, "ci").await;
        store.create_policy(&policy("ops"), &[]).await.unwrap();
    };
    create().await;
    for subject in &subjects {
        store.bind_role(&binding(subject.clone(), "viewer", "alpha"), NOW).await.unwrap();
    }
    for subject in &subjects[..2] {
        store.assign_policy(subject, "ops", NOW).await.unwrap();
    }
    assert!(store.delete_group("id-ml").await.unwrap());
    assert_eq!(store.delete_api_key(&client_id("ci"), NOW).await.unwrap().len(), 1);
    assert!(store.delete_policy("ops").await.unwrap());
    // Others with the same identifiers.
    create().await;
    for subject in &subjects {
        assert!(store.bindings_of(subject).await.unwrap().is_empty(), "{subject:?}");
        assert!(store.policies_of(subject).await.unwrap().is_empty(), "{subject:?}");
    }
}

pub async fn each_change_has_a_new_generation(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    create_group(&store, "ml", &[]).await;
    store.create_policy(&policy("ops"), &[]).await.unwrap();
    let generation = async || store.policy_generation().await.unwrap();
    let mut last = generation().await;
    let mut has_grown = async |expected: bool, what: &str| {
        let now = generation().await;
        assert_eq!(now > last, expected, "{what}");
        assert_eq!(store.policy_rows().await.unwrap().generation, now, "{what}");
        last = now;
    };
    let own = binding(Subject::user("id-ada"), "viewer", "alpha");
    has_grown(false, "nothing").await;
    store.bind_role(&own, NOW).await.unwrap();
    has_grown(true, "a role").await;
    store.bind_role(&own, NOW).await.unwrap();
    has_grown(false, "the same role").await;
    store.unbind_role(&own).await.unwrap();
    has_grown(true, "a role less").await;
    store.add_group_member("id-ml", "id-ada").await.unwrap();
    has_grown(true, "a member").await;
    store.remove_group_member("id-ml", "id-ada").await.unwrap();
    has_grown(true, "a member less").await;
    store.assign_policy(&own.subject, "ops", NOW).await.unwrap();
    has_grown(true, "an assignment").await;
    store.delete_policy("ops").await.unwrap();
    has_grown(true, "a policy less").await;
    store.add_group_member("id-ml", "id-ada").await.unwrap();
    has_grown(true, "a member").await;
    store.delete_group("id-ml").await.unwrap();
    has_grown(true, "a group less").await;
    store.create_user(&user("bob")).await.unwrap();
    has_grown(true, "an account").await;
}

pub async fn an_administrator_remains(store: Backend) {
    store.create_user_with(&user("ada"), &[RoleIn::everywhere(Role::Admin)]).await.unwrap();
    store.create_user_with(&user("bob"), &[]).await.unwrap();
    let is_refused = |result: Result<bool, StoreError>| matches!(result, Err(StoreError::LastAdministrator));
    let of_ada = binding(Subject::user("id-ada"), "admin", "");
    assert!(is_refused(store.unbind_role(&of_ada).await));
    let disabled = store.deactivate_user("id-ada", NOW).await;
    assert!(matches!(disabled, Err(StoreError::LastAdministrator)), "{disabled:?}");
    // An administrator of a project is none of the server.
    store.bind_role(&binding(Subject::user("id-bob"), "admin", "alpha"), NOW).await.unwrap();
    assert!(is_refused(store.unbind_role(&of_ada).await));

    // By a group, and by a policy of the group.
    create_group(&store, "admins", &["bob"]).await;
    let of_group = binding(Subject::group("id-admins"), "admin", "");
    store.bind_role(&of_group, NOW).await.unwrap();
    assert!(store.unbind_role(&of_ada).await.unwrap());
    assert!(is_refused(store.remove_group_member("id-admins", "id-bob").await));
    assert!(is_refused(store.delete_group("id-admins").await));
    store.create_policy(&policy("root"), &[RoleIn::everywhere(Role::Admin)]).await.unwrap();
    store.assign_policy(&of_group.subject, "root", NOW).await.unwrap();
    assert!(store.unbind_role(&of_group).await.unwrap());
    assert!(is_refused(store.unassign_policy(&of_group.subject, "root").await));
    assert!(is_refused(store.unbind_role(&binding(Subject::policy("root"), "admin", "")).await));
    assert!(is_refused(store.delete_policy("root").await));
    assert!(matches!(store.deactivate_user("id-bob", NOW).await, Err(StoreError::LastAdministrator)));

    // A disabled administrator is none.
    store.bind_role(&of_ada, NOW).await.unwrap();
    assert!(store.deactivate_user("id-ada", NOW).await.unwrap().is_some());
    assert!(is_refused(store.delete_policy("root").await));
    assert!(store.enable_user("id-ada").await.unwrap());
    assert!(store.delete_policy("root").await.unwrap());
}

pub async fn two_administrators_cannot_demote_each_other_at_once(store: Backend) {
    for name in ["ada", "bob"] {
        store.create_user_with(&user(name), &[RoleIn::everywhere(Role::Admin)]).await.unwrap();
    }
    let [ada, bob] = ["id-ada", "id-bob"].map(|id| binding(Subject::user(id), "admin", ""));
    let (one, other) = join(store.unbind_role(&ada), store.unbind_role(&bob)).await;
    assert_eq!([&one, &other].into_iter().filter(|outcome| outcome.is_ok()).count(), 1, "{one:?} {other:?}");
    assert_eq!(store.users().await.unwrap().into_iter().filter(|user| user.admin).count(), 1);
}

pub async fn policies_and_assignees_are_listed_in_pages(store: Backend) {
    for n in 0..5 {
        store.create_policy(&policy(&format!("p{n}")), &[]).await.unwrap();
        store.create_user(&user(&format!("u{n}"))).await.unwrap();
        store.assign_policy(&Subject::user(&format!("id-u{n}")), "p0", NOW).await.unwrap();
    }
    let mut query = NameQuery { limit: 3, ..NameQuery::default() };
    let (first, token) = store.list_policies(&query).await.unwrap();
    query.page_token = token;
    let (second, token) = store.list_policies(&query).await.unwrap();
    assert_eq!((first.len(), second.len(), token.as_str()), (3, 2, ""));
    let mut query = AssigneeQuery { policy: "p0".to_owned(), limit: 3, ..AssigneeQuery::default() };
    let (first, token) = store.list_assignees(&query).await.unwrap();
    query.page_token = token;
    let (second, token) = store.list_assignees(&query).await.unwrap();
    let all: Vec<_> = first.into_iter().chain(second).map(|subject| subject.id).collect();
    assert_eq!((all.len(), all[4].as_str(), token.as_str()), (5, "id-u4", ""));
}

pub async fn holders_of_a_role_are_listed_in_pages_with_their_names(store: Backend) {
    for name in ["ada", "bob"] {
        store.create_user_with(&user(name), &[]).await.unwrap();
    }
    create_group(&store, "team", &["bob"]).await;
    create_key(&store, "ci").await;
    store.create_policy(&policy("pol"), &[in_project(Role::Viewer, "beta")]).await.unwrap();
    for (subject, role, project) in [
        (Subject::user("id-ada"), "viewer", ""),
        (Subject::user("id-ada"), "viewer", "beta"),
        (Subject::user("id-bob"), "contributor", ""),
        (Subject::group("id-team"), "viewer", ""),
        (Subject::application("ci"), "viewer", "alpha"),
    ] {
        assert!(store.bind_role(&binding(subject, role, project), NOW).await.unwrap());
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let query = RoleHolderQuery { role: "viewer".to_owned(), limit: 2, page_token: token };
        let (holders, next) = store.list_role_holders(&query).await.unwrap();
        assert!(holders.len() <= 2);
        seen.extend(holders.into_iter().map(|it| (it.name, it.binding.limit.project.unwrap_or_default())));
        token = next;
        if token.is_empty() {
            break;
        }
    }
    let expected = [
        ("ada@example.com", ""),
        ("team", ""),
        ("ci", "alpha"),
        ("ada@example.com", "beta"),
        ("pol", "beta"),
    ];
    assert_eq!(seen, expected.map(|(name, project)| (name.to_owned(), project.to_owned())));
    let other = RoleHolderQuery { role: "admin".to_owned(), limit: 2, page_token: "x".to_owned() };
    assert!(matches!(store.list_role_holders(&other).await, Err(StoreError::InvalidPageToken)));
}
