//! Devices that wait for a user.

use futures_util::future::join_all;

use super::{Backend, NOW, client, client_id, code, hash, sign_in, token};
use crate::{
    DEVICE_RETENTION, DeviceAuthorization, DeviceDecision, DeviceGrant, DevicePoll, DeviceRedemption,
    RefreshRotation, RevokedBy, SLOW_DOWN, StoreError,
};
use flyte_model::Scope;

/// Returns a device of the client `flyte`, valid for ten minutes.
pub(super) fn device(name: &str) -> DeviceAuthorization {
    DeviceAuthorization {
        device_code_hash: hash(&format!("device-{name}")),
        user_code_hash: hash(&format!("user-{name}")),
        family_id: format!("family-{name}"),
        client_id: client_id("flyte"),
        scopes: [Scope::OPENID, Scope::ALL].into(),
        audience: Some("https://localhost:8443".to_owned()),
        max_age: Some(900),
        match_number: Some(47),
        address: "203.0.113.9".to_owned(),
        interval: 5,
        created_at: NOW,
        expires_at: NOW + 600,
    }
}

fn approve() -> DeviceDecision {
    DeviceDecision::Approve {
        user_id: "id-ada".to_owned(),
        session_id: "session-ada".to_owned(),
        authenticated_at: NOW - 5,
    }
}

async fn create(store: &Backend, name: &str) {
    if !store.any_user().await.unwrap() {
        sign_in(store, "ada").await;
    }
    store.create_device(&device(name)).await.unwrap();
}

async fn decide(store: &Backend, name: &str, decision: DeviceDecision, now: i64) -> bool {
    store.decide_device(&device(name).user_code_hash, &decision, now).await.unwrap().is_some()
}

async fn poll(store: &Backend, name: &str, now: i64) -> DevicePoll {
    store.poll_device(&device(name).device_code_hash, &client_id("flyte"), now).await.unwrap()
}

async fn redeem(store: &Backend, name: &str, refresh: &str, grace: i64, now: i64) -> DeviceRedemption {
    let refresh = token(refresh);
    store.redeem_device_code(&device(name).device_code_hash, Some(&refresh), grace, now).await.unwrap()
}

/// Creates a device that Ada approved and that has its tokens: the family `family-NAME` with the refresh token `NAME`.
async fn signed_in(store: &Backend, name: &str) {
    create(store, name).await;
    assert!(decide(store, name, approve(), NOW).await);
    assert_eq!(redeem(store, name, name, 60, NOW).await, DeviceRedemption::Redeemed);
}

async fn rotate(store: &Backend, old: &str, new: &str, now: i64) -> RefreshRotation {
    store.rotate_refresh_token(&hash(old), &client_id("flyte"), &token(new), 60, now).await.unwrap()
}

async fn lives(store: &Backend, token: &str) -> bool {
    store.peek_refresh_token(&hash(token), &client_id("flyte"), NOW).await.unwrap().is_some()
}

fn replayed(name: &str) -> DeviceRedemption {
    DeviceRedemption::Replayed { family_id: format!("family-{name}") }
}

pub async fn a_device_waits_for_a_decision(store: Backend) {
    for name in ["a", "b"] {
        create(&store, name).await;
        let found = store.waiting_device(&device(name).user_code_hash, NOW + 1).await.unwrap();
        assert_eq!(found, Some(device(name)));
        assert_eq!(poll(&store, name, NOW).await, DevicePoll::Pending);
    }
    let decided = store.decide_device(&device("a").user_code_hash, &approve(), NOW + 1).await.unwrap();
    assert_eq!(decided, Some(device("a")));
    assert!(decide(&store, "b", DeviceDecision::Deny, NOW + 1).await);
    let granted = DevicePoll::Granted(DeviceGrant {
        family_id: "family-a".to_owned(),
        client_id: client_id("flyte"),
        user_id: "id-ada".to_owned(),
        authenticated_at: NOW - 5,
        scopes: device("a").scopes,
        audience: device("a").audience,
    });
    for _ in 0..3 {
        assert_eq!(poll(&store, "a", NOW + 2).await, granted, "polling does not redeem the code");
        assert_eq!(poll(&store, "b", NOW + 2).await, DevicePoll::Denied);
    }
    for name in ["a", "b"] {
        assert_eq!(store.waiting_device(&device(name).user_code_hash, NOW + 2).await.unwrap(), None);
    }
    assert_eq!(store.waiting_device(&hash("never issued"), NOW).await.unwrap(), None);
    assert_eq!(poll(&store, "never issued", NOW).await, DevicePoll::Unknown);
}

pub async fn device_codes_are_unique(store: Backend) {
    create(&store, "a").await;
    for double in [
        DeviceAuthorization { user_code_hash: device("a").user_code_hash, ..device("b") },
        DeviceAuthorization { device_code_hash: device("a").device_code_hash, ..device("b") },
    ] {
        let error = store.create_device(&double).await.unwrap_err();
        assert!(matches!(error, StoreError::AlreadyExists { kind: "device", .. }), "{error}");
    }
    assert_eq!(
        store.waiting_device(&device("a").user_code_hash, NOW).await.unwrap(),
        Some(device("a")),
        "the first one does not change"
    );
}

pub async fn a_decision_is_final(store: Backend) {
    for (name, first, second) in
        [("a", approve(), DeviceDecision::Deny), ("b", DeviceDecision::Deny, approve())]
    {
        create(&store, name).await;
        assert!(decide(&store, name, first, NOW).await);
        let before = poll(&store, name, NOW).await;
        assert!(!decide(&store, name, second, NOW).await);
        assert_eq!(poll(&store, name, NOW).await, before);
    }
    create(&store, "c").await;
    let user_code = device("c").user_code_hash;
    let decisions: Vec<_> = (0..50).flat_map(|_| [approve(), DeviceDecision::Deny]).collect();
    let outcomes = join_all(decisions.iter().map(|it| store.decide_device(&user_code, it, NOW))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().is_some()).count(), 1);
}

pub async fn an_ended_session_cannot_approve(store: Backend) {
    for name in ["a", "b"] {
        create(&store, name).await;
    }
    sign_in(&store, "bob").await;
    let bobs = DeviceDecision::Approve {
        user_id: "id-ada".to_owned(),
        session_id: "session-bob".to_owned(),
        authenticated_at: NOW,
    };
    assert!(!decide(&store, "a", bobs, NOW).await, "the session of another user");
    store.set_password_hash("id-ada", "$new", NOW).await.unwrap();
    assert!(!decide(&store, "a", approve(), NOW).await, "a new password ended it");
    assert_eq!(poll(&store, "a", NOW).await, DevicePoll::Pending);
    assert!(decide(&store, "b", DeviceDecision::Deny, NOW).await, "denying grants nothing");
}

pub async fn deleting_a_client_deletes_its_devices(store: Backend) {
    for id in ["flyte", "other"] {
        store.create_client(&client(id)).await.unwrap();
    }
    for name in ["waiting", "approved"] {
        create(&store, name).await;
    }
    assert!(decide(&store, "approved", approve(), NOW).await);
    store
        .create_device(&DeviceAuthorization { client_id: client_id("other"), ..device("others") })
        .await
        .unwrap();
    store.delete_client(&client_id("flyte"), NOW).await.unwrap();
    store.create_client(&client("flyte")).await.unwrap();
    for name in ["waiting", "approved"] {
        assert_eq!(poll(&store, name, NOW).await, DevicePoll::Unknown);
        assert!(!decide(&store, name, approve(), NOW).await);
    }
    assert!(store.waiting_device(&device("others").user_code_hash, NOW).await.unwrap().is_some());
}

pub async fn a_device_ends_at_its_expiry(store: Backend) {
    for name in ["waiting", "approved", "denied", "late"] {
        create(&store, name).await;
    }
    assert!(decide(&store, "approved", approve(), NOW + 599).await, "in its last second");
    assert!(decide(&store, "denied", DeviceDecision::Deny, NOW + 599).await);
    assert!(!decide(&store, "late", approve(), NOW + 600).await);
    assert_eq!(store.waiting_device(&device("waiting").user_code_hash, NOW + 600).await.unwrap(), None);
    assert_eq!(poll(&store, "waiting", NOW + 599).await, DevicePoll::Pending);
    assert!(matches!(poll(&store, "approved", NOW + 599).await, DevicePoll::Granted(_)));
    for name in ["waiting", "approved", "late"] {
        assert_eq!(poll(&store, name, NOW + 600).await, DevicePoll::Expired, "{name}");
    }
    assert_eq!(poll(&store, "denied", NOW + 600).await, DevicePoll::Denied, "the device learns the reason");
    assert_eq!(redeem(&store, "approved", "x", 60, NOW + 600).await, DeviceRedemption::Unknown);
    assert!(!lives(&store, "x").await);
}

pub async fn polling_too_soon_lengthens_the_interval(store: Backend) {
    create(&store, "a").await;
    let mut now = NOW;
    assert_eq!(poll(&store, "a", now).await, DevicePoll::Pending, "the first poll may come at once");
    let mut interval = device("a").interval;
    for _ in 0..3 {
        // A clock with whole seconds can show one second too few.
        now += interval - 1;
        assert_eq!(poll(&store, "a", now).await, DevicePoll::Pending, "{interval}");
        now += interval - 2;
        assert_eq!(poll(&store, "a", now).await, DevicePoll::TooSoon, "{interval}");
        interval += SLOW_DOWN;
    }
    // A device that never slows down is still approved.
    assert_eq!(poll(&store, "a", now).await, DevicePoll::TooSoon);
    assert!(decide(&store, "a", approve(), now).await);
    assert!(matches!(poll(&store, "a", now).await, DevicePoll::Granted(_)));
    assert_eq!(redeem(&store, "a", "a", 60, now).await, DeviceRedemption::Redeemed);
}

pub async fn another_clients_device_is_unknown_and_unchanged(store: Backend) {
    create(&store, "a").await;
    let stolen =
        async |now| store.poll_device(&device("a").device_code_hash, &client_id("other"), now).await.unwrap();
    assert_eq!(stolen(NOW).await, DevicePoll::Unknown);
    assert_eq!(poll(&store, "a", NOW).await, DevicePoll::Pending);
    assert_eq!(stolen(NOW + 1).await, DevicePoll::Unknown);
    assert_eq!(poll(&store, "a", NOW + 4).await, DevicePoll::Pending, "another client cannot slow it down");
    assert!(decide(&store, "a", approve(), NOW).await);
    assert_eq!(stolen(NOW).await, DevicePoll::Unknown);
    assert_eq!(redeem(&store, "a", "a", 0, NOW).await, DeviceRedemption::Redeemed);
    assert_eq!(stolen(NOW).await, DevicePoll::Unknown, "spent");
    assert!(lives(&store, "a").await);
}

pub async fn an_approved_device_begins_its_own_family(store: Backend) {
    signed_in(&store, "a").await;
    let given = store.peek_refresh_token(&hash("a"), &client_id("flyte"), NOW).await.unwrap().unwrap();
    assert_eq!((given.family_id.as_str(), given.user_id.as_str()), ("family-a", "id-ada"));
    assert_eq!((given.authenticated_at, given.scopes), (NOW - 5, device("a").scopes));
    assert_eq!(given.audience, device("a").audience);
    // The family does not belong to the browser session that approved it, so signing out there does not end it.
    assert_eq!(given.session_id, "family-a");
    assert!(store.revoke_session_families("session-ada", NOW).await.unwrap().is_empty());
    assert!(lives(&store, "a").await);

    create(&store, "no refresh").await;
    assert!(decide(&store, "no refresh", approve(), NOW).await);
    let hash = device("no refresh").device_code_hash;
    let redeemed = store.redeem_device_code(&hash, None, 60, NOW).await.unwrap();
    assert_eq!(redeemed, DeviceRedemption::Redeemed);
    let again = store.redeem_device_code(&hash, None, 60, NOW + 59).await.unwrap();
    assert_eq!(again, DeviceRedemption::Redeemed, "lost");
    let again = store.redeem_device_code(&hash, None, 60, NOW + 60).await.unwrap();
    assert_eq!(again, replayed("no refresh"));
}

pub async fn a_hundred_redemptions_leave_one_family(store: Backend) {
    create(&store, "a").await;
    assert!(decide(&store, "a", approve(), NOW).await);
    let names: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    let outcomes = join_all(names.iter().map(|name| redeem(&store, "a", name, 60, NOW))).await;
    // All are within the grace period of the first, and each voids the token of the one before.
    assert!(outcomes.iter().all(|outcome| *outcome == DeviceRedemption::Redeemed));
    let mut rotated = 0;
    for name in &names {
        let next = format!("next-{name}");
        rotated +=
            u32::from(matches!(rotate(&store, name, &next, NOW + 1).await, RefreshRotation::Rotated(_)));
    }
    assert!(rotated <= 1, "{rotated} of the tokens could be used");
}

pub async fn a_lost_response_is_repeated_within_the_grace_period(store: Backend) {
    signed_in(&store, "a").await;
    assert!(matches!(poll(&store, "a", NOW + 59).await, DevicePoll::Granted(_)));
    assert_eq!(redeem(&store, "a", "again", 60, NOW + 59).await, DeviceRedemption::Redeemed);
    assert!(matches!(rotate(&store, "again", "next", NOW + 61).await, RefreshRotation::Rotated(_)));
    // The lost token is void: only a thief can have it.
    assert!(matches!(rotate(&store, "a", "x", NOW + 62).await, RefreshRotation::Reused { .. }));
    assert!(!lives(&store, "next").await);

    // A retry does not extend the grace period.
    signed_in(&store, "b").await;
    assert_eq!(redeem(&store, "b", "b2", 60, NOW + 59).await, DeviceRedemption::Redeemed);
    assert_eq!(redeem(&store, "b", "b3", 60, NOW + 61).await, replayed("b"));
}

pub async fn a_replay_revokes_the_family(store: Backend) {
    for name in ["late", "used", "other"] {
        signed_in(&store, name).await;
    }
    assert_eq!(redeem(&store, "late", "late-2", 60, NOW + 61).await, replayed("late"));
    assert!(matches!(rotate(&store, "used", "used-2", NOW + 1).await, RefreshRotation::Rotated(_)));
    assert_eq!(
        redeem(&store, "used", "used-3", 60, NOW + 2).await,
        replayed("used"),
        "the response had arrived"
    );
    for dead in ["late", "late-2", "used", "used-2", "used-3"] {
        assert!(!lives(&store, dead).await, "{dead}");
    }
    for name in ["late", "used"] {
        assert_eq!(poll(&store, name, NOW + 62).await, DevicePoll::Unknown);
        assert_eq!(redeem(&store, name, "x", 60, NOW + 62).await, DeviceRedemption::Unknown);
    }
    assert!(lives(&store, "other").await);
    let mut revoked = store.families_revoked_since(0).await.unwrap();
    revoked.sort_unstable();
    assert_eq!(revoked, ["family-late", "family-used"]);

    // A grace period longer than the lifetime of a refresh token ends with the token: afterwards no record shows
    // whether it was used.
    signed_in(&store, "long").await;
    assert!(matches!(rotate(&store, "long", "long-2", NOW + 1).await, RefreshRotation::Rotated(_)));
    store.delete_expired_grants(NOW + 3600).await.unwrap();
    assert_eq!(redeem(&store, "long", "long-3", 100_000, NOW + 3600).await, replayed("long"));

    // A revoked family is not repeated, not even in the grace period.
    signed_in(&store, "revoked").await;
    assert!(
        store.revoke_family("family-revoked", RevokedBy::Client(&client_id("flyte")), NOW).await.unwrap()
    );
    assert_eq!(poll(&store, "revoked", NOW).await, DevicePoll::Unknown);
    assert_eq!(redeem(&store, "revoked", "x", 60, NOW).await, DeviceRedemption::Unknown);
}

pub async fn only_approved_devices_can_be_redeemed(store: Backend) {
    create(&store, "waiting").await;
    create(&store, "denied").await;
    assert!(decide(&store, "denied", DeviceDecision::Deny, NOW).await);
    for name in ["waiting", "denied", "never issued"] {
        assert_eq!(redeem(&store, name, name, 60, NOW).await, DeviceRedemption::Unknown, "{name}");
        assert!(!lives(&store, name).await, "{name}");
    }
    // An authorization code is not a device code.
    assert!(store.create_code(&code("a")).await.unwrap());
    let outcome = store.redeem_device_code(&code("a").code_hash, None, 60, NOW).await.unwrap();
    assert_eq!(outcome, DeviceRedemption::Unknown);
    assert!(store.peek_code(&code("a").code_hash, NOW).await.unwrap().is_some());
}

pub async fn a_new_password_revokes_approvals(store: Backend) {
    create(&store, "waiting").await;
    create(&store, "approved").await;
    assert!(decide(&store, "approved", approve(), NOW).await);
    signed_in(&store, "fetched").await;
    store.set_password_hash("id-ada", "$new", NOW + 1).await.unwrap();
    assert_eq!(poll(&store, "approved", NOW + 2).await, DevicePoll::Denied);
    assert_eq!(redeem(&store, "approved", "x", 60, NOW + 2).await, DeviceRedemption::Unknown);
    assert!(!lives(&store, "fetched").await);
    assert_eq!(poll(&store, "waiting", NOW + 2).await, DevicePoll::Pending, "no user has decided");
}

pub async fn long_expired_devices_are_removed(store: Backend) {
    for name in ["waiting", "approved", "denied"] {
        create(&store, name).await;
    }
    let later = DeviceAuthorization { expires_at: NOW + 601, ..device("later") };
    store.create_device(&later).await.unwrap();
    assert!(decide(&store, "approved", approve(), NOW).await);
    assert!(decide(&store, "denied", DeviceDecision::Deny, NOW).await);
    let end = NOW + 600 + DEVICE_RETENTION;
    assert_eq!(store.delete_expired_devices(end - 1).await.unwrap(), 0);
    assert_eq!(poll(&store, "waiting", end - 1).await, DevicePoll::Expired);
    assert_eq!(store.delete_expired_devices(end).await.unwrap(), 3);
    assert_eq!(poll(&store, "waiting", end).await, DevicePoll::Unknown);
    assert_eq!(poll(&store, "later", end).await, DevicePoll::Expired);
}
