//! Who is signed in at the pages: a cookie with a secret, of which the store knows the hash.

use std::{io, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{HeaderMap, HeaderValue};

use super::cookie::{self, CookieSecret};
use flyte_model::clock::Clock;
use flyte_secrets::SecretHash;
use flyte_store::{BrowserSession, Store, StoreError, User};

/// Name of the cookie.
pub const COOKIE: &str = "__Host-flyte_session";

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who it is.
    pub user: User,
    /// Since when, until when.
    pub session: BrowserSession,
}

/// The sessions of browsers.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Arc<dyn Store>,
    clock: Clock,
    ttl: i64,
}

impl Sessions {
    /// Sessions that last `ttl` seconds.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, ttl: i64) -> Self {
        Self { store, clock, ttl }
    }

    /// Who is signed in at the browser that sent these headers; nobody where the cookie is unknown, the session has ended,
    /// or the account is gone or disabled.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn current(&self, headers: &HeaderMap) -> Result<Option<SignedIn>, StoreError> {
        let Some(secret) = cookie::read(headers, COOKIE) else { return Ok(None) };
        let Some(session) = self.store.session_by_cookie(&hash(&secret), self.clock.now()).await? else {
            return Ok(None);
        };
        let user = self.store.user_by_id(&session.user_id).await?;
        Ok(user.filter(|user| user.disabled_at.is_none()).map(|user| SignedIn { user, session }))
    }

    /// Signs a person in who has just proved who they are; returns the session and its `Set-Cookie`. Identifier and cookie
    /// are always new, so that nobody is signed in by a cookie that was there before (session fixation). `None` where the
    /// password was changed, or the account disabled, since `user` was read: the proof has become worthless meanwhile.
    ///
    /// # Errors
    /// When the store fails, or the system has no randomness.
    pub async fn start(&self, user: &User) -> Result<Option<(BrowserSession, HeaderValue)>, StoreError> {
        let now = self.clock.now();
        let secret = cookie::generate().ok_or_else(|| failure("the system gave no randomness"))?;
        let session = BrowserSession {
            id: uuid::Uuid::new_v4().to_string(),
            cookie_hash: hash(&secret),
            user_id: user.id.clone(),
            authenticated_at: now,
            expires_at: now.saturating_add(self.ttl),
        };
        let cookie = cookie::set(COOKIE, &secret, Some(self.ttl))
            .ok_or_else(|| failure("the cookie is not a header value"))?;
        let created = self.store.create_session(&session, user.password_hash.as_deref()).await?;
        Ok(created.then_some((session, cookie)))
    }

    /// Signs a browser out; returns the `Set-Cookie` that removes the cookie. The tokens that the session authorized stay.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end(&self, session: &BrowserSession) -> Result<HeaderValue, StoreError> {
        self.store.delete_session(&session.id).await?;
        cookie::clear(COOKIE).ok_or_else(|| failure("the cookie is not a header value"))
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
