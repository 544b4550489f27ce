//! Authorization codes, refresh tokens and families.

use futures_util::future::join_all;

use super::{Backend, NOW, client_id, code, hash, session, sign_in, token};
use crate::{CodeRedemption, FAMILY_RETENTION, NewRefreshToken, RefreshRotation, RevokedBy};

/// Signs Ada in: creates the family `family-NAME` with the refresh token `NAME`.
async fn family(store: &Backend, name: &str) {
    if !store.any_user().await.unwrap() {
        sign_in(store, "ada").await;
    }
    assert!(store.create_code(&code(name)).await.unwrap());
    let redeemed = store.redeem_code(&code(name).code_hash, Some(&token(name)), NOW).await.unwrap();
    assert_eq!(redeemed, CodeRedemption::Redeemed(code(name)));
}

async fn rotate(store: &Backend, old: &str, new: &str, grace: i64, now: i64) -> RefreshRotation {
    store.rotate_refresh_token(&hash(old), &client_id("flyte"), &token(new), grace, now).await.unwrap()
}

fn is_rotated(outcome: &RefreshRotation) -> bool {
    matches!(outcome, RefreshRotation::Rotated(_))
}

fn reused(name: &str) -> RefreshRotation {
    RefreshRotation::Reused {
        family_id: format!("family-{name}"),
        user_id: "id-ada".to_owned(),
        client_id: client_id("flyte"),
    }
}

async fn lives(store: &Backend, token: &str) -> bool {
    store.peek_refresh_token(&hash(token), &client_id("flyte"), NOW).await.unwrap().is_some()
}

pub async fn a_code_is_redeemed_once_and_a_replay_revokes_its_family(store: Backend) {
    family(&store, "a").await;
    family(&store, "b").await;
    let again = store.redeem_code(&code("a").code_hash, Some(&token("a2")), NOW + 1).await.unwrap();
    assert_eq!(again, CodeRedemption::Replayed { family_id: "family-a".to_owned() });
    assert!(!lives(&store, "a").await && !lives(&store, "a2").await);
    assert_eq!(rotate(&store, "a", "a3", 60, NOW + 1).await, RefreshRotation::Unknown);
    assert!(lives(&store, "b").await);
    let unknown = store.redeem_code(&hash("never issued"), None, NOW).await.unwrap();
    assert_eq!(unknown, CodeRedemption::Unknown);
}

pub async fn a_code_ends_at_its_expiry(store: Backend) {
    sign_in(&store, "ada").await;
    for (name, now, good) in [("last second", NOW + 59, true), ("too late", NOW + 60, false)] {
        assert!(store.create_code(&code(name)).await.unwrap());
        let peeked = store.peek_code(&code(name).code_hash, now).await.unwrap();
        assert_eq!(peeked, good.then(|| code(name)), "{name}");
        let redeemed = store.redeem_code(&code(name).code_hash, Some(&token(name)), now).await.unwrap();
        assert_eq!(matches!(redeemed, CodeRedemption::Redeemed(_)), good, "{name}");
        assert_eq!(lives(&store, name).await, good, "{name}");
    }
    // An expired code that is presented again was never redeemed, so there is nothing to revoke.
    let again = store.redeem_code(&code("too late").code_hash, None, NOW).await.unwrap();
    assert_eq!(again, CodeRedemption::Unknown);
}

pub async fn a_code_needs_the_session_that_authorized_it(store: Backend) {
    sign_in(&store, "ada").await;
    sign_in(&store, "bob").await;
    let mut others = code("others");
    others.session_id = "session-bob".to_owned();
    assert!(!store.create_code(&others).await.unwrap(), "the session of another user");
    store.delete_session("session-ada").await.unwrap();
    assert!(!store.create_code(&code("late")).await.unwrap());
    for name in ["others", "late"] {
        let redeemed = store.redeem_code(&code(name).code_hash, None, NOW).await.unwrap();
        assert_eq!(redeemed, CodeRedemption::Unknown, "{name}");
    }
}

pub async fn peeking_does_not_redeem(store: Backend) {
    sign_in(&store, "ada").await;
    assert!(store.create_code(&code("a")).await.unwrap());
    for _ in 0..3 {
        assert_eq!(store.peek_code(&code("a").code_hash, NOW).await.unwrap(), Some(code("a")));
    }
    store.redeem_code(&code("a").code_hash, Some(&token("a")), NOW).await.unwrap();
    assert_eq!(store.peek_code(&code("a").code_hash, NOW).await.unwrap(), None);
    for _ in 0..3 {
        let peeked = store.peek_refresh_token(&hash("a"), &client_id("flyte"), NOW).await.unwrap().unwrap();
        assert_eq!((peeked.family_id.as_str(), peeked.scopes), ("family-a", code("a").scopes));
    }
    assert!(is_rotated(&rotate(&store, "a", "b", 0, NOW).await));
    assert!(lives(&store, "a").await, "a superseded token still has its grant");
}

pub async fn one_of_a_hundred_redemptions_wins(store: Backend) {
    sign_in(&store, "ada").await;
    assert!(store.create_code(&code("a")).await.unwrap());
    let tokens: Vec<_> = (0..100).map(|n| token(&n.to_string())).collect();
    let hash = code("a").code_hash;
    let outcomes = join_all(tokens.iter().map(|token| store.redeem_code(&hash, Some(token), NOW))).await;
    let redeemed = |outcome: &&_| matches!(**outcome, Ok(CodeRedemption::Redeemed(_)));
    let replayed = |outcome: &&_| matches!(**outcome, Ok(CodeRedemption::Replayed { .. }));
    assert_eq!(outcomes.iter().filter(redeemed).count(), 1);
    assert_eq!(outcomes.iter().filter(replayed).count(), 99);
    for n in 0..100 {
        assert!(!lives(&store, &n.to_string()).await, "the replays revoked the tokens of the winner");
    }
}

pub async fn one_of_a_hundred_successors_is_valid(store: Backend) {
    family(&store, "a").await;
    let tokens: Vec<_> = (0..100).map(|n| token(&n.to_string())).collect();
    let old = hash("a");
    let flyte = client_id("flyte");
    let rotations = tokens.iter().map(|next| store.rotate_refresh_token(&old, &flyte, next, 60, NOW + 1));
    let outcomes = join_all(rotations).await;
    // Each rotation replaced the successor of the one before, which was unused.
    assert!(outcomes.iter().all(|outcome| is_rotated(outcome.as_ref().unwrap())));
    // The writer runs them in turn, so the last successor is valid.
    assert!(is_rotated(&rotate(&store, "99", "next", 60, NOW + 2).await));
    // All others are void, and presenting one ends the family.
    assert_eq!(rotate(&store, "42", "x", 60, NOW + 2).await, reused("a"));
    assert!(!lives(&store, "next").await);
}

pub async fn without_a_grace_period_any_reuse_revokes_the_family(store: Backend) {
    family(&store, "a").await;
    let tokens: Vec<_> = (0..100).map(|n| token(&n.to_string())).collect();
    let old = hash("a");
    let flyte = client_id("flyte");
    let rotations = tokens.iter().map(|next| store.rotate_refresh_token(&old, &flyte, next, 0, NOW));
    let outcomes: Vec<_> = join_all(rotations).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| is_rotated(outcome)).count(), 1, "also in the same second");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == reused("a")).count(), 1);
    for n in 0..100 {
        assert!(!lives(&store, &n.to_string()).await, "{n}");
    }
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-a"]);
    // The same holds if the clock was set back in between.
    family(&store, "b").await;
    assert!(is_rotated(&rotate(&store, "b", "b1", 0, NOW).await));
    assert_eq!(rotate(&store, "b", "b2", 0, NOW - 5).await, reused("b"));
}

pub async fn a_rotation_supersedes_and_reuse_revokes_the_family(store: Backend) {
    family(&store, "a").await;
    let RefreshRotation::Rotated(rotated) = rotate(&store, "a", "b", 60, NOW + 1).await else { panic!() };
    let given = code("a");
    assert_eq!(
        (rotated.family_id, rotated.client_id, rotated.user_id, rotated.session_id),
        (given.family_id, given.client_id, given.user_id, given.session_id)
    );
    assert_eq!(
        (rotated.authenticated_at, rotated.scopes, rotated.audience),
        (given.authenticated_at, given.scopes, given.audience)
    );
    assert!(is_rotated(&rotate(&store, "b", "c", 60, NOW + 2).await));
    // 60 seconds after it was superseded.
    assert_eq!(rotate(&store, "b", "d", 60, NOW + 62).await, reused("a"));
    for dead in ["a", "b", "c", "d"] {
        assert!(!lives(&store, dead).await, "{dead}");
        assert_eq!(rotate(&store, dead, "e", 60, NOW + 63).await, RefreshRotation::Unknown, "{dead}");
    }
    assert_eq!(store.families_revoked_since(NOW + 62).await.unwrap(), ["family-a"]);
}

pub async fn a_lost_response_can_be_retried_within_the_grace_period(store: Backend) {
    family(&store, "a").await;
    assert!(is_rotated(&rotate(&store, "a", "lost", 60, NOW).await));
    assert!(is_rotated(&rotate(&store, "a", "lost too", 60, NOW + 30).await));
    assert!(is_rotated(&rotate(&store, "a", "got", 60, NOW + 59).await), "also in its last second");
    assert!(is_rotated(&rotate(&store, "got", "next", 60, NOW + 61).await));
    assert!(lives(&store, "next").await);
    // The void successor arrived after all, and two parties hold tokens: a thief, or two programs that raced.
    assert_eq!(rotate(&store, "lost", "x", 60, NOW + 62).await, reused("a"));
    assert!(!lives(&store, "next").await);

    family(&store, "b").await;
    assert!(is_rotated(&rotate(&store, "b", "b1", 60, NOW).await));
    assert!(is_rotated(&rotate(&store, "b", "b2", 60, NOW + 59).await));
    assert_eq!(
        rotate(&store, "b", "b3", 60, NOW + 60).await,
        reused("b"),
        "a retry does not extend the grace period"
    );
}

pub async fn a_used_successor_ends_the_grace_period(store: Backend) {
    family(&store, "a").await;
    assert!(is_rotated(&rotate(&store, "a", "b", 60, NOW).await));
    assert!(is_rotated(&rotate(&store, "b", "c", 60, NOW + 1).await));
    assert_eq!(rotate(&store, "a", "d", 60, NOW + 2).await, reused("a"));
    assert!(!lives(&store, "c").await);
}

pub async fn a_refresh_token_ends_at_its_expiry(store: Backend) {
    family(&store, "a").await;
    family(&store, "b").await;
    assert!(is_rotated(&rotate(&store, "a", "a2", 60, NOW + 3599).await));
    assert_eq!(rotate(&store, "b", "b2", 60, NOW + 3600).await, RefreshRotation::Unknown);
    assert!(store.peek_refresh_token(&hash("b"), &client_id("flyte"), NOW + 3600).await.unwrap().is_none());
    assert_eq!(rotate(&store, "never issued", "x", 60, NOW).await, RefreshRotation::Unknown);
}

pub async fn another_clients_token_is_unknown_and_unchanged(store: Backend) {
    family(&store, "a").await;
    let stolen =
        store.rotate_refresh_token(&hash("a"), &client_id("other"), &token("x"), 60, NOW).await.unwrap();
    assert_eq!(stolen, RefreshRotation::Unknown);
    assert!(store.peek_refresh_token(&hash("a"), &client_id("other"), NOW).await.unwrap().is_none());
    assert!(is_rotated(&rotate(&store, "a", "b", 0, NOW).await));
    // Another client cannot end the family by presenting a superseded token either.
    let stolen =
        store.rotate_refresh_token(&hash("a"), &client_id("other"), &token("x"), 0, NOW + 9).await.unwrap();
    assert_eq!(stolen, RefreshRotation::Unknown);
    assert!(lives(&store, "b").await);
}

pub async fn a_client_revokes_only_its_own(store: Backend) {
    for name in ["a", "b", "c"] {
        family(&store, name).await;
    }
    let (flyte, other) = (client_id("flyte"), client_id("other"));
    let (own, other) = (RevokedBy::Client(&flyte), RevokedBy::Client(&other));
    assert_eq!(store.revoke_refresh_token(&hash("a"), other, NOW).await.unwrap(), None);
    assert!(!store.revoke_family("family-a", other, NOW).await.unwrap());
    assert_eq!(store.revoke_refresh_token(&hash("never issued"), own, NOW).await.unwrap(), None);
    assert!(!store.revoke_family("family-never", RevokedBy::Server, NOW).await.unwrap());
    assert!(store.families_revoked_since(0).await.unwrap().is_empty());

    // A superseded token also revokes its family.
    assert!(is_rotated(&rotate(&store, "a", "a2", 60, NOW).await));
    let revoked = store.revoke_refresh_token(&hash("a"), own, NOW).await.unwrap();
    assert_eq!(revoked.as_deref(), Some("family-a"));
    assert!(store.revoke_family("family-b", own, NOW).await.unwrap());
    assert!(store.revoke_family("family-c", RevokedBy::Server, NOW).await.unwrap());
    for dead in ["a", "a2", "b", "c"] {
        assert!(!lives(&store, dead).await, "{dead}");
    }
}

pub async fn signing_out_revokes_the_families_of_the_session(store: Backend) {
    family(&store, "a").await;
    family(&store, "b").await;
    assert!(store.create_code(&code("waiting")).await.unwrap());
    let mut elsewhere = code("elsewhere");
    elsewhere.session_id = "session-other".to_owned();
    assert!(store.create_session(&session("other", "ada", NOW + 10), Some("$hash")).await.unwrap());
    assert!(store.create_code(&elsewhere).await.unwrap());
    store.redeem_code(&elsewhere.code_hash, Some(&token("elsewhere")), NOW).await.unwrap();

    let mut ended = store.revoke_session_families("session-ada", NOW).await.unwrap();
    ended.sort_unstable();
    assert_eq!(ended, ["family-a", "family-b"]);
    assert!(!lives(&store, "a").await && !lives(&store, "b").await && lives(&store, "elsewhere").await);
    let waiting = store.redeem_code(&code("waiting").code_hash, None, NOW).await.unwrap();
    assert_eq!(waiting, CodeRedemption::Unknown);
    assert!(store.revoke_session_families("session-ada", NOW).await.unwrap().is_empty());
}

pub async fn revocations_are_listed_since_a_time(store: Backend) {
    for (name, at) in [("a", NOW), ("b", NOW + 10), ("c", NOW + 20)] {
        family(&store, name).await;
        store.revoke_family(&format!("family-{name}"), RevokedBy::Server, at).await.unwrap();
    }
    // Revoking again does not change the time.
    store.revoke_family("family-a", RevokedBy::Server, NOW + 30).await.unwrap();
    let revoked = async |since| {
        let mut revoked = store.families_revoked_since(since).await.unwrap();
        revoked.sort_unstable();
        revoked.join(" ")
    };
    assert_eq!(revoked(NOW).await, "family-a family-b family-c");
    assert_eq!(revoked(NOW + 1).await, "family-b family-c");
    assert_eq!(revoked(NOW + 20).await, "family-c");
    assert_eq!(revoked(NOW + 21).await, "");
}

pub async fn unusable_grants_are_cleaned_up(store: Backend) {
    family(&store, "a").await;
    family(&store, "revoked").await;
    assert!(store.create_code(&code("waiting")).await.unwrap());
    assert!(store.create_code(&code("no refresh")).await.unwrap());
    store.redeem_code(&code("no refresh").code_hash, None, NOW).await.unwrap();
    let next = NewRefreshToken { token_hash: hash("a2"), expires_at: NOW + 10_000 };
    store.rotate_refresh_token(&hash("a"), &client_id("flyte"), &next, 0, NOW).await.unwrap();
    store.revoke_family("family-revoked", RevokedBy::Server, NOW).await.unwrap();

    assert_eq!(store.delete_expired_grants(NOW + 59).await.unwrap(), 0);
    assert_eq!(store.delete_expired_grants(NOW + 60).await.unwrap(), 1, "the code");
    assert_eq!(store.delete_expired_grants(NOW + 3600).await.unwrap(), 1, "the superseded token");
    assert_eq!(store.delete_expired_grants(NOW + 9_999).await.unwrap(), 0);
    assert_eq!(store.delete_expired_grants(NOW + 10_000).await.unwrap(), 1, "the last token");
    // Replays and revocations are remembered for as long as an access token can live.
    let until = NOW + FAMILY_RETENTION;
    assert_eq!(store.delete_expired_grants(until - 1).await.unwrap(), 0);
    assert_eq!(store.families_revoked_since(0).await.unwrap(), ["family-revoked"]);
    assert_eq!(
        store.delete_expired_grants(until).await.unwrap(),
        2,
        "revoked, and never had a refresh token"
    );
    assert_eq!(store.delete_expired_grants(NOW + 10_000 + FAMILY_RETENTION).await.unwrap(), 1);
    let replay = store.redeem_code(&code("a").code_hash, None, NOW).await.unwrap();
    assert_eq!(replay, CodeRedemption::Unknown);

    // More rows than one step of the clean-up removes.
    let codes: Vec<_> = (0..1200).map(|n| code(&format!("many-{n}"))).collect();
    for created in join_all(codes.iter().map(|code| store.create_code(code))).await {
        assert!(created.unwrap());
    }
    assert_eq!(store.delete_expired_grants(NOW + 60).await.unwrap(), 1200);
}
