//! The logic of both services of API keys: `flyteauth.ApiKeyService`, which has all fields of a key, and
//! `cloudidl.identity.AppsService`, which the published plugin calls.
//!
//! Callers see the keys that they created. Administrators of the whole server see all keys. A key cannot have more rights than
//! the caller who creates or rotates it. A key that another key created ends with that key.

mod name;

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use self::name::{check_client_id, check_name};
use super::{
    find_api_key, is_keeper,
    rights::{self, Wanted},
};
use crate::Administration;
use flyte_access::{
    Caller,
    policy::{self, Issuance},
};
use flyte_audit::{Detail, Event, Kind};
use flyte_model::{
    Rights, Role,
    clock::{UnixTime, rfc3339},
};
use flyte_rpc::{allow, caller, invalid, store_error};
use flyte_secrets::{api_key_secret, opaque_token};
use flyte_store::{ApiKey, ApiKeyQuery, Rotation, SecretRotation};

/// The default page size.
const DEFAULT_PAGE: u32 = 100;
/// The most keys that a page has.
const MAX_PAGE: u32 = 1000;
/// The longest lifetime of a key, in seconds: 100 years. A longer one is probably in a wrong unit.
const MAX_LIFETIME: i64 = 100 * 366 * 86_400;
/// The longest overlap of two secrets, in seconds.
const MAX_OVERLAP: i64 = 90 * 86_400;

/// The lifetime of a key in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// The setting `api-keys.default-lifetime`, because the request has none.
    #[default]
    Default,
    /// Until the key is deleted.
    NoExpiry,
    /// This many seconds.
    Seconds(i64),
}

impl Lifetime {
    /// Reads the two fields of a request. A lifetime of 0 means that it is not set.
    pub(super) fn of(seconds: i64, no_expiry: bool) -> Result<Self, ConnectError> {
        match (seconds, no_expiry) {
            (0, false) => Ok(Self::Default),
            (0, true) => Ok(Self::NoExpiry),
            (1..=MAX_LIFETIME, false) => Ok(Self::Seconds(seconds)),
            (_, true) => Err(invalid("no_expiry", "cannot be with a lifetime")),
            _ => Err(invalid("lifetime", "must be 0 to 100 years, in seconds")),
        }
    }
}

/// A request for a new key.
#[derive(Debug, Default)]
pub(super) struct NewKey {
    pub(super) name: String,
    /// Derived from the name if it is empty.
    pub(super) client_id: String,
    pub(super) role: Option<Role>,
    pub(super) scopes: Vec<String>,
    pub(super) project: String,
    pub(super) domain: String,
    pub(super) lifetime: Lifetime,
    /// Public keys instead of a secret; empty for a secret.
    pub(super) jwks: String,
}

/// The names of the request fields, for error messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) name: &'static str,
    pub(super) client_id: &'static str,
}

fn not_found(text: &str) -> ConnectError {
    ConnectError::not_found(format!("there is no API key {text:?}"))
}

/// The keys of a server.
pub(super) struct Keys {
    state: Arc<Administration>,
    /// Whether requests may name a key by its name as well as by its `client_id`.
    by_name: bool,
}

impl Keys {
    pub(super) fn by_id_or_name(state: Arc<Administration>) -> Self {
        Self { state, by_name: true }
    }

    pub(super) fn by_id(state: Arc<Administration>) -> Self {
        Self { state, by_name: false }
    }

    /// The caller, after checking that it may create, change and delete keys.
    async fn keeper<'a>(&self, context: &'a RequestContext) -> Result<&'a Arc<Caller>, ConnectError> {
        let caller = caller(context)?;
        let by_keeper = is_keeper(&self.state, caller).await?;
        allow(&self.state.audit, context, policy::may_keep_api_keys(caller, by_keeper)).await?;
        Ok(caller)
    }

    /// The expiry time of a key with this lifetime.
    fn end(&self, lifetime: Lifetime, own_end: Option<UnixTime>, now: UnixTime) -> Option<UnixTime> {
        match lifetime {
            Lifetime::NoExpiry => None,
            Lifetime::Seconds(seconds) => Some(now.saturating_add(seconds)),
            Lifetime::Default => {
                let end = now.saturating_add(self.state.config.api_keys.default_lifetime);
                Some(own_end.map_or(end, |own| own.min(end)))
            }
        }
    }

    /// The expiry time of the calling API key; `None` if it does not expire, or if the caller is a user.
    async fn end_of(&self, caller: &Caller) -> Result<Option<UnixTime>, ConnectError> {
        let Some(id) = caller.api_key_id() else { return Ok(None) };
        match self.state.store.api_key_by_id(id).await.map_err(store_error)? {
            Some(key) if key.family_id == caller.family_id => Ok(key.expires_at),
            _ => Err(ConnectError::unauthenticated("the calling API key no longer exists")),
        }
    }

    /// Creates a key. Returns its secret unless the key has public keys.
    pub(super) async fn create(
        &self,
        context: &RequestContext,
        new: NewKey,
        fields: Fields,
    ) -> Result<(ApiKey, Option<SecretString>), ConnectError> {
        let caller = self.keeper(context).await?;
        let now = self.state.clock.now();
        check_name(fields.name, &new.name)?;
        let client_id = check_client_id(&new, fields)?;
        let rights = self.rights(caller, &new).await?;
        allow(&self.state.audit, context, policy::may_grant(caller, &rights)).await?;
        let own_end = self.end_of(caller).await?;
        let expires_at = self.end(new.lifetime, own_end, now);
        let issuance = Issuance { rights: &rights, end: expires_at, own_end, now };
        allow(&self.state.audit, context, policy::may_issue(caller, &issuance)).await?;
        let (secret, jwks) = if new.jwks.is_empty() {
            (Some(generate()?), None)
        } else {
            flyte_keys::jwks::parse(&new.jwks).map_err(|what| invalid("jwks", what))?;
            (None, Some(new.jwks))
        };
        let key = ApiKey {
            client_id,
            name: new.name,
            secret_hash: secret.as_ref().map(|secret| opaque_token::hash(secret.expose_secret())),
            previous_secret: None,
            jwks,
            rights,
            created_by: caller.subject.clone(),
            created_at: now,
            expires_at,
            last_used_at: None,
            family_id: Uuid::new_v4().to_string(),
        };
        self.state.store.create_api_key(&key).await.map_err(store_error)?;
        let mut event = event(Kind::ApiKeyCreated, caller, &key)
            .detail(Detail::Role, key.rights.role)
            .detail(Detail::Scope, &key.rights.scopes);
        if let Some(end) = key.expires_at {
            event = event.detail(Detail::ExpiresAt, end);
        }
        self.state.audit.record(event).await;
        Ok((key, secret))
    }

    /// The rights of a new key. The default role is contributor, or the caller's role if it is lower, so that admin keys need
    /// an explicit role. Other rights default to the caller's.
    async fn rights(&self, caller: &Caller, new: &NewKey) -> Result<Rights, ConnectError> {
        let wanted = Wanted {
            field: "access",
            role: new.role.unwrap_or_else(|| rights::strongest_role(caller).min(Role::Contributor)),
            scopes: new.scopes.clone(),
            project: new.project.clone(),
            domain: new.domain.clone(),
        };
        wanted.check(&self.state, caller).await
    }

    /// The key with this `client_id` or name, if the caller may see it.
    async fn visible(
        &self,
        caller: &Caller,
        text: &str,
        field: &'static str,
    ) -> Result<ApiKey, ConnectError> {
        if text.is_empty() {
            return Err(invalid(field, "is missing"));
        }
        let mut found: Vec<ApiKey> = if self.by_name {
            self.state.store.api_keys_by_id_or_name(text).await.map_err(store_error)?
        } else {
            find_api_key(&self.state, text).await?.into_iter().collect()
        };
        found.retain(|key| policy::sees_all_api_keys(caller) || key.created_by == caller.subject);
        match (found.pop(), found.pop()) {
            (Some(key), None) => Ok(key),
            (None, _) => Err(not_found(text)),
            // Choosing one of them could delete the wrong key.
            (Some(one), Some(other)) => {
                let (with_id, with_name) = if one.client_id == text { (one, other) } else { (other, one) };
                Err(ConnectError::failed_precondition(format!(
                    "{text:?} is the client_id of the API key named {:?}, and the name of the one with the client_id {:?}: \
                     say {0:?} or {1:?}",
                    with_id.name, with_name.client_id
                )))
            }
        }
    }

    pub(super) async fn get(&self, context: &RequestContext, text: &str) -> Result<ApiKey, ConnectError> {
        let caller = caller(context)?;
        self.visible(caller, text, "client_id").await
    }

    pub(super) async fn list(
        &self,
        context: &RequestContext,
        limit: u32,
        token: String,
        created_by: Option<String>,
    ) -> Result<(Vec<ApiKey>, String), ConnectError> {
        let caller = caller(context)?;
        let own = (!policy::sees_all_api_keys(caller)).then(|| caller.subject.clone());
        if let (Some(own), Some(wanted)) = (&own, &created_by)
            && own != wanted
        {
            return Ok((Vec::new(), String::new()));
        }
        let query = ApiKeyQuery {
            created_by: created_by.or(own),
            limit: match limit {
                0 => DEFAULT_PAGE,
                limit => limit.min(MAX_PAGE),
            },
            page_token: token,
        };
        self.state.store.list_api_keys(&query).await.map_err(store_error)
    }

    pub(super) async fn delete(&self, context: &RequestContext, text: &str) -> Result<(), ConnectError> {
        let caller = self.keeper(context).await?;
        let key = self.visible(caller, text, "client_id").await?;
        let now = self.state.clock.now();
        let ended = self.state.store.delete_api_key(&key.client_id, now).await.map_err(store_error)?;
        // Another call may have deleted it already.
        if ended.is_empty() {
            return Err(not_found(text));
        }
        for ended in &ended {
            self.state.access.revoke_family(&ended.family_id);
            let mut event =
                event(Kind::ApiKeyDeleted, caller, ended).detail(Detail::Family, &ended.family_id);
            if ended.client_id != key.client_id {
                event = event.detail(Detail::Reason, format!("made by the API key {}", key.client_id));
            }
            self.state.audit.record(event).await;
        }
        Ok(())
    }

    pub(super) async fn rename(
        &self,
        context: &RequestContext,
        text: &str,
        name: &str,
        fields: Fields,
    ) -> Result<ApiKey, ConnectError> {
        let caller = self.keeper(context).await?;
        let mut key = self.visible(caller, text, fields.client_id).await?;
        check_name(fields.name, name)?;
        if !self.state.store.rename_api_key(&key.client_id, name).await.map_err(store_error)? {
            return Err(not_found(text));
        }
        name.clone_into(&mut key.name);
        self.state.audit.record(event(Kind::ApiKeyChanged, caller, &key)).await;
        Ok(key)
    }

    pub(super) async fn rotate(
        &self,
        context: &RequestContext,
        text: &str,
        overlap: i64,
        lifetime: Lifetime,
    ) -> Result<(ApiKey, SecretString), ConnectError> {
        let caller = self.keeper(context).await?;
        let key = self.visible(caller, text, "client_id").await?;
        let now = self.state.clock.now();
        let own_end = self.end_of(caller).await?;
        let expires_at = match lifetime {
            Lifetime::Default => key.expires_at,
            lifetime => self.end(lifetime, own_end, now),
        };
        // Otherwise a demoted administrator could keep the role through a key.
        allow(&self.state.audit, context, policy::may_grant(caller, &key.rights)).await?;
        let issuance = Issuance { rights: &key.rights, end: expires_at, own_end, now };
        allow(&self.state.audit, context, policy::may_issue(caller, &issuance)).await?;
        if !(0..=MAX_OVERLAP).contains(&overlap) {
            return Err(invalid("overlap", "must be 0 to 90 days, in seconds"));
        }
        if key.secret_hash.is_none() {
            return Err(ConnectError::failed_precondition(format!(
                "the API key {text:?} has public keys and no secret to rotate: make a new one with the new public keys"
            )));
        }
        if let Some(end) = expires_at.filter(|end| *end <= now) {
            return Err(ConnectError::failed_precondition(format!(
                "the API key {text:?} expired at {}: rotate it with a new lifetime (flyte rotate api-key --expires 90d)",
                rfc3339(end)
            )));
        }
        let secret = generate()?;
        let rotation = SecretRotation {
            secret_hash: opaque_token::hash(secret.expose_secret()),
            previous_until: now.saturating_add(overlap),
            family_id: Uuid::new_v4().to_string(),
            expires_at,
        };
        let rotated = match self
            .state
            .store
            .rotate_api_key(&key.client_id, &rotation, now)
            .await
            .map_err(store_error)?
        {
            Rotation::Rotated(rotated) => rotated,
            Rotation::Overlapping { until } => {
                return Err(ConnectError::failed_precondition(format!(
                    "the API key {text:?} was rotated before, and both secrets work until {}: rotate it after that, \
                         or with an overlap of 0 (flyte rotate api-key --overlap 0), which ends both secrets, and what \
                         they gave, at once",
                    rfc3339(until)
                )));
            }
            Rotation::Unknown => return Err(not_found(text)),
        };
        let mut event = event(Kind::ApiKeyRotated, caller, &rotated.key);
        if expires_at != key.expires_at {
            let end = expires_at.map_or_else(|| "never".to_owned(), |end| end.to_string());
            event = event.detail(Detail::ExpiresAt, end);
        }
        if let Some(family) = &rotated.revoked_family {
            self.state.access.revoke_family(family);
            event = event.detail(Detail::Family, family);
        }
        self.state.audit.record(event).await;
        Ok((rotated.key, secret))
    }
}

fn event(kind: Kind, caller: &Caller, key: &ApiKey) -> Event {
    let mut event =
        Event::new(kind).subject(&caller.subject).client(&caller.client_id).object(key.client_id.as_str());
    let limit = &key.rights.limit;
    for (detail, value) in [(Detail::Project, &limit.project), (Detail::Domain, &limit.domain)] {
        if let Some(value) = value {
            event = event.detail(detail, value);
        }
    }
    event
}

fn generate() -> Result<SecretString, ConnectError> {
    api_key_secret::generate().map_err(|error| {
        tracing::error!(%error, "creating a secret failed");
        ConnectError::unavailable("the server has no random numbers; try again later")
    })
}
