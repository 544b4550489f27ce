//! Browser sessions: a cookie contains a secret, and the store has its hash.

use std::{io, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{HeaderMap, HeaderValue, header};

use super::cookie::{self, CookieSecret};
use flyte_model::{
    ClientAddr,
    clock::{Clock, UnixTime},
};
use flyte_secrets::SecretHash;
use flyte_store::{BrowserSession, SignInUse, Store, StoreError, UnwrittenUses, User};

/// Name of the cookie.
pub const COOKIE: &str = "__Host-flyte_session";

/// Whether a request has the cookie of a session, valid or not.
#[must_use]
pub fn has_cookie(headers: &HeaderMap) -> bool {
    !cookie::read_all(headers, COOKIE).is_empty()
}

/// A signed-in user.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The account.
    pub user: User,
    /// The browser session.
    pub session: BrowserSession,
}

/// Starts, finds and ends browser sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Arc<dyn Store>,
    clock: Clock,
    ttl: i64,
    uses: Arc<UnwrittenUses>,
}

impl Sessions {
    /// Creates sessions that last `ttl` seconds.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, ttl: i64) -> Self {
        Self { store, clock, ttl, uses: Arc::default() }
    }

    /// Returns the user who is signed in to the browser that sent these headers; `None` if the cookie is unknown, the
    /// session has ended, the account is disabled or deleted, or there are cookies of two sessions.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub async fn current(&self, headers: &HeaderMap) -> Result<Option<SignedIn>, StoreError> {
        let mut found: Option<BrowserSession> = None;
        // A cookie that is no longer valid must not hide a valid one: the user would be asked to sign in for ever.
        for secret in cookie::read_all(headers, COOKIE) {
            match self.store.session_by_cookie(&hash(&secret), self.clock.now()).await? {
                Some(other) if found.as_ref().is_some_and(|found| found.id != other.id) => return Ok(None),
                Some(session) => found = Some(session),
                None => {}
            }
        }
        let signed_in = self.with_user(found).await?;
        if let Some(signed_in) = &signed_in {
            let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
            let address = ClientAddr::current().map(|client| client.0.to_string());
            let used = SignInUse { at: self.clock.now(), address, agent: agent.map(str::to_owned) };
            self.uses.note(&signed_in.session.id, used);
        }
        Ok(signed_in)
    }

    /// Writes the last uses of sessions. To be called at least once a minute and before shutdown.
    ///
    /// # Errors
    /// [`StoreError`]; the uses are then kept for the next call.
    pub async fn write_uses(&self) -> Result<(), StoreError> {
        self.uses.write(&*self.store).await
    }

    /// Returns the user of the session with this identifier; `None` if the session has ended, or the account is disabled or
    /// deleted.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub async fn by_id(&self, id: &str) -> Result<Option<SignedIn>, StoreError> {
        self.with_user(self.store.session_by_id(id, self.clock.now()).await?).await
    }

    async fn with_user(&self, session: Option<BrowserSession>) -> Result<Option<SignedIn>, StoreError> {
        let Some(session) = session else { return Ok(None) };
        let user = self.store.user_by_id(&session.user_id).await?;
        Ok(user.filter(|user| user.disabled_at.is_none()).map(|user| SignedIn { user, session }))
    }

    /// Starts a session for a user who has just authenticated. Returns the session and its `Set-Cookie`. The
    /// identifier and the cookie are always new, so a cookie that was set before cannot become signed in (session
    /// fixation). Returns `None` if the password was changed or the account disabled after `user` was read.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails or the system returns no random numbers.
    pub async fn start(&self, user: &User) -> Result<Option<(BrowserSession, HeaderValue)>, StoreError> {
        self.start_since(user, self.clock.now()).await
    }

    /// Starts a session like [`Sessions::start`], for a user who authenticated at this time, perhaps at another server.
    ///
    /// # Errors
    /// The same.
    pub async fn start_since(
        &self,
        user: &User,
        authenticated_at: UnixTime,
    ) -> Result<Option<(BrowserSession, HeaderValue)>, StoreError> {
        let now = self.clock.now();
        let secret = cookie::generate().ok_or_else(|| failure("the system returned no random numbers"))?;
        let session = BrowserSession {
            id: uuid::Uuid::new_v4().to_string(),
            cookie_hash: hash(&secret),
            user_id: user.id.clone(),
            authenticated_at: authenticated_at.min(now),
            expires_at: now.saturating_add(self.ttl),
        };
        let cookie = cookie::set(COOKIE, &secret, Some(self.ttl))
            .ok_or_else(|| failure("the cookie is not a valid header value"))?;
        let created = self.store.create_session(&session, user.password_hash.as_deref()).await?;
        Ok(created.then_some((session, cookie)))
    }

    /// Ends a session. Returns the `Set-Cookie` that removes the cookie. Tokens of the session stay valid.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub async fn end(&self, session: &BrowserSession) -> Result<HeaderValue, StoreError> {
        self.store.delete_session(&session.id).await?;
        cookie::clear(COOKIE).ok_or_else(|| failure("the cookie is not a valid header value"))
    }
}

fn hash(secret: &CookieSecret) -> SecretHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret.as_ref()).as_ref());
    hash
}

fn failure(what: &'static str) -> StoreError {
    StoreError::Backend(Box::new(io::Error::other(what)))
}
