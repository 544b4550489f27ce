//! The account of a user of a provider.
//!
//! - An identity, which is issuer and subject, belongs to one account. Names and addresses never find an account by
//!   themselves, and what the provider changes in them changes nothing here.
//! - An account with the same verified address is connected only under the administrator's rule (`link`), if its user has proved
//!   the address to this server or its domain is the organization's, and if no user of any provider is connected to it: a user
//!   who was deleted and created again at the provider is another user, and what one provider says opens nothing to another.
//! - An account is created only under the administrator's rule (`create-accounts`), for a verified address.
//! - A disabled account stays disabled.
//! - Groups are those of the issuer, by their identifiers there, never groups that were made here and have the same name. If
//!   the provider does not list them, the memberships stay.

use uuid::Uuid;

use super::{Address, failure};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::Limit;
use flyte_provider::{Groups, Profile, VerifiedEmail, clean_name};
use flyte_settings::{LinkRule, ProviderConfig};
use flyte_store::{EmailProof, OutsideIdentity, ProviderGroup, RoleIn, StoreError, User};

/// The result of the search for an account.
#[derive(Debug)]
pub(super) enum Found {
    /// The account.
    Account(Box<User>),
    /// The account is disabled.
    Disabled,
    /// There is none, or none that may be used without its user's consent.
    None,
}

/// How often the search starts again if another request connects or creates the same account at the same moment.
const ATTEMPTS: usize = 3;

/// Finds, connects or creates the account of a user.
pub(super) async fn find(
    server: &AuthorizationServer,
    settings: &ProviderConfig,
    profile: &Profile,
    address: Address,
) -> Result<Found, StoreError> {
    let mut found = find_once(server, settings, profile, address).await;
    for _ in 1..ATTEMPTS {
        if !matches!(found, Err(StoreError::AlreadyExists { .. })) {
            break;
        }
        found = find_once(server, settings, profile, address).await;
    }
    if let Ok(Found::Account(user)) = &found {
        set_groups(server, profile, user).await?;
    }
    found
}

/// Makes the user a member of the groups that the provider lists.
pub(super) async fn set_groups(
    server: &AuthorizationServer,
    profile: &Profile,
    user: &User,
) -> Result<(), StoreError> {
    let Groups::Listed(listed) = &profile.groups else { return Ok(()) };
    let named =
        |id: &String| ProviderGroup { external_id: id.clone(), name: clean_name(id).unwrap_or_default() };
    let groups: Vec<_> = listed.iter().map(named).collect();
    let now = server.clock.now();
    match server.store.set_provider_groups(&user.id, &profile.issuer, &groups, now).await {
        // There must be an administrator; the memberships stay until there is another one.
        Err(StoreError::LastAdministrator) => {
            tracing::warn!(user_id = user.id, "the last administrator stays a member of a provider's group");
            Ok(())
        }
        outcome => outcome.map(|_| ()),
    }
}

async fn find_once(
    server: &AuthorizationServer,
    settings: &ProviderConfig,
    profile: &Profile,
    address: Address,
) -> Result<Found, StoreError> {
    let store = &server.store;
    if let Some(known) = store.outside_identity(&profile.issuer, &profile.subject).await? {
        let Some(user) = store.user_by_id(&known.user_id).await? else { return Ok(Found::None) };
        if user.disabled_at.is_some() {
            return Ok(Found::Disabled);
        }
        store.note_outside_sign_in(&identity(profile, &user.id, known.linked_at), server.clock.now()).await?;
        return Ok(Found::Account(Box::new(user)));
    }
    let Some(email) = &profile.verified_email else { return Ok(Found::None) };
    match store.user_by_email(email.as_str()).await? {
        Some(user) if may_link(server, settings, profile, email, &user).await? => {
            link_first(server, profile, &user, address).await
        }
        Some(_) => Ok(Found::None),
        None if settings.create_accounts => create(server, settings, profile, email, address).await,
        None => Ok(Found::None),
    }
}

/// Whether the administrator's rule connects this account.
async fn may_link(
    server: &AuthorizationServer,
    settings: &ProviderConfig,
    profile: &Profile,
    email: &VerifiedEmail,
    user: &User,
) -> Result<bool, StoreError> {
    // The store compares addresses in lower case, in which other characters can become ASCII.
    let is_same = flyte_provider::normalize_email(&user.email).as_deref() == Some(email.as_str());
    if settings.link != LinkRule::VerifiedEmail || !is_same {
        return Ok(false);
    }
    if !server.store.outside_identities_of(&user.id).await?.is_empty() {
        return Ok(false);
    }
    if email.is_in(&settings.owned_domains) {
        return Ok(true);
    }
    // The word of a provider counts for that provider only.
    let proof = server.store.email_proof(&user.id).await?;
    Ok(proof.is_some_and(|proof| proof.issuer.is_none_or(|issuer| issuer == profile.issuer)))
}

/// Connects an account that the rule allows to be connected. The store checks again that no user of a provider is.
async fn link_first(
    server: &AuthorizationServer,
    profile: &Profile,
    user: &User,
    address: Address,
) -> Result<Found, StoreError> {
    if user.disabled_at.is_some() {
        return Ok(Found::Disabled);
    }
    if !server.store.link_first_outside_identity(&new_identity(server, profile, user)).await? {
        return Ok(Found::None);
    }
    record_link(server, profile, user, "verified email", address).await;
    Ok(Found::Account(Box::new(user.clone())))
}

/// Records that the provider vouches for the address of the account, if the administrator trusts it to.
pub(super) async fn vouch(
    server: &AuthorizationServer,
    settings: &ProviderConfig,
    profile: &Profile,
    user: &User,
) -> Result<(), StoreError> {
    let address = flyte_provider::normalize_email(&user.email);
    let is_same = |email: &VerifiedEmail| address.as_deref() == Some(email.as_str());
    if settings.link == LinkRule::VerifiedEmail && profile.verified_email.as_ref().is_some_and(is_same) {
        let proof = EmailProof { issuer: Some(profile.issuer.clone()), proved_at: server.clock.now() };
        server.store.prove_email(&user.id, &user.email, &proof).await?;
    }
    Ok(())
}

/// Connects an account whose user has confirmed it.
pub(super) async fn link(
    server: &AuthorizationServer,
    profile: &Profile,
    user: &User,
    address: Address,
) -> Result<Found, StoreError> {
    if !server.store.link_outside_identity(&new_identity(server, profile, user)).await? {
        return Ok(Found::Disabled);
    }
    record_link(server, profile, user, "confirmed", address).await;
    Ok(Found::Account(Box::new(user.clone())))
}

pub(super) async fn record_link(
    server: &AuthorizationServer,
    profile: &Profile,
    user: &User,
    reason: &str,
    address: Address,
) {
    let event = Event::new(Kind::IdentityLinked).from(address).subject(&user.id).object(&profile.provider);
    let event = event.detail(Detail::Email, &user.email).detail(Detail::Reason, reason);
    server.audit.record(failure::with_profile(event, profile)).await;
}

/// Creates an account.
async fn create(
    server: &AuthorizationServer,
    settings: &ProviderConfig,
    profile: &Profile,
    email: &VerifiedEmail,
    address: Address,
) -> Result<Found, StoreError> {
    let now = server.clock.now();
    let user = User {
        id: Uuid::new_v4().to_string(),
        email: email.as_str().to_owned(),
        name: profile.name.clone().unwrap_or_default(),
        password_hash: None,
        admin: false,
        created_at: now,
        disabled_at: None,
    };
    let identity = new_identity(server, profile, &user);
    let role = |role: &String| RoleIn { role: role.clone(), limit: Limit::default() };
    let roles: Vec<_> = settings.account_roles.iter().map(role).collect();
    let vouches = settings.link == LinkRule::VerifiedEmail;
    server.store.create_user_of_identity(&user, &roles, &identity, vouches).await?;
    let event = Event::new(Kind::UserCreated).from(address).subject(&user.id).object(&user.email);
    server.audit.record(failure::with_profile(event, profile)).await;
    record_link(server, profile, &user, "account created", address).await;
    Ok(Found::Account(Box::new(user)))
}

/// The identity of a user who is signing in for the first time.
fn new_identity(server: &AuthorizationServer, profile: &Profile, user: &User) -> OutsideIdentity {
    let now = server.clock.now();
    OutsideIdentity { last_sign_in_at: Some(now), ..identity(profile, &user.id, now) }
}

pub(super) fn identity(profile: &Profile, user_id: &str, linked_at: i64) -> OutsideIdentity {
    OutsideIdentity {
        issuer: profile.issuer.clone(),
        subject: profile.subject.clone(),
        provider: profile.provider.clone(),
        user_id: user_id.to_owned(),
        email: profile.email.clone(),
        linked_at,
        last_sign_in_at: None,
    }
}
