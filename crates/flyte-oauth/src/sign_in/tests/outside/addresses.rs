//! What one provider says about an address, and another provider.

use flyte_settings::LinkRule;
use flyte_store::{EmailProof, LastWay};

use super::*;

/// A server with the providers `corp` and `other`, which both create accounts, and have these rules.
async fn two(corp: LinkRule, other: LinkRule) -> (World, TestProvider) {
    let (first, second) = (TestProvider::start().await, TestProvider::start().await);
    let section = |name: &str, remote: &TestProvider, link| ProviderConfig {
        name: name.to_owned(),
        label: name.to_owned(),
        link,
        create_accounts: true,
        owned_domains: Vec::new(),
        ..settings(&remote.url)
    };
    let providers = vec![section("corp", &first, corp), section("other", &second, other)];
    let server = Server::with(|config| config.providers = providers).await;
    (World { server, remote: first }, second)
}

/// Signs in through `other`.
async fn sign_in_at_other(world: &World, other: &TestProvider, claims: Value) -> Option<String> {
    let mut browser = world.server.browser();
    other.claim(claims);
    let request = begin(&mut browser, "/login/with/other").await;
    let path = callback(&request, &other.sign_in(&request)).replace("/with/corp/", "/with/other/");
    browser.get(&path).await;
    who(&mut browser).await
}

const IDA: &str = "ida@corp.example";

#[tokio::test]
async fn the_word_of_one_provider_opens_no_account_to_another() {
    use LinkRule::{SignIn, VerifiedEmail};
    for (rule, vouches) in [(SignIn, false), (VerifiedEmail, true)] {
        let (world, other) = two(rule, VerifiedEmail).await;
        let mut browser = world.server.browser();
        sign_in(&world, &mut browser, json!({"email": IDA})).await;
        let ida = world.store().user_by_email(IDA).await.unwrap().unwrap();
        let proof = world.store().email_proof(&ida.id).await.unwrap();
        assert_eq!(proof.and_then(|proof| proof.issuer).is_some(), vouches, "{rule:?}");
        let claims = json!({"email": IDA, "sub": "eve"});
        assert_eq!(sign_in_at_other(&world, &other, claims.clone()).await, None, "{rule:?}");
        // Also if the user of the first provider is disconnected, which leaves its word.
        let (store, issuer) = (world.store(), &world.remote.url);
        let unlinked =
            store.unlink_outside_identity(&ida.id, issuer, "u1", LastWay::MayGo, NOW).await.unwrap();
        assert!(unlinked.is_some());
        assert_eq!(sign_in_at_other(&world, &other, claims.clone()).await, None, "{rule:?}");
        // The user's own proof to this server counts for every provider that the administrator trusts.
        let own = EmailProof { issuer: None, proved_at: NOW };
        assert!(world.store().prove_email(&ida.id, IDA, &own).await.unwrap());
        assert_eq!(sign_in_at_other(&world, &other, claims).await.as_deref(), Some(IDA));
    }
}

#[tokio::test]
async fn a_second_provider_is_connected_by_its_user_only() {
    // Even if the organization gives out the addresses, and the user has proved to have it.
    let (first, second) = (TestProvider::start().await, TestProvider::start().await);
    let section = |name: &str, remote: &TestProvider| ProviderConfig {
        name: name.to_owned(),
        link: LinkRule::VerifiedEmail,
        owned_domains: vec!["corp.example".to_owned()],
        create_accounts: true,
        ..settings(&remote.url)
    };
    let providers = vec![section("corp", &first), section("other", &second)];
    let world = World { server: Server::with(|config| config.providers = providers).await, remote: first };
    sign_in(&world, &mut world.server.browser(), json!({"email": IDA})).await;
    let ida = world.store().user_by_email(IDA).await.unwrap().unwrap();
    let own = EmailProof { issuer: None, proved_at: NOW };
    assert!(world.store().prove_email(&ida.id, IDA, &own).await.unwrap());
    let claims = json!({"email": IDA, "sub": "ida-there"});
    assert_eq!(sign_in_at_other(&world, &second, claims.clone()).await, None);
    assert_eq!(world.store().outside_identities_of(&ida.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_confirmed_connection_proves_the_address_only_under_the_rule() {
    for (rule, vouches) in [(LinkRule::SignIn, false), (LinkRule::VerifiedEmail, true)] {
        let world = World::with(|corp| corp.link = rule).await;
        let mut browser = world.server.browser();
        sign_in(&world, &mut browser, json!({"email": "ada@example.com"})).await;
        browser.sign_in_for("/login/connect", "ada@example.com", PASSWORD).await;
        let page = browser.get("/login/connect").await;
        let field = |name: &str| page.field(name).unwrap();
        let form =
            [("csrf", field("csrf")), ("decision", "connect".to_owned()), ("identity", field("identity"))];
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(browser.post("/login/connect", &form).await.status, 200);
        let proof = world.store().email_proof("id-of-Ada").await.unwrap();
        assert_eq!(proof.and_then(|proof| proof.issuer), vouches.then(|| world.remote.url.clone()));
    }
}

#[tokio::test]
async fn a_section_that_points_elsewhere_inherits_no_groups() {
    let world = World::with(|corp| corp.groups_claim = Some("groups".to_owned())).await;
    world.link("u1", "id-of-Ada").await;
    sign_in(&world, &mut world.server.browser(), json!({"groups": ["admins"]})).await;
    let groups = async |id: &str| world.store().groups_of_user(id).await.unwrap();
    let before = groups("id-of-Ada").await;
    assert_eq!(before.len(), 1);
    // The same store, and a section of the same name with another issuer.
    let elsewhere = TestProvider::start().await;
    let mut corp = settings(&elsewhere.url);
    corp.groups_claim = Some("groups".to_owned());
    let state = &world.server.state;
    let config = Arc::new(flyte_settings::Config { providers: vec![corp], ..(*state.config).clone() });
    let state = crate::testing::authorization_server(
        &config,
        &state.clock,
        &state.store,
        &state.keys,
        &state.audit,
        &state.access,
    );
    let state = Arc::new(state);
    let server = Server { router: crate::sign_in::router().with_state(state.clone()), state };
    let moved = World { server, remote: elsewhere };
    moved.link("u1", "id-of-Elsewhere").await;
    sign_in(&moved, &mut moved.server.browser(), json!({"groups": ["admins"]})).await;
    let there = groups("id-of-Elsewhere").await;
    assert_eq!(there.len(), 1);
    assert_ne!(there[0].id, before[0].id, "another group, without the roles of the first");
    assert_eq!(groups("id-of-Ada").await, before, "what another issuer says changes nothing");
}
