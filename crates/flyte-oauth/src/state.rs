//! The state that the endpoints share.

use std::sync::Arc;

use http::HeaderMap;

use crate::{OutsideSignIns, sign_in::outside::recheck};
use flyte_access::Access;
use flyte_audit::Audit;
use flyte_federation::TrustedIssuers;
use flyte_identity::{
    Passwords, Throttle,
    known_browser::KnownBrowsers,
    session::{Sessions, SignedIn},
};
use flyte_keys::SigningKeys;
use flyte_model::clock::Clock;
use flyte_settings::Config;
use flyte_store::{Store, StoreError};

/// The parts of the authorization server. Handlers receive it as `State<Arc<AuthorizationServer>>`.
#[derive(Debug)]
pub struct AuthorizationServer {
    /// The configuration.
    pub config: Arc<Config>,
    /// The current time.
    pub clock: Clock,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The keys that sign tokens.
    pub keys: Arc<SigningKeys>,
    /// The audit log.
    pub audit: Audit,
    /// Issuers whose tokens can be exchanged.
    pub issuers: Arc<TrustedIssuers>,
    /// Issues and verifies access tokens.
    pub access: Arc<Access>,
    /// Sign-in through outside providers.
    pub outside: OutsideSignIns,
    /// Browser sessions.
    pub sessions: Sessions,
    /// Browsers that have been used to sign in before.
    pub known_browsers: KnownBrowsers,
    /// Hashes and verifies passwords; a bounded number at the same time.
    pub passwords: Passwords,
    /// Limits the guessing of passwords and user codes.
    pub throttle: Throttle,
}

impl AuthorizationServer {
    /// Returns the user who is signed in to the browser that sent these headers, like [`Sessions::current`]. If it is time, the
    /// provider through which they signed in is asked first whether it still accepts them.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub(crate) async fn signed_in(&self, headers: &HeaderMap) -> Result<Option<SignedIn>, StoreError> {
        let Some(signed_in) = self.sessions.current(headers).await? else { return Ok(None) };
        recheck::before_use(self, &signed_in.session.id).await?;
        self.sessions.by_id(&signed_in.session.id).await
    }
}
