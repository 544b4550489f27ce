//! The services of access itself: API keys, accounts, groups, roles and policies (`flyteauth` and `cloudidl`), trust rules, the
//! audit log, the caller's identity, and what callers may do.
//! They exist in front of any backend, so they know nothing of runs or objects.
#![forbid(unsafe_code)]

mod access;
mod account;
mod api_key;
mod apps;
mod audit;
mod authorizer;
mod client;
mod created_by;
mod custom_role;
mod directory;
mod group;
mod identity;
mod keys;
mod member;
mod policy;
mod rights;
mod role;
mod scim_key;
mod server;
mod trust;
mod user;

use std::{fmt, sync::Arc};

use connectrpc::ConnectError;
use flyte_idl::{
    cloudidl::{
        authorizer::AuthorizerServiceExt as _,
        identity::{
            AppsServiceExt as _, MemberServiceExt as _, PolicyServiceExt as _, RoleServiceExt as _,
            UserServiceExt as _,
        },
    },
    flyteauth::{
        AccessServiceExt as _, ApiKeyServiceExt as _, AuditServiceExt as _, ClientServiceExt as _,
        GroupServiceExt as _, RoleServiceExt as _, ScimKeyServiceExt as _, ServerServiceExt as _,
        TrustServiceExt as _, UserServiceExt as _,
    },
    flyteidl2::auth::IdentityServiceExt as _,
};

use flyte_access::{Access, Caller, door::Storage};
use flyte_audit::Audit;
use flyte_identity::Passwords;
use flyte_keys::SigningKeys;
use flyte_model::clock::Clock;
use flyte_provider::Providers;
use flyte_rpc::store_error;
use flyte_settings::{Config, ShownSetting, reserved};
use flyte_store::{ApiKey, Store};

/// The state of the services.
pub struct Administration {
    /// The settings.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// Everything that the server stores.
    pub store: Arc<dyn Store>,
    /// The audit log.
    pub audit: Audit,
    /// Ends the access of deleted keys and rules.
    pub access: Arc<Access>,
    /// What the door knows of the one who answers the calls.
    pub storage: Arc<dyn Storage + Send + Sync>,
    /// Hashes the passwords of new accounts.
    pub passwords: Passwords,
    /// The keys that sign tokens.
    pub keys: Arc<SigningKeys>,
    /// The outside providers.
    pub providers: Providers,
    /// The settings with their sources.
    pub settings: Vec<ShownSetting>,
}

impl fmt::Debug for Administration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Administration").finish_non_exhaustive()
    }
}

/// Adds the services to `services`.
#[must_use]
pub fn register(state: &Arc<Administration>, services: connectrpc::Router) -> connectrpc::Router {
    let services = Arc::new(access::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(api_key::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(apps::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(audit::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(identity::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(scim_key::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(trust::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(account::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(group::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(custom_role::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(user::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(member::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(role::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(policy::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(client::Service::new(Arc::clone(state))).register(services);
    let services = Arc::new(server::Service::new(Arc::clone(state))).register(services);
    Arc::new(authorizer::Service::new(Arc::clone(state))).register(services)
}

/// Whether the user's client may create API keys and trust rules, which outlive its tokens.
async fn is_keeper(state: &Administration, caller: &Caller) -> Result<bool, ConnectError> {
    if !caller.principal.is_person() {
        return Ok(false);
    }
    // These are the identifiers of our own forms. No caller from outside has one: sessions that call from other pages have another.
    if caller.session_id().is_some() && [reserved::ACCOUNT, reserved::ADMIN_PAGES].contains(&caller.client_id)
    {
        return Ok(true);
    }
    let client = state.store.client_by_id(&caller.client_id).await.map_err(store_error)?;
    Ok(client.is_some_and(|client| client.first_party || client.may_keep_api_keys))
}

/// The API key with this `client_id`, which is also the subject of its tokens (RFC 9068 section 2.2). A text that is not
/// a client identifier, for example the subject of another principal, is that of no key.
async fn find_api_key(state: &Administration, client_id: &str) -> Result<Option<ApiKey>, ConnectError> {
    state.store.api_key_by_subject(client_id).await.map_err(store_error)
}
