//! GitHub's dialect.

use serde_json::{Value, json};

use super::World;
use crate::{Groups, Profile, Proof, ProviderError, VerifiedEmail, Wishes};
use flyte_settings::{ProviderCredential, ProviderPreset};

async fn sign_in(emails: Value, groups: bool) -> (World, Result<Profile, ProviderError>) {
    sign_in_from(&tempfile::tempdir().unwrap(), emails, groups).await
}

/// The same, with the directory of the secret, for further sign-ins.
async fn sign_in_from(
    directory: &tempfile::TempDir,
    emails: Value,
    groups: bool,
) -> (World, Result<Profile, ProviderError>) {
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "s").unwrap();
    let world = World::with(|settings| {
        settings.preset = ProviderPreset::Github;
        settings.credential = ProviderCredential::Secret(secret);
        settings.groups_claim = groups.then(|| "groups".to_owned());
    })
    .await;
    let answer = json!({"access_token": "at", "token_type": "bearer", "scope": "read:user,user:email"});
    world.remote.answer_json("/login/oauth/access_token", &answer);
    let user = json!({"id": 7, "login": "octo", "name": "Octo \u{202e}Cat", "email": "profile@evil.example"});
    world.remote.answer_json("/api/v3/user", &user);
    world.remote.answer_json("/api/v3/user/emails", &emails);
    world.remote.answer_json("/api/v3/user/orgs", &json!([{"id": 42, "login": "acme"}]));
    world.remote.answer_json("/api/v3/user/teams", &json!([{"id": 5, "name": "admins"}]));
    let (url, attempt) = world.begin().await;
    assert_eq!(url.path(), "/login/oauth/authorize");
    let outcome = world.finish("code", &attempt).await;
    (world, outcome)
}

#[tokio::test]
async fn only_the_primary_verified_address_counts() {
    let boss = json!({"email": "boss@corp.example", "primary": true, "verified": false});
    let own = json!({"email": "x@own.example", "primary": false, "verified": true});
    let good = json!({"email": "Octo@Corp.example", "primary": true, "verified": true});
    for (emails, expected) in [
        (json!([boss, own]), None),
        (json!([own]), None),
        (json!([]), None),
        (json!([own, good]), Some("octo@corp.example")),
    ] {
        let (world, profile) = sign_in(emails.clone(), false).await;
        let profile = profile.unwrap();
        assert_eq!(profile.verified_email.as_ref().map(VerifiedEmail::as_str), expected, "{emails}");
        assert_eq!((profile.subject.as_str(), profile.issuer), ("7", world.remote.url), "not the login");
        assert_eq!(profile.name.as_deref(), Some("Octo Cat"));
        assert_eq!(profile.groups, Groups::Unknown);
    }
    let (_, outcome) = sign_in(json!({"message": "Not Found"}), false).await;
    assert!(matches!(outcome, Err(ProviderError::Wrong(_))));
}

#[tokio::test]
async fn groups_are_the_numbers_of_organizations_and_teams() {
    let (_, profile) = sign_in(json!([]), true).await;
    assert_eq!(profile.unwrap().groups, Groups::Listed(vec!["org:42".to_owned(), "team:5".to_owned()]));
}

#[tokio::test]
async fn an_error_with_status_200_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (world, _) = sign_in_from(&directory, json!([]), false).await;
    world.remote.answer_json("/login/oauth/access_token", &json!({"error": "bad_verification_code"}));
    let (_, attempt) = world.begin().await;
    let error = world.finish("code", &attempt).await.unwrap_err();
    assert_eq!(error, ProviderError::Refused("bad_verification_code".to_owned()));
    for (issuer, own) in [("/login/oauth", true), ("", true), ("/other", false), (".evil.example", false)] {
        let issuer = format!("{}{issuer}", world.remote.url);
        assert_eq!(world.provider.check_callback(Some(&issuer)).await.is_ok(), own, "{issuer}");
    }
}

#[tokio::test]
async fn the_user_of_a_token_is_asked_for_again() {
    let (world, first) = sign_in(json!([]), true).await;
    let first = first.unwrap();
    let proof = Proof::Access("gho_1".into());
    let recheck = async || {
        let answer = world.provider.recheck(&proof, &first.issuer, &first.subject).await;
        assert!(answer.proof.is_none());
        answer.outcome
    };
    assert_eq!(recheck().await, Ok(first.clone()));
    // Another team, a limit, an account that was suspended, a token that was revoked.
    world.remote.answer_json("/api/v3/user/teams", &json!([]));
    assert_eq!(recheck().await.unwrap().groups, Groups::Listed(vec!["org:42".to_owned()]));
    for (status, message, ends) in [
        (403, "API rate limit exceeded", false),
        (500, "", false),
        (403, "Sorry. Your account was suspended.", true),
        (401, "Bad credentials", true),
    ] {
        let body = json!({"message": message}).to_string();
        world.remote.answer("/api/v3/user", status, "application/json", body);
        assert_eq!(recheck().await.unwrap_err().ends_access(), ends, "{status} {message}");
    }
}

#[tokio::test]
async fn no_new_sign_in_is_promised() {
    let directory = tempfile::tempdir().unwrap();
    let (world, _) = sign_in_from(&directory, json!([]), false).await;
    let wishes = Wishes { max_age: Some(0), ..Wishes::default() };
    assert_eq!(world.provider.begin(&wishes).await.unwrap_err(), ProviderError::NoSignInTime);
}
