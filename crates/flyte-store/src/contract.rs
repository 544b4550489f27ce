//! The contract of the store: tests that every backend must pass.
//!
//! A backend's tests call [`contract!`](crate::contract!) with a function that returns an empty [`Backend`]. The macro
//! makes a test of each function in the modules below.
#![expect(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "each function is a test, and its name says what it checks"
)]
#![expect(clippy::unwrap_used, reason = "these are tests")]

pub mod account;
pub mod account_link;
pub mod api_key;
pub mod app;
pub mod audit;
pub mod cache;
pub mod device;
pub mod grant;
pub mod group;
pub mod outside_identity;
pub mod outside_session;
pub mod policy;
pub mod project;
pub mod revocation;
pub mod role;
pub mod run;
pub mod run_query;
pub mod run_starter;
pub mod scim;
pub mod scim_group;
pub mod scim_query;
pub mod sign_in;
pub mod signing_key;
pub mod task;
pub mod time_limit;
pub mod trigger;
pub mod trust;
pub mod turns;

use std::{any::Any, fmt, ops::Deref, sync::Arc};

use super::{AuthorizationCode, BrowserSession, Client, ClientKind, NewRefreshToken, Store, User};
use flyte_model::{ClientId, GrantType, Scope};
use flyte_secrets::SecretHash;

/// An empty store of the backend under test, and resources that must live as long as the store.
pub struct Backend {
    store: Arc<dyn Store>,
    _holds: Box<dyn Any + Send + Sync>,
}

impl Backend {
    /// Creates a backend from a store and resources to drop after it, for example its temporary directory.
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

/// Makes a test of each function of the contract. `$backend` is the name of a function that takes no arguments and
/// returns a [`Backend`](crate::contract::Backend).
#[macro_export]
macro_rules! contract {
    ($backend:ident) => {
        #[test]
        fn turns_match_the_fair_model() {
            $crate::contract::turns::turns_match_the_fair_model($backend);
        }
        $crate::contract! { $backend,
            group: [
                a_group_is_read_back_and_renamed,
                members_are_added_and_removed_one_by_one,
                groups_of_a_provider_are_apart_from_those_made_here,
                a_provider_decides_about_its_own_groups_only,
                groups_and_members_are_listed_in_pages,
            ],
            role: [
                a_role_is_read_back_and_changed,
                a_role_in_use_stays,
            ],
            policy: [
                an_account_begins_with_its_roles,
                bindings_are_added_and_removed_one_by_one,
                what_does_not_exist_gets_no_role,
                a_policy_is_assigned_and_deleted,
                what_is_deleted_leaves_nothing_behind,
                each_change_has_a_new_generation,
                an_administrator_remains,
                two_administrators_cannot_demote_each_other_at_once,
                policies_and_assignees_are_listed_in_pages,
                holders_of_a_role_are_listed_in_pages_with_their_names,
            ],
            account: [
                addresses_are_compared_without_regard_to_case,
                a_user_is_read_back_unchanged,
                sessions_end_at_their_expiry,
                a_session_needs_the_current_password,
                a_new_password_ends_all_sign_ins,
                a_new_hash_of_the_same_password_keeps_sign_ins,
                disabling_an_account_ends_all_its_sign_ins,
                users_are_listed_by_address,
                users_are_listed_in_pages,
                users_are_found_by_text_state_and_role,
                deleting_an_account_ends_all_that_it_has,
                deleting_a_client_revokes_all_its_tokens,
                put_client_replaces_every_field,
                consents_are_added_together,
                a_withdrawn_consent_ends_what_it_gave,
            ],
            account_link: [
                a_link_is_read_back_unchanged_and_used_once,
                one_of_a_hundred_uses_of_a_link_wins,
                a_newer_link_replaces_the_older_one,
                a_link_ends_with_what_it_was_made_for,
                a_sign_in_ends_links_that_set_a_password,
                links_end_with_the_account_of_the_user_who_made_them,
                only_a_mailed_link_proves_the_address,
                an_invited_account_is_created_with_its_invitation_or_not_at_all,
                an_invitation_connects_a_user_of_a_provider,
                a_new_address_is_proved_and_ends_other_links,
                links_are_listed_in_pages,
                a_password_is_changed_only_from_the_current_one,
            ],
            api_key: [
                a_key_is_read_back_unchanged,
                names_and_identifiers_are_unique,
                pages_list_every_key_once_newest_first,
                the_previous_secret_stays_valid_during_the_overlap,
                a_second_overlap_does_not_shorten_the_first,
                a_rotation_without_overlap_revokes_tokens,
                rotated_secrets_are_recorded,
                deleting_a_key_revokes_its_family,
                deleting_a_key_deletes_the_keys_that_it_created,
                disabling_an_account_deletes_its_keys,
                a_rotation_can_change_the_expiry,
                only_the_latest_use_is_kept,
                an_assertion_is_accepted_once,
            ],
            app: [
                an_app_is_read_back_unchanged,
                each_change_is_a_revision,
                reports_count_only_for_their_revision,
                process_numbers_are_never_reused,
                pages_list_every_app_once,
            ],
            audit: [
                records_are_read_back_unchanged_newest_first,
                pages_list_every_record_once_while_more_are_added,
                conditions_hold_together,
                records_are_found_by_object_place_and_address,
                records_have_the_names_of_users_and_keys,
                a_page_token_of_another_query_is_rejected,
                only_old_records_are_removed,
            ],
            cache: [
                results_are_used_within_their_domain,
                only_successful_results_are_cached,
                a_run_can_skip_the_lookup,
                results_expire_by_age,
                unreadable_results_are_not_used,
                serialized_tasks_wait_for_one,
                serialized_actions_never_wait_for_each_other,
                unused_results_are_removed,
            ],
            device: [
                a_device_waits_for_a_decision,
                device_codes_are_unique,
                a_decision_is_final,
                an_ended_session_cannot_approve,
                deleting_a_client_deletes_its_devices,
                a_device_ends_at_its_expiry,
                polling_too_soon_lengthens_the_interval,
                another_clients_device_is_unknown_and_unchanged,
                an_approved_device_begins_its_own_family,
                a_hundred_redemptions_leave_one_family,
                a_lost_response_is_repeated_within_the_grace_period,
                a_replay_revokes_the_family,
                only_approved_devices_can_be_redeemed,
                a_new_password_revokes_approvals,
                long_expired_devices_are_removed,
            ],
            grant: [
                a_code_is_redeemed_once_and_a_replay_revokes_its_family,
                a_code_ends_at_its_expiry,
                a_code_needs_the_session_that_authorized_it,
                peeking_does_not_redeem,
                one_of_a_hundred_redemptions_wins,
                one_of_a_hundred_successors_is_valid,
                without_a_grace_period_any_reuse_revokes_the_family,
                a_rotation_supersedes_and_reuse_revokes_the_family,
                a_lost_response_can_be_retried_within_the_grace_period,
                a_used_successor_ends_the_grace_period,
                a_refresh_token_ends_at_its_expiry,
                another_clients_token_is_unknown_and_unchanged,
                a_client_revokes_only_its_own,
                signing_out_revokes_the_families_of_the_session,
                revocations_are_listed_since_a_time,
                unusable_grants_are_cleaned_up,
            ],
            outside_identity: [
                issuer_and_subject_identify,
                only_enabled_accounts_are_connected,
                an_account_of_an_identity_is_created_with_it_or_not_at_all,
                a_proof_is_for_one_address,
                only_the_first_identity_is_connected_without_its_user,
                the_last_way_to_sign_in_stays,
            ],
            outside_session: [
                exactly_the_sessions_that_ended_at_the_provider_end,
                devices_end_with_the_user_that_approved_them,
                a_grant_has_one_owner_at_a_time,
                what_is_no_longer_in_use_is_deleted,
            ],
            project: [
                a_project_is_read_back_unchanged,
                pages_list_every_project_once_in_every_order,
                pages_are_stable_while_projects_come_and_go,
                a_page_token_of_another_listing_is_rejected,
                conditions_hold_together,
            ],
            revocation: [
                identifiers_without_a_family_can_be_revoked,
                revocations_are_kept_as_long_as_tokens_can_live,
            ],
            run: [
                a_run_is_created_once,
                actions_are_enqueued_once_under_unfinished_parents,
                tasks_are_claimed_oldest_run_first,
                an_action_that_waits_for_children_takes_no_slot,
                a_run_can_limit_its_concurrency,
                a_failed_attempt_can_be_retried,
                ending_an_action_ends_the_actions_it_called,
                aborted_attempts_are_listed_until_they_end,
            ],
            run_query: [
                changes_are_read_by_version,
                runs_are_listed,
                actions_are_listed,
            ],
            run_starter: [
                a_starter_is_read_back_unchanged,
                only_the_starter_of_an_earlier_run_is_replaced,
                a_starter_is_deleted,
                old_starters_are_deleted,
            ],
            scim: [
                a_scim_key_is_read_back_and_deleted,
                a_provisioned_user_is_an_account,
                duplicates_change_nothing,
                a_client_has_only_its_own,
                accounts_are_adopted_only_under_a_rule,
                an_administrator_keeps_address_and_identity,
                a_deactivated_user_has_nothing_and_comes_back_as_itself,
                what_an_administrator_disabled_stays_disabled,
                a_stale_version_changes_nothing,
                an_identity_belongs_to_one_account,
            ],
            scim_group: [
                members_change_row_by_row,
                members_added_at_once_are_all_added,
                groups_with_one_name_differ_by_their_external_id,
                a_client_cannot_take_the_last_administrator,
            ],
            scim_query: [
                users_are_found_by_what_is_stored,
                listings_have_parts_and_a_true_total,
            ],
            sign_in: [
                browsers_programs_and_devices_are_listed_newest_first,
                the_last_use_of_a_sign_in_is_kept,
                one_sign_in_ends_with_what_it_authorized,
                all_sign_ins_end_but_the_one_that_is_kept,
                sign_ins_are_listed_in_pages,
            ],
            signing_key: [
                a_set_is_replaced_only_if_it_is_as_expected,
                one_of_many_replacements_wins,
            ],
            task: [
                a_version_never_changes,
                the_latest_version_is_the_one_deployed_last,
                pages_list_every_task_once_in_every_order,
                a_page_token_of_another_listing_is_rejected,
                conditions_hold_together,
                versions_are_listed_in_the_order_of_deployment,
                a_deployment_replaces_the_triggers,
                listings_use_their_index,
            ],
            time_limit: [
                conditions_are_answered_once,
                tasks_end_at_their_time_limits,
                conditions_time_out,
            ],
            trigger: [
                a_trigger_is_read_back_unchanged,
                each_change_is_a_revision,
                triggers_are_switched_all_or_none,
                pages_list_every_trigger_once,
                a_due_trigger_fires_once,
            ],
            trust: [
                a_rule_is_read_back_unchanged,
                rules_are_found_by_issuer_in_order,
                deleting_a_rule_revokes_its_tokens,
                the_last_use_only_moves_forward,
            ],
            turns: [
                slots_are_reserved_for_runs_and_users_without_one,
                a_fan_out_does_not_block_others,
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

/// Returns a hash that differs for each name.
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

/// Creates the account `name` and signs it in at a browser.
async fn sign_in(store: &Backend, name: &str) {
    store.create_user(&user(name)).await.unwrap();
    assert!(store.create_session(&session(name, name, i64::MAX), Some("$hash")).await.unwrap());
}

fn client_id(text: &str) -> ClientId {
    text.parse().unwrap()
}

fn client(id: &str) -> Client {
    Client {
        id: client_id(id),
        name: id.to_uppercase(),
        kind: ClientKind::Confidential,
        secret_hash: Some(hash("secret")),
        jwks: Some("{}".to_owned()),
        redirect_uris: vec!["http://127.0.0.1/cb".to_owned()],
        post_logout_redirect_uris: vec!["http://127.0.0.1/bye".to_owned()],
        grant_types: vec![GrantType::AuthorizationCode],
        scopes: [Scope::OPENID, Scope::ALL].into(),
        first_party: true,
        may_keep_api_keys: true,
        id_token_signed_response_alg: Some("RS256".to_owned()),
        created_at: NOW,
    }
}

/// Returns a code of Ada for the client `flyte`, valid for a minute.
fn code(name: &str) -> AuthorizationCode {
    AuthorizationCode {
        code_hash: hash(&format!("code-{name}")),
        family_id: format!("family-{name}"),
        client_id: client_id("flyte"),
        user_id: "id-ada".to_owned(),
        session_id: "session-ada".to_owned(),
        authenticated_at: NOW - 5,
        redirect_uri: "http://localhost:53593/callback".to_owned(),
        code_challenge: "challenge".to_owned(),
        scopes: [Scope::OPENID, Scope::ALL].into(),
        audience: Some("https://localhost:8443".to_owned()),
        nonce: Some("n".to_owned()),
        expires_at: NOW + 60,
    }
}

/// Returns a refresh token that is valid for an hour.
fn token(name: &str) -> NewRefreshToken {
    NewRefreshToken { token_hash: hash(name), expires_at: NOW + 3600 }
}
