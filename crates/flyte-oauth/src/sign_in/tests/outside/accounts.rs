//! The accounts that users of a provider sign in to.

use flyte_settings::LinkRule;
use flyte_store::EmailProof;

use super::*;

#[tokio::test]
async fn an_account_is_never_found_by_a_name_or_an_unverified_address() {
    let world = World::with(|corp| {
        corp.link = LinkRule::VerifiedEmail;
        corp.owned_domains = vec!["example.com".to_owned()];
    })
    .await;
    world.remote.answer_json("/userinfo", &json!({"sub": "u1"}));
    for claims in [
        json!({"email": null, "preferred_username": "ada@example.com", "name": "Ada"}),
        json!({"email": "ada@example.com", "email_verified": false}),
        json!({"email": "ada@example.com", "email_verified": null}),
        json!({"email": "ad\u{ff41}@example.com"}),
        json!({"email": "ada@example.com.evil.example"}),
    ] {
        let mut browser = world.server.browser();
        let page = sign_in(&world, &mut browser, claims.clone()).await;
        assert_eq!((page.status.as_u16(), title(&page)), (403, "You have no account here yet"), "{claims}");
        assert_eq!((who(&mut browser).await, world.account("u1").await), (None, None), "{claims}");
    }
    assert_eq!(world.store().users().await.unwrap().len(), 3, "none was created");
}

#[tokio::test]
async fn an_account_is_linked_by_address_only_if_rule_provider_and_account_agree() {
    let claims = json!({"email": "ADA@example.com"});
    for (rule, owned, proved, expected) in [
        (LinkRule::SignIn, true, true, false),
        (LinkRule::VerifiedEmail, false, false, false),
        (LinkRule::VerifiedEmail, false, true, true),
        (LinkRule::VerifiedEmail, true, false, true),
    ] {
        let world = World::with(|corp| {
            corp.link = rule;
            corp.owned_domains = owned.then(|| "example.com".to_owned()).into_iter().collect();
        })
        .await;
        if proved {
            let proof = EmailProof { issuer: None, proved_at: NOW };
            assert!(world.store().prove_email("id-of-Ada", "ada@example.com", &proof).await.unwrap());
        }
        let mut browser = world.server.browser();
        sign_in(&world, &mut browser, claims.clone()).await;
        let linked = world.account("u1").await;
        assert_eq!(linked.as_deref(), expected.then_some("id-of-Ada"), "{rule:?} {owned} {proved}");
        assert_eq!(who(&mut browser).await.is_some(), expected);
        if expected {
            assert!(
                world.events().await.contains(&("identity_linked".to_owned(), "verified email".to_owned()))
            );
            // A user who was created again at the provider is another user, although the address is the same.
            let mut browser = world.server.browser();
            let page = sign_in(&world, &mut browser, json!({"sub": "u2", "email": "ada@example.com"})).await;
            assert_eq!((page.status.as_u16(), who(&mut browser).await), (403, None));
        }
    }
}

#[tokio::test]
async fn a_first_sign_in_creates_an_account_if_the_rule_allows_it() {
    let world = World::with(|corp| corp.create_accounts = true).await;
    let mut browser = world.server.browser();
    let claims = json!({"email": "Ida@Corp.example", "name": "\u{202e}Ida <b>", "admin": true});
    assert_eq!(sign_in(&world, &mut browser, claims).await.status, 200);
    let user = world.store().user_by_email("ida@corp.example").await.unwrap().unwrap();
    assert_eq!((user.name.as_str(), user.admin, &user.password_hash), ("Ida <b>", false, &None));
    assert_eq!(who(&mut browser).await.as_deref(), Some("ida@corp.example"));
    // The address changes at the provider: it is the same account, with its own address.
    let mut browser = world.server.browser();
    sign_in(&world, &mut browser, json!({"email": "new@corp.example"})).await;
    assert_eq!(who(&mut browser).await.as_deref(), Some("ida@corp.example"));
    let identity = &world.store().outside_identities_of(&user.id).await.unwrap()[0];
    assert_eq!(identity.email.as_deref(), Some("new@corp.example"));
    // An address that an account has, in whatever case, creates no second account.
    for email in ["ADA@EXAMPLE.COM", "ida@corp.example"] {
        let page = sign_in(&world, &mut world.server.browser(), json!({"sub": "u2", "email": email})).await;
        assert_eq!(page.status, 403, "{email}");
    }
    // An address that is not verified creates none.
    let claims = json!({"sub": "u3", "email": "eve@corp.example", "email_verified": "no"});
    assert_eq!(sign_in(&world, &mut world.server.browser(), claims).await.status, 403);
    let events: Vec<_> = world.events().await.into_iter().map(|(event, _)| event).collect();
    assert!(
        events.contains(&"user_created".to_owned()) && events.contains(&"identity_linked".to_owned()),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_disabled_account_stays_disabled() {
    let world = World::with(|corp| {
        corp.link = LinkRule::VerifiedEmail;
        corp.owned_domains = vec!["example.com".to_owned()];
        corp.create_accounts = true;
    })
    .await;
    world.link("u1", "id-of-Ada").await;
    world.store().disable_user("id-of-Ada", NOW).await.unwrap();
    for claims in [json!({}), json!({"sub": "u2", "email": "disabled@example.com"})] {
        let mut browser = world.server.browser();
        let page = sign_in(&world, &mut browser, claims).await;
        assert_eq!((page.status.as_u16(), title(&page)), (403, "Your account is disabled"));
        assert_eq!(who(&mut browser).await, None);
    }
    let ada = world.store().user_by_id("id-of-Ada").await.unwrap().unwrap();
    assert_eq!(ada.disabled_at, Some(NOW));
    assert_eq!(world.account("u2").await, None);
}

#[tokio::test]
async fn a_provider_that_points_elsewhere_finds_no_account() {
    let world = World::start().await;
    world.link("u1", "id-of-Ada").await;
    let elsewhere = World::start().await;
    let identity = world.store().outside_identity(&world.remote.url, "u1").await.unwrap().unwrap();
    assert!(elsewhere.store().link_outside_identity(&identity).await.unwrap());
    let mut browser = elsewhere.server.browser();
    assert_eq!(sign_in(&elsewhere, &mut browser, json!({})).await.status, 403, "another issuer");
    assert_eq!(who(&mut browser).await, None);
}

#[tokio::test]
async fn a_user_connects_their_own_account() {
    let world = World::start().await;
    let mut browser = world.server.browser();
    let claims = json!({"email": "ida@corp.example", "name": "Ida <script>"});
    let page = sign_in_for(
        &world,
        &mut browser,
        &format!("/login/with/corp?return_to={}", flyte_pages::encode(AUTHORIZE)),
        claims,
    )
    .await;
    assert!(
        page.body.contains("/login?return_to=%2Flogin%2Fconnect") && page.body.contains("ida@corp.example"),
        "{}",
        page.body
    );
    assert_eq!(browser.get("/login/connect").await.location(), "/login?return_to=%2Flogin%2Fconnect");
    let page = browser.sign_in_for("/login/connect", "ada@example.com", PASSWORD).await;
    assert_eq!(page.location(), "/login/connect");
    let page = browser.get("/login/connect").await;
    assert_eq!(title(&page), "Connect Corp?");
    assert!(page.body.contains("Ada@example.com") && !page.body.contains("<script>"), "{}", page.body);
    let csrf = page.field("csrf").unwrap();
    // Only this form, in this browser, with a recent sign-in.
    assert_eq!(
        browser.post("/login/connect", &[("csrf", "AAAA"), ("decision", "connect")]).await.status,
        403
    );
    let mut other = world.server.browser();
    other.sign_in("elsewhere@example.com", PASSWORD).await;
    assert_eq!(other.get("/login/connect").await.location(), "/");
    world.server.state.clock.advance(601);
    assert_eq!(browser.get("/login/connect").await.location(), "/");
    assert_eq!(world.account("u1").await, None, "forgotten after ten minutes");

    sign_in(&world, &mut browser, json!({"iat": NOW + 601, "exp": NOW + 900})).await;
    assert_eq!(
        browser.get("/login/connect").await.location(),
        "/login?return_to=%2Flogin%2Fconnect",
        "an old session"
    );
    browser.sign_in_for("/login/connect", "ada@example.com", PASSWORD).await;
    let csrf_now = browser.get("/login/connect").await.field("csrf").unwrap();
    assert_ne!(csrf, csrf_now);
    let page = browser.get("/login/connect").await;
    let identity = page.field("identity").unwrap();
    // Another tab brings another identity after the page was opened.
    sign_in(&world, &mut browser, json!({"sub": "u2", "iat": NOW + 601, "exp": NOW + 900})).await;
    let connect = [("csrf", csrf_now.as_str()), ("decision", "connect"), ("identity", identity.as_str())];
    assert_eq!(browser.post("/login/connect", &connect).await.status, 409);
    assert_eq!((world.account("u1").await, world.account("u2").await), (None, None));
    sign_in(&world, &mut browser, json!({"iat": NOW + 601, "exp": NOW + 900})).await;
    assert_eq!(browser.post("/login/connect", &connect).await.status, 200);
    assert_eq!(world.account("u1").await.as_deref(), Some("id-of-Ada"));
    assert_eq!(world.store().email_proof("id-of-Ada").await.unwrap(), None, "another address");
    assert_eq!(browser.post("/login/connect", &connect).await.status, 400, "used once");
    assert!(world.events().await.contains(&("identity_linked".to_owned(), "confirmed".to_owned())));
    let mut browser = world.server.browser();
    sign_in(&world, &mut browser, json!({"iat": NOW + 601, "exp": NOW + 900})).await;
    assert_eq!(who(&mut browser).await.as_deref(), Some("Ada@example.com"));
}

#[tokio::test]
async fn a_cancelled_connection_connects_nothing() {
    let world = World::start().await;
    let mut browser = world.server.browser();
    sign_in(&world, &mut browser, json!({})).await;
    browser.sign_in_for("/login/connect", "ada@example.com", PASSWORD).await;
    let csrf = browser.get("/login/connect").await.field("csrf").unwrap();
    assert_eq!(browser.post("/login/connect", &[("csrf", &csrf), ("decision", "cancel")]).await.status, 200);
    assert_eq!(browser.post("/login/connect", &[("csrf", &csrf), ("decision", "connect")]).await.status, 400);
    assert_eq!(world.account("u1").await, None);
}

#[tokio::test]
async fn rules_refuse_with_a_page_and_an_event() {
    let world = World::with(|corp| corp.allowed_groups = vec!["g".to_owned()]).await;
    world.link("u1", "id-of-Ada").await;
    let mut browser = world.server.browser();
    let page = sign_in(&world, &mut browser, json!({})).await;
    assert_eq!((page.status.as_u16(), title(&page)), (403, "You cannot sign in with this account"));
    assert_eq!(who(&mut browser).await, None);
    assert!(
        world.events().await.contains(&("provider_sign_in_refused".to_owned(), "groups unknown".to_owned()))
    );
}

#[tokio::test]
async fn groups_of_a_provider_are_its_own() {
    let world = World::with(|corp| corp.groups_claim = Some("groups".to_owned())).await;
    world.link("u1", "id-of-Ada").await;
    let made_here = flyte_store::Group {
        id: "made-here".to_owned(),
        name: "admins".to_owned(),
        description: String::new(),
        origin: None,
        created_at: NOW,
    };
    world.store().create_group(&made_here).await.unwrap();
    let mut browser = world.server.browser();
    let groups = async || {
        let groups = world.store().groups_of_user("id-of-Ada").await.unwrap();
        let of_provider = |group: flyte_store::Group| {
            let origin = group.origin.expect("none that was made here");
            assert_eq!(origin.provider, world.remote.url, "not the section, which can point elsewhere");
            origin.external_id
        };
        groups.into_iter().map(of_provider).collect::<Vec<_>>()
    };
    for (claims, expected) in [
        (json!({"groups": ["admins", "ml"]}), &["admins", "ml"][..]),
        // Unknown and too many are not none.
        (json!({"groups": null}), &["admins", "ml"]),
        (json!({"groups": null, "_claim_names": {"groups": "s"}}), &["admins", "ml"]),
        (json!({"groups": "ml"}), &["ml"]),
        (json!({"groups": []}), &[]),
    ] {
        world.remote.answer_json("/userinfo", &json!({"sub": "u1"}));
        assert_eq!(sign_in(&world, &mut browser, claims.clone()).await.status, 200);
        assert_eq!(groups().await, expected, "{claims}");
    }
}
