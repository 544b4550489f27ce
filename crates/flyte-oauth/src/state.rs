//! What the endpoints share.

use std::sync::Arc;

use flyte_access::Access;
use flyte_audit::Audit;
use flyte_federation::TrustedIssuers;
use flyte_identity::{Passwords, Throttle, known_browser::KnownBrowsers, session::Sessions};
use flyte_keys::SigningKeys;
use flyte_model::clock::Clock;
use flyte_settings::Config;
use flyte_store::Store;

/// The parts of the authorization server; handlers get it as `State<Arc<AuthorizationServer>>`.
#[derive(Debug)]
pub struct AuthorizationServer {
    /// How the server is set up.
    pub config: Arc<Config>,
    /// What time it is.
    pub clock: Clock,
    /// What it remembers.
    pub store: Arc<dyn Store>,
    /// What it signs tokens with.
    pub keys: Arc<SigningKeys>,
    /// Who did what.
    pub audit: Audit,
    /// Issuers whose tokens can be exchanged for ours.
    pub issuers: Arc<TrustedIssuers>,
    /// Issues and verifies access tokens.
    pub access: Arc<Access>,
    /// The sessions of browsers.
    pub sessions: Sessions,
    /// In which browsers somebody has signed in before.
    pub known_browsers: KnownBrowsers,
    /// Hashes people's passwords, a bounded number at a time.
    pub passwords: Passwords,
    /// Slows down guessing.
    pub throttle: Throttle,
}
