//! Changes of policies reach callers, keys, runs and streams.

use std::sync::Arc;

use futures_util::FutureExt as _;
use http::HeaderMap;
use secrecy::ExposeSecret as _;

use crate::{
    Access, Caller,
    testing::Parts,
    token::{MachineGrant, TokenGrant},
};
use flyte_model::{ClientId, Limit, PrincipalKind, Rights, Role, Scope};
use flyte_policy::{Binding, Permission, Subject};
use flyte_store::{RoleIn, TrustRule};
use flyte_testing::{NOW, api_key, user};

fn limit(project: &str) -> Limit {
    Limit { project: Some(project.to_owned()).filter(|project| !project.is_empty()), domain: None }
}

fn binding(name: &str, role: Role, project: &str) -> Binding {
    let subject = Subject::user(&format!("user-{name}"));
    Binding { subject, role: role.to_string(), limit: limit(project) }
}

/// A server on which Ada is a contributor of `alpha` and a viewer of `beta`, and Root an administrator.
async fn server() -> Parts {
    let app = Parts::new(|_| {}).await;
    let roles = [(Role::Contributor, "alpha"), (Role::Viewer, "beta")];
    let roles = roles.map(|(role, project)| RoleIn { role: role.to_string(), limit: limit(project) });
    app.store.create_user_with(&user("Ada"), &roles).await.unwrap();
    app.store.create_user_with(&user("Root"), &[RoleIn::everywhere(Role::Admin)]).await.unwrap();
    app
}

fn bearer(token: &str) -> HeaderMap {
    let header = (http::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    [header].into_iter().collect()
}

fn person(app: &Parts, name: &str) -> HeaderMap {
    let grant = TokenGrant {
        user_id: format!("user-{name}"),
        client_id: ClientId::from_static("flyte"),
        scopes: [Scope::ALL].into(),
        audience: None,
        authenticated_at: NOW,
        session_id: "session".to_owned(),
        family_id: format!("family-of-{name}"),
    };
    bearer(app.access.tokens().issue(&grant).unwrap().token.expose_secret())
}

fn machine(app: &Parts, principal: PrincipalKind, subject: &str, family_id: &str) -> HeaderMap {
    let grant = MachineGrant {
        principal,
        subject: subject.to_owned(),
        client_id: subject.parse().unwrap_or(ClientId::from_static("flyte")),
        scopes: [Scope::ALL].into(),
        audience: None,
        family_id: family_id.to_owned(),
        lifetime: None,
    };
    bearer(app.access.tokens().issue_to_machine(&grant).unwrap().token.expose_secret())
}

async fn call(access: &Access, headers: &HeaderMap) -> Arc<Caller> {
    access.authenticate(headers).await.unwrap()
}

fn may(caller: &Caller, permission: Permission, project: &str) -> bool {
    caller.grants.may(permission, project, Some("development"))
}

#[tokio::test]
async fn people_have_their_roles_where_they_were_given() {
    let app = server().await;
    let ada = call(&app.access, &person(&app, "Ada")).await;
    assert!(may(&ada, Permission::Run, "alpha") && !may(&ada, Permission::Run, "beta"));
    assert!(may(&ada, Permission::ViewRuns, "beta") && !may(&ada, Permission::ViewRuns, "gamma"));
    let root = call(&app.access, &person(&app, "Root")).await;
    assert!(root.grants.may_everywhere(Permission::AdministerServer));
}

#[tokio::test]
async fn a_change_reaches_cached_callers_and_other_replicas_without_delay() {
    let app = server().await;
    let replica = app.replica();
    let ada = person(&app, "Ada");
    for access in [&*app.access, &replica] {
        assert!(may(&*call(access, &ada).await, Permission::Run, "alpha"));
    }
    app.store.unbind_role(&binding("Ada", Role::Contributor, "alpha")).await.unwrap();
    app.store.bind_role(&binding("Ada", Role::Viewer, "gamma"), NOW).await.unwrap();
    // The clock does not advance: the callers are cached, and nothing waits for the cache.
    app.access.reload_policies().await.unwrap();
    replica.maintain().await.unwrap();
    for access in [&*app.access, &replica] {
        let now = call(access, &ada).await;
        assert!(!now.grants.sees("alpha", None) && may(&now, Permission::ViewRuns, "gamma"));
    }
}

#[tokio::test]
async fn groups_count_while_one_is_a_member() {
    let app = server().await;
    let group = flyte_store::Group {
        id: "g".to_owned(),
        name: "Operators".to_owned(),
        description: String::new(),
        origin: None,
        created_at: NOW,
    };
    app.store.create_group(&group).await.unwrap();
    let of_group = Binding { subject: Subject::group("g"), ..binding("", Role::Contributor, "delta") };
    app.store.bind_role(&of_group, NOW).await.unwrap();
    let ada = person(&app, "Ada");
    let may_run = async || {
        app.access.reload_policies().await.unwrap();
        may(&*call(&app.access, &ada).await, Permission::Run, "delta")
    };
    assert!(!may_run().await);
    app.store.add_group_member("g", "user-Ada").await.unwrap();
    assert!(may_run().await);
    app.store.remove_group_member("g", "user-Ada").await.unwrap();
    assert!(!may_run().await);
}

#[tokio::test]
async fn streams_end_when_a_role_is_taken_and_stay_when_one_is_given() {
    let app = server().await;
    let headers = person(&app, "Ada");
    let ada = call(&app.access, &headers).await;
    let mut stream = app.access.open_stream(&ada, &headers).unwrap();
    app.store.bind_role(&binding("Ada", Role::Viewer, "gamma"), NOW).await.unwrap();
    app.access.maintain().await.unwrap();
    app.access.check_streams().await;
    assert!(stream.ended().now_or_never().is_none(), "the stream stays open");
    app.store.unbind_role(&binding("Ada", Role::Viewer, "beta")).await.unwrap();
    app.access.maintain().await.unwrap();
    app.access.check_streams().await;
    assert_eq!(stream.ended().await.to_string(), "the caller's rights have been reduced");
}

#[tokio::test]
async fn a_key_has_at_most_what_its_creator_has_now() {
    let app = server().await;
    let (parent, _) = api_key(&*app.store, "parent", |key| key.rights.limit = Limit::default()).await;
    let (child, _) = api_key(&*app.store, "child", |key| {
        key.created_by = parent.client_id.to_string();
        key.rights.limit = limit("alpha");
    })
    .await;
    let (of_console, _) = api_key(&*app.store, "console", |key| key.created_by = "gone".to_owned()).await;
    let headers = |key: &flyte_store::ApiKey| {
        machine(&app, PrincipalKind::ApiKey, key.client_id.as_str(), &key.family_id)
    };
    let own = call(&app.access, &headers(&parent)).await;
    assert!(may(&own, Permission::Run, "alpha") && !may(&own, Permission::Run, "beta"));
    assert!(may(&own, Permission::ViewRuns, "beta") && !own.grants.may_everywhere(Permission::ViewRuns));
    let own = call(&app.access, &headers(&child)).await;
    assert!(may(&own, Permission::Run, "alpha") && !own.grants.sees("beta", None));
    assert!(call(&app.access, &headers(&of_console)).await.grants.may_everywhere(Permission::Run));

    // A role that policies give the key itself counts, within what the creator has.
    let more = Binding { subject: Subject::application("child"), ..binding("", Role::Admin, "beta") };
    app.store.bind_role(&more, NOW).await.unwrap();
    app.access.reload_policies().await.unwrap();
    let own = call(&app.access, &headers(&child)).await;
    assert!(may(&own, Permission::ViewRuns, "beta") && !may(&own, Permission::Run, "beta"));

    app.store.unbind_role(&binding("Ada", Role::Contributor, "alpha")).await.unwrap();
    app.access.reload_policies().await.unwrap();
    for key in [&parent, &child] {
        assert!(!call(&app.access, &headers(key)).await.grants.sees("alpha", None), "{}", key.name);
    }
}

#[tokio::test]
async fn a_trust_rule_has_at_most_what_its_creator_has_now() {
    let app = server().await;
    let rule = TrustRule {
        name: "ci".to_owned(),
        issuer: "https://ci.example.com".to_owned(),
        audience: "https://localhost:8443".to_owned(),
        claims: std::collections::BTreeMap::new(),
        jwks_uri: None,
        rights: Rights { role: Role::Contributor, scopes: [Scope::ALL].into(), limit: Limit::default() },
        token_lifetime: None,
        created_by: "user-Root".to_owned(),
        created_at: NOW,
        last_used_at: None,
        family_id: "family-of-ci".to_owned(),
    };
    app.store.create_trust_rule(&rule).await.unwrap();
    let job = machine(&app, PrincipalKind::Federated, "ci:repo", &rule.family_id);
    assert!(call(&app.access, &job).await.grants.may_everywhere(Permission::Run));
    // Root hands the administration over to Ada.
    app.store.bind_role(&binding("Ada", Role::Admin, ""), NOW).await.unwrap();
    app.store.bind_role(&binding("Root", Role::Viewer, "alpha"), NOW).await.unwrap();
    app.store.unbind_role(&binding("Root", Role::Admin, "")).await.unwrap();
    app.access.reload_policies().await.unwrap();
    let now = call(&app.access, &job).await;
    assert!(!may(&now, Permission::Run, "alpha") && may(&now, Permission::ViewRuns, "alpha"));
    assert!(!now.grants.sees("beta", None));
}

#[tokio::test]
async fn a_run_is_started_with_the_rights_of_this_moment() {
    let app = server().await;
    let ada = call(&app.access, &person(&app, "Ada")).await;
    let creator = ada.run_creator("alpha", "development").unwrap();
    assert_eq!(creator.role, Role::Contributor);
    assert_eq!(creator.limit.project.as_deref(), Some("alpha"));
    // In a project in which she only reads, a run could do no more either.
    assert_eq!(ada.run_creator("beta", "development").unwrap().role, Role::Viewer);
}
