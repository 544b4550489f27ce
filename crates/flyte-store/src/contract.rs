//! What every backend must do, run on each of them.
//!
//! A backend's tests call [`contract!`](crate::contract!) with a function that returns an empty [`Backend`]; each function of the
//! modules below becomes a test of its own.
#![expect(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "each function is a test, and its name says what it checks"
)]
#![expect(clippy::unwrap_used, reason = "these are tests")]

pub mod account;
pub mod api_key;
pub mod app;
pub mod audit;
pub mod cache;
pub mod device;
pub mod grant;
pub mod project;
pub mod revocation;
pub mod run;
pub mod signing_key;
pub mod task;
pub mod trigger;
pub mod trust;
pub mod turns;

use std::{any::Any, fmt, ops::Deref, sync::Arc};

use super::{AuthorizationCode, BrowserSession, Client, ClientKind, NewRefreshToken, Store, User};
use flyte_secrets::SecretHash;

/// An empty store of the backend under test, and what has to live as long.
pub struct Backend {
    store: Arc<dyn Store>,
    _holds: Box<dyn Any + Send + Sync>,
}

impl Backend {
    /// A store, and what is dropped after it: for example its temporary directory.
    pub fn new(store: impl Store + 'static, holds: impl Any + Send + Sync) -> Self {
        Self { store: Arc::new(store), _holds: Box::new(holds) }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl Deref for Backend {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

/// Makes a test of each function of the contract; `$backend` is the name of a function without arguments that returns a
/// [`Backend`](crate::contract::Backend).
#[macro_export]
macro_rules! contract {
    ($backend:ident) => {
        #[test]
        fn turns_are_fair_as_the_model_says() {
            $crate::contract::turns::turns_are_fair_as_the_model_says($backend);
        }
        $crate::contract! { $backend,
            account: [
                addresses_are_compared_without_regard_to_case,
                a_user_comes_back_as_given,
                sessions_end_at_their_expiry,
                a_session_needs_the_password_that_was_proved,
                a_new_password_ends_what_the_old_one_began,
                a_new_hash_of_the_same_password_ends_nothing,
                a_disabled_account_has_nothing_open,
                users_are_listed_by_address,
                a_client_is_added_once_and_removed_with_all_it_got,
                clients_are_replaced_whole,
                consents_add_up,
            ],
            api_key: [
                a_key_comes_back_as_given,
                names_and_identifiers_are_taken_once,
                pages_hold_every_key_once_the_newest_first,
                a_rotation_keeps_the_secret_before_it_for_a_while,
                an_overlap_is_not_cut_short_by_another,
                a_rotation_at_once_ends_what_the_old_secret_gave,
                secrets_that_were_rotated_out_are_known,
                deleting_a_key_revokes_its_family,
                a_key_takes_those_that_it_made_with_it,
                disabling_an_account_ends_its_keys,
                a_rotation_can_move_the_end,
                the_latest_use_is_kept,
                an_assertion_is_spent_once,
            ],
            app: [
                an_app_comes_back_as_given,
                each_change_is_a_revision,
                notes_are_of_one_revision,
                processes_are_never_numbered_alike,
                pages_hold_every_app_once,
            ],
            audit: [
                records_come_back_as_given_the_newest_first,
                pages_hold_every_record_once_while_more_are_added,
                conditions_hold_together,
                what_happened_is_found_by_where_to_what_and_from_where,
                people_and_keys_are_named,
                a_page_token_of_another_query_is_refused,
                only_what_is_old_enough_is_removed,
            ],
            cache: [
                results_are_taken_in_their_domain,
                only_what_succeeded_is_kept,
                a_run_can_compute_again,
                results_grow_old,
                results_that_are_gone_are_not_taken,
                serialized_tasks_wait_for_one,
                nobody_waits_for_who_waits_for_them,
                unused_results_are_forgotten,
            ],
            device: [
                a_device_waits_until_somebody_decides,
                no_two_devices_share_a_code,
                a_decision_is_made_once,
                who_has_signed_out_approves_nothing,
                a_device_goes_with_its_client,
                a_device_ends_at_its_expiry,
                asking_too_soon_lengthens_the_interval,
                another_clients_device_is_unknown_and_left_alone,
                an_approved_device_begins_a_family_of_its_own,
                of_a_hundred_redemptions_one_family_is_left,
                a_lost_answer_is_given_again_within_the_grace_period,
                a_replay_ends_the_family,
                what_is_not_approved_cannot_be_redeemed,
                a_new_password_takes_back_what_was_approved,
                what_expired_long_ago_is_forgotten,
            ],
            grant: [
                a_code_is_redeemed_once_and_a_replay_ends_its_family,
                a_code_ends_at_its_expiry,
                a_code_needs_the_session_that_authorized_it,
                peeking_spends_nothing,
                of_a_hundred_redemptions_one_wins,
                of_a_hundred_successors_one_is_good,
                without_a_grace_period_any_reuse_ends_the_family,
                a_rotation_supersedes_and_reuse_ends_the_family,
                a_lost_answer_is_forgiven_within_the_grace_period,
                a_used_successor_ends_the_grace_period,
                a_refresh_token_ends_at_its_expiry,
                another_clients_token_is_unknown_and_left_alone,
                a_client_revokes_only_its_own,
                signing_out_ends_what_the_session_authorized,
                revocations_are_told_since,
                what_nothing_can_use_is_cleaned_up,
            ],
            project: [
                a_project_comes_back_as_given,
                pages_hold_every_project_once_in_every_order,
                pages_are_stable_while_projects_come_and_go,
                a_page_token_of_another_listing_is_refused,
                conditions_hold_together,
            ],
            revocation: [
                what_has_no_family_is_revoked_too,
                a_revocation_is_remembered_as_long_as_tokens_may_live,
            ],
            run: [
                a_run_is_created_once,
                actions_are_enqueued_once_under_what_goes_on,
                tasks_are_claimed_oldest_run_first,
                who_waits_for_children_takes_no_slot,
                a_run_can_limit_itself,
                an_attempt_is_followed_by_another,
                ending_ends_what_was_called,
                aborted_attempts_stay_to_be_killed,
                changes_are_read_by_version,
                runs_are_listed,
                actions_are_listed,
                conditions_are_answered_once,
                conditions_are_given_up,
                tasks_end_at_their_time_limits,
            ],
            signing_key: [
                a_set_is_replaced_only_if_it_is_the_expected_one,
                of_many_replacements_one_wins,
            ],
            task: [
                a_version_never_changes,
                the_latest_version_is_the_one_deployed_last,
                pages_hold_every_task_once_in_every_order,
                a_page_token_of_another_listing_is_refused,
                conditions_hold_together,
                versions_are_listed_in_the_order_of_deployment,
                triggers_come_and_go_with_a_deployment,
                a_listing_of_many_is_read_by_its_index,
            ],
            trigger: [
                a_trigger_comes_back_as_given,
                each_change_is_a_revision,
                all_are_switched_or_none,
                pages_hold_every_trigger_once,
                a_due_trigger_fires_once,
            ],
            trust: [
                a_rule_comes_back_as_given,
                rules_are_found_by_issuer_in_order,
                deleting_a_rule_revokes_its_tokens_with_it,
                its_last_use_only_moves_on,
            ],
            turns: [
                places_are_kept_for_runs_and_people_without,
                a_fan_out_leaves_turns_to_others,
            ],
        }
    };
    ($backend:ident, $($module:ident: [$($test:ident),* $(,)?]),* $(,)?) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { $crate::contract::$module::$test(super::$backend()).await; })*
        })*
    };
}

const NOW: i64 = 1_800_000_000;

/// A hash that differs for each name.
fn hash(name: &str) -> SecretHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes()).as_ref());
    hash
}

fn user(name: &str) -> User {
    User {
        id: format!("id-{name}"),
        email: format!("{name}@example.com"),
        name: name.to_owned(),
        password_hash: Some("$hash".to_owned()),
        admin: name == "admin",
        created_at: NOW,
        disabled_at: None,
    }
}

fn session(name: &str, user: &str, expires_at: i64) -> BrowserSession {
    BrowserSession {
        id: format!("session-{name}"),
        cookie_hash: hash(&format!("cookie-{name}")),
        user_id: format!("id-{user}"),
        authenticated_at: NOW,
        expires_at,
    }
}

/// The account `name`, signed in at a browser.
async fn sign_in(store: &Backend, name: &str) {
    store.create_user(&user(name)).await.unwrap();
    assert!(store.create_session(&session(name, name, i64::MAX), Some("$hash")).await.unwrap());
}

fn client(id: &str) -> Client {
    Client {
        id: id.to_owned(),
        name: id.to_uppercase(),
        kind: ClientKind::Confidential,
        secret_hash: Some(hash("secret")),
        jwks: Some("{}".to_owned()),
        redirect_uris: vec!["http://127.0.0.1/cb".to_owned()],
        post_logout_redirect_uris: vec!["http://127.0.0.1/bye".to_owned()],
        grant_types: vec!["authorization_code".to_owned()],
        scopes: vec!["openid".to_owned(), "all".to_owned()],
        first_party: true,
        may_keep_api_keys: true,
        id_token_signed_response_alg: Some("RS256".to_owned()),
        created_at: NOW,
    }
}

/// A code of Ada's for the client `flyte`, good for a minute.
fn code(name: &str) -> AuthorizationCode {
    AuthorizationCode {
        code_hash: hash(&format!("code-{name}")),
        family_id: format!("family-{name}"),
        client_id: "flyte".to_owned(),
        user_id: "id-ada".to_owned(),
        session_id: "session-ada".to_owned(),
        authenticated_at: NOW - 5,
        redirect_uri: "http://localhost:53593/callback".to_owned(),
        code_challenge: "challenge".to_owned(),
        scopes: vec!["openid".to_owned(), "all".to_owned()],
        audience: Some("https://localhost:8443".to_owned()),
        nonce: Some("n".to_owned()),
        expires_at: NOW + 60,
    }
}

/// A refresh token good for an hour.
fn token(name: &str) -> NewRefreshToken {
    NewRefreshToken { token_hash: hash(name), expires_at: NOW + 3600 }
}
