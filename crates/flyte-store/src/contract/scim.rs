//! Provisioning by SCIM: keys and users.

use super::{Backend, NOW, hash, session, user};
use crate::{
    ApiKey, BrowserSession, Group, GroupOrigin, OutsideIdentity, ScimGroupChange, ScimGroupChanged,
    ScimGroupData, ScimKey, ScimMemberChange, ScimOutcome, ScimQuery, ScimRefusal, ScimRules, ScimUser,
    ScimUserChanged, ScimUserData, StoreError, User,
};
use flyte_model::{Limit, Rights, Role};
use flyte_policy::{Binding, Subject};

fn key(name: &str) -> ScimKey {
    ScimKey {
        name: name.to_owned(),
        client: "okta".to_owned(),
        secret_hash: hash(name),
        rules: ScimRules {
            adopts: true,
            role: Some("viewer".to_owned()),
            issuer: Some("https://id".to_owned()),
        },
        created_by: "id-admin".to_owned(),
        created_at: NOW,
        expires_at: Some(NOW + 60),
        last_used_at: None,
    }
}

pub(super) fn data(name: &str) -> ScimUserData {
    ScimUserData {
        user_name: format!("{name}@example.com"),
        external_id: Some(format!("ext-{name}")),
        email: format!("{name}@example.com"),
        emails: vec![format!("{name}@example.com"), format!("{name}@home.example")],
        name: name.to_owned(),
        display_name: Some(name.to_uppercase()),
        active: true,
        attributes: format!("{{\"title\":\"T-{name}\"}}"),
    }
}

pub(super) fn adopting() -> ScimRules {
    ScimRules { adopts: true, ..ScimRules::default() }
}

pub(super) async fn create_with(
    store: &Backend,
    rules: &ScimRules,
    data: &ScimUserData,
) -> ScimOutcome<ScimUserChanged> {
    let id = format!("id-{}", data.user_name);
    store.create_scim_user("okta", rules, &id, data, NOW).await.unwrap()
}

pub(super) async fn create(store: &Backend, name: &str) -> ScimUser {
    done(create_with(store, &ScimRules::default(), &data(name)).await).user
}

pub(super) async fn change(
    store: &Backend,
    known: &ScimUser,
    data: &ScimUserData,
) -> ScimOutcome<ScimUserChanged> {
    let version = store.scim_user("okta", &known.id).await.unwrap().unwrap().version;
    let rules = ScimRules { issuer: Some("https://id".to_owned()), ..ScimRules::default() };
    store.change_scim_user("okta", &rules, &known.id, data, version, NOW + 1).await.unwrap()
}

pub(super) fn done<T: std::fmt::Debug>(outcome: ScimOutcome<T>) -> T {
    match outcome {
        ScimOutcome::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn group(store: &Backend, name: &str, members: &[String]) -> ScimGroupChanged {
    let data = ScimGroupData { name: name.to_owned(), external_id: None, members: members.to_vec() };
    done(store.create_scim_group("okta", &format!("id-{name}"), &data, NOW).await.unwrap())
}

pub(super) async fn change_group(
    store: &Backend,
    id: &str,
    members: Vec<ScimMemberChange>,
) -> ScimGroupChanged {
    let change = ScimGroupChange { members, ..ScimGroupChange::default() };
    done(store.change_scim_group("okta", id, &change, None, NOW + 1).await.unwrap())
}

pub(super) async fn members(store: &Backend, id: &str) -> Vec<String> {
    let found = store.scim_members(&[id.to_owned()]).await.unwrap();
    found.into_iter().map(|member| member.name).collect()
}

pub(super) async fn enabled_admin(store: &Backend, name: &str) {
    store.create_user(&User { admin: true, ..user(name) }).await.unwrap();
}

pub async fn a_scim_key_is_read_back_and_deleted(store: Backend) {
    for name in ["b", "a"] {
        store.create_scim_key(&key(name)).await.unwrap();
    }
    let error = store.create_scim_key(&key("a")).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "SCIM key", .. }), "{error}");
    assert_eq!(store.scim_keys().await.unwrap(), [key("a"), key("b")]);
    assert_eq!(store.scim_key_by_hash(&hash("b")).await.unwrap(), Some(key("b")));
    for time in [NOW + 5, NOW + 3] {
        store.note_scim_key_used("b", time).await.unwrap();
    }
    let used = ScimKey { last_used_at: Some(NOW + 5), ..key("b") };
    assert_eq!(store.delete_scim_key("b").await.unwrap(), Some(used));
    assert_eq!(store.delete_scim_key("b").await.unwrap(), None);
    assert_eq!(store.scim_key_by_hash(&hash("b")).await.unwrap(), None);
}

pub async fn a_provisioned_user_is_an_account(store: Backend) {
    let rules = ScimRules {
        role: Some("viewer".to_owned()),
        issuer: Some("https://id".to_owned()),
        ..ScimRules::default()
    };
    let made = done(create_with(&store, &rules, &data("ada")).await);
    assert_eq!((made.before, made.user.version), (None, 1));
    let account = store.user_by_email("ADA@example.com").await.unwrap().unwrap();
    assert_eq!((account.id, account.password_hash), (made.user.id.clone(), None));
    let identity = store.outside_identity("https://id", "ext-ada").await.unwrap().unwrap();
    assert_eq!((identity.user_id, identity.provider.as_str()), (made.user.id.clone(), "scim:okta"));
    let bindings = store.bindings_of(&Subject::user(&made.user.id)).await.unwrap();
    assert_eq!(bindings.iter().map(|it| it.role.as_str()).collect::<Vec<_>>(), ["viewer"]);
    assert_eq!(
        store.email_proof(&made.user.id).await.unwrap(),
        None,
        "a claim of a directory proves nothing"
    );

    // Another externalId is another user at the issuer.
    let moved = ScimUserData {
        external_id: Some("oid".to_owned()),
        email: "ida@example.com".to_owned(),
        user_name: "ida".to_owned(),
        ..data("ada")
    };
    let moved = done(change(&store, &made.user, &moved).await).user;
    assert!(store.outside_identity("https://id", "ext-ada").await.unwrap().is_none());
    assert_eq!(store.outside_identity("https://id", "oid").await.unwrap().unwrap().user_id, moved.id);
    assert_eq!((moved.email.as_str(), moved.user_name.as_str()), ("ida@example.com", "ida"));
    assert_eq!(store.scim_user("okta", &moved.id).await.unwrap(), Some(moved));
}

pub async fn duplicates_change_nothing(store: Backend) {
    let ada = create(&store, "ada").await;
    let bob = create(&store, "bob").await;
    store.create_user(&user("own")).await.unwrap();
    let other = |change: &dyn Fn(&mut ScimUserData)| {
        let mut data = data("new");
        change(&mut data);
        data
    };
    for (refusal, data) in [
        (ScimRefusal::Taken("externalId"), other(&|it| it.external_id = Some("ext-ada".to_owned()))),
        (ScimRefusal::Taken("userName"), other(&|it| it.user_name = "ADA@Example.com".to_owned())),
        (ScimRefusal::AccountExists, other(&|it| it.email = "Own@example.com".to_owned())),
        (ScimRefusal::AccountExists, other(&|it| it.email = "bob@example.com".to_owned())),
    ] {
        assert_eq!(
            create_with(&store, &ScimRules::default(), &data).await,
            ScimOutcome::Refused(refusal),
            "{data:?}"
        );
    }
    for taken in [
        ScimUserData { user_name: "ADA@example.com".to_owned(), ..data("bob") },
        ScimUserData { email: "own@example.com".to_owned(), ..data("bob") },
        ScimUserData { external_id: ada.external_id.clone(), ..data("bob") },
    ] {
        let rules = ScimRules::default();
        let error = store.change_scim_user("okta", &rules, &bob.id, &taken, bob.version, NOW + 1).await;
        let error = error.unwrap_err();
        assert!(matches!(error, StoreError::AlreadyExists { .. }), "{error}");
    }
    assert_eq!(store.scim_user("okta", &bob.id).await.unwrap(), Some(bob));
    assert_eq!(store.user_count().await.unwrap(), 3);
}

pub async fn a_client_has_only_its_own(store: Backend) {
    let ada = create(&store, "ada").await;
    let ml = group(&store, "ml", std::slice::from_ref(&ada.id)).await.group;
    store.create_user(&user("own")).await.unwrap();
    store
        .create_group(&Group {
            id: "id-hand".to_owned(),
            name: "ml".to_owned(),
            description: String::new(),
            origin: None,
            created_at: NOW,
        })
        .await
        .unwrap();
    let rules = ScimRules::default();
    for (client, user, group) in [("entra", ada.id.as_str(), ml.id.as_str()), ("okta", "id-own", "id-hand")] {
        assert_eq!(store.scim_user(client, user).await.unwrap(), None);
        let changed = store.change_scim_user(client, &rules, user, &data("x"), 1, NOW).await.unwrap();
        assert_eq!(changed, ScimOutcome::Unknown);
        assert_eq!(store.delete_scim_user(client, user, None, NOW).await.unwrap(), ScimOutcome::Unknown);
        assert_eq!(store.scim_group(client, group).await.unwrap(), None);
        let change = ScimGroupChange { name: Some("x".to_owned()), ..ScimGroupChange::default() };
        let changed = store.change_scim_group(client, group, &change, None, NOW).await.unwrap();
        assert_eq!(changed, ScimOutcome::Unknown);
        assert_eq!(store.delete_scim_group(client, group, None).await.unwrap(), ScimOutcome::Unknown);
    }
    for foreign in ["id-own", "id-none"] {
        let change = ScimGroupChange {
            members: vec![ScimMemberChange::Add(vec![ada.id.clone(), foreign.to_owned()])],
            ..ScimGroupChange::default()
        };
        let changed = store.change_scim_group("okta", &ml.id, &change, None, NOW).await.unwrap();
        assert_eq!(changed, ScimOutcome::Refused(ScimRefusal::UnknownMember(foreign.to_owned())));
    }
    let query = ScimQuery { client: "entra".to_owned(), limit: 10, ..ScimQuery::default() };
    assert_eq!(store.list_scim_users(&query, None).await.unwrap(), (vec![], 0));
    assert_eq!(store.list_scim_groups(&query).await.unwrap(), (vec![], 0));
    // The group of another origin has the same name, and other members.
    let origin = store.group_by_id(&ml.id).await.unwrap().unwrap().origin;
    assert_eq!(origin, Some(GroupOrigin { provider: "scim:okta".to_owned(), external_id: ml.id }));
    assert_eq!(members(&store, "id-hand").await, Vec::<String>::new());
    // Another client may have the same names.
    let other = store.create_scim_user("entra", &adopting(), "id-e", &data("ada"), NOW).await.unwrap();
    assert_eq!(other, ScimOutcome::Refused(ScimRefusal::AccountExists), "the account is another client's");
}

pub async fn accounts_are_adopted_only_under_a_rule(store: Backend) {
    enabled_admin(&store, "admin").await;
    store.create_user(&user("ada")).await.unwrap();
    store.create_user(&User { disabled_at: Some(NOW), ..user("dis") }).await.unwrap();
    store.create_user(&user("lead")).await.unwrap();
    let limit = Limit { project: Some("p".to_owned()), domain: None };
    let lead = Binding { subject: Subject::user("id-lead"), role: "admin".to_owned(), limit };
    store.bind_role(&lead, NOW).await.unwrap();
    store.create_user(&User { email: "mike@example.com".to_owned(), ..user("mike") }).await.unwrap();
    let create = async |rules: &ScimRules, data: ScimUserData| {
        create_with(&store, &ScimRules { issuer: Some("https://id".to_owned()), ..rules.clone() }, &data)
            .await
    };
    let refused = ScimOutcome::Refused;
    assert_eq!(create(&ScimRules::default(), data("ada")).await, refused(ScimRefusal::AccountExists));
    assert_eq!(create(&adopting(), data("admin")).await, refused(ScimRefusal::Administrator));
    assert_eq!(create(&adopting(), data("lead")).await, refused(ScimRefusal::Administrator), "of a project");
    assert_eq!(create(&adopting(), data("dis")).await, refused(ScimRefusal::DisabledHere));
    let kelvin = ScimUserData { email: "mi\u{212a}e@example.com".to_owned(), ..data("kelvin") };
    assert_eq!(create(&adopting(), kelvin).await, refused(ScimRefusal::AccountExists), "another letter");

    let ada = done(create(&adopting(), data("ada")).await).user;
    assert_eq!((ada.id.as_str(), ada.adopted), ("id-ada", true));
    let account = store.user_by_id("id-ada").await.unwrap().unwrap();
    assert_eq!(account.password_hash, user("ada").password_hash, "its way in stays");
    assert!(
        store.outside_identity("https://id", "ext-ada").await.unwrap().is_none(),
        "and no other is added"
    );
    let moved = ScimUserData { email: "eve@example.com".to_owned(), ..data("ada") };
    assert_eq!(change(&store, &ada, &moved).await, refused(ScimRefusal::Adopted));
    let other = ScimUserData { external_id: Some("eve".to_owned()), ..data("ada") };
    done(change(&store, &ada, &other).await);
    assert!(store.outside_identity("https://id", "eve").await.unwrap().is_none());

    // Its end here is the administrator's to decide.
    let ml = group(&store, "ml", std::slice::from_ref(&ada.id)).await.group;
    let (_, _) = done(store.delete_scim_user("okta", "id-ada", None, NOW + 2).await.unwrap());
    assert_eq!(store.user_by_id("id-ada").await.unwrap().unwrap().disabled_at, Some(NOW + 2));
    assert_eq!(store.scim_user("okta", "id-ada").await.unwrap(), None);
    assert_eq!(members(&store, &ml.id).await, Vec::<String>::new());
}

pub async fn an_administrator_keeps_address_and_identity(store: Backend) {
    enabled_admin(&store, "admin").await;
    let rules = ScimRules { issuer: Some("https://id".to_owned()), ..ScimRules::default() };
    let ada = done(create_with(&store, &rules, &data("ada")).await).user;
    let admin =
        Binding { subject: Subject::user(&ada.id), role: "admin".to_owned(), limit: Limit::default() };
    store.bind_role(&admin, NOW).await.unwrap();
    for moved in [
        ScimUserData { email: "eve@example.com".to_owned(), ..data("ada") },
        ScimUserData { external_id: Some("eve".to_owned()), ..data("ada") },
    ] {
        assert_eq!(change(&store, &ada, &moved).await, ScimOutcome::Refused(ScimRefusal::Administrator));
    }
    let named = ScimUserData { name: "Ada L.".to_owned(), ..data("ada") };
    assert_eq!(done(change(&store, &ada, &named).await).user.name, "Ada L.");
}

pub async fn a_deactivated_user_has_nothing_and_comes_back_as_itself(store: Backend) {
    let ada = create(&store, "ada").await;
    let session = BrowserSession { user_id: ada.id.clone(), ..session("ada", "ada", i64::MAX) };
    assert!(store.create_session(&session, None).await.unwrap());
    let api_key = ApiKey {
        client_id: "own".parse().unwrap(),
        name: "own".to_owned(),
        secret_hash: Some(hash("own")),
        previous_secret: None,
        jwks: None,
        rights: Rights { role: Role::Viewer, scopes: [].into(), limit: Limit::default() },
        created_by: ada.id.clone(),
        created_at: NOW,
        expires_at: None,
        last_used_at: None,
        family_id: "family-own".to_owned(),
    };
    store.create_api_key(&api_key).await.unwrap();
    let inactive = ScimUserData { active: false, ..data("ada") };
    let changed = done(change(&store, &ada, &inactive).await);
    assert_eq!((changed.user.active, changed.ended), (false, vec![api_key]));
    assert!(store.session_by_id(&session.id, NOW).await.unwrap().is_none());
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-own"]);
    let again = BrowserSession { id: "again".to_owned(), ..session };
    assert!(!store.create_session(&again, None).await.unwrap());

    // Provisioned again: the same account, with nothing of what ended.
    let revived = ScimUserData { user_name: "ada.l@example.com".to_owned(), ..data("ada") };
    let revived = done(create_with(&store, &ScimRules::default(), &revived).await);
    assert_eq!((revived.user.id.as_str(), revived.user.active), (ada.id.as_str(), true));
    assert!(revived.before.is_some_and(|before| !before.active));
    assert!(store.api_key_by_id(&"own".parse().unwrap()).await.unwrap().is_none());
    let twice = create_with(&store, &ScimRules::default(), &data("ada")).await;
    assert_eq!(twice, ScimOutcome::Refused(ScimRefusal::Taken("externalId")));
}

pub async fn what_an_administrator_disabled_stays_disabled(store: Backend) {
    let ada = create(&store, "ada").await;
    store.deactivate_user(&ada.id, NOW).await.unwrap();
    let refused = ScimOutcome::Refused(ScimRefusal::DisabledHere);
    assert_eq!(change(&store, &ada, &data("ada")).await, refused);
    assert_eq!(create_with(&store, &ScimRules::default(), &data("ada")).await, refused);
    store.enable_user(&ada.id).await.unwrap();
    let inactive = ScimUserData { active: false, ..data("ada") };
    done(change(&store, &ada, &inactive).await);
    // The administrator disables it too: the directory no longer decides.
    store.disable_user(&ada.id, NOW + 2).await.unwrap();
    assert_eq!(change(&store, &ada, &data("ada")).await, refused);
    let renamed = ScimUserData { name: "A".to_owned(), ..inactive };
    assert_eq!(done(change(&store, &ada, &renamed).await).user.name, "A");
    // The directory cannot provision it again, neither by another address nor after a deletion.
    let elsewhere = ScimUserData { name: "A".to_owned(), active: false, ..data("elsewhere") };
    assert_eq!(change(&store, &ada, &elsewhere).await, refused);
    done(store.delete_scim_user("okta", &ada.id, None, NOW).await.unwrap());
    let left = store.user_by_id(&ada.id).await.unwrap().unwrap();
    assert!(left.disabled_at.is_some(), "{left:?}");
    let again = create_with(&store, &ScimRules::default(), &data("ada")).await;
    assert!(matches!(again, ScimOutcome::Refused(_)), "{again:?}");
}

pub async fn a_stale_version_changes_nothing(store: Backend) {
    let ada = create(&store, "ada").await;
    store.rename_user(&ada.id, "Renamed here").await.unwrap();
    let rules = ScimRules::default();
    let stale =
        store.change_scim_user("okta", &rules, &ada.id, &data("ada"), ada.version, NOW).await.unwrap();
    assert_eq!(stale, ScimOutcome::Stale);
    let stale = store.delete_scim_user("okta", &ada.id, Some(ada.version), NOW).await.unwrap();
    assert_eq!(stale, ScimOutcome::Stale);
    let ml = group(&store, "ml", &[]).await.group;
    change_group(&store, &ml.id, vec![ScimMemberChange::Add(vec![ada.id.clone()])]).await;
    let change = ScimGroupChange { name: Some("x".to_owned()), ..ScimGroupChange::default() };
    let stale = store.change_scim_group("okta", &ml.id, &change, Some(ml.version), NOW).await.unwrap();
    assert_eq!(stale, ScimOutcome::Stale);
    assert_eq!(store.delete_scim_group("okta", &ml.id, Some(ml.version)).await.unwrap(), ScimOutcome::Stale);
    done(store.delete_scim_user("okta", &ada.id, None, NOW).await.unwrap());
    assert_eq!(store.user_by_id(&ada.id).await.unwrap(), None);
    done(store.delete_scim_group("okta", &ml.id, None).await.unwrap());
    assert_eq!(store.group_by_id(&ml.id).await.unwrap(), None);
}

pub async fn an_identity_belongs_to_one_account(store: Backend) {
    store.create_user(&user("bob")).await.unwrap();
    let identity = OutsideIdentity {
        issuer: "https://id".to_owned(),
        subject: "ext-ada".to_owned(),
        provider: "corp".to_owned(),
        user_id: "id-bob".to_owned(),
        email: None,
        linked_at: NOW,
        last_sign_in_at: None,
    };
    assert!(store.link_outside_identity(&identity).await.unwrap());
    let rules = ScimRules { issuer: Some("https://id".to_owned()), ..ScimRules::default() };
    let error = store.create_scim_user("okta", &rules, "id-ada", &data("ada"), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "outside identity", .. }), "{error}");
    assert_eq!(store.user_by_id("id-ada").await.unwrap(), None);
}
