//! What a user is signed in with: browsers, and the programs and devices that were authorized. See
//! [`SessionStore`](super::SessionStore) and [`GrantStore`](super::GrantStore) for how they begin.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{Store, StoreError};
use flyte_model::{ClientId, Scopes, clock::UnixTime};

/// The longest text about a program that is kept, in bytes.
const MAX_AGENT_BYTES: usize = 256;

/// What is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInKind {
    /// A browser.
    Browser,
    /// A program that a browser session authorized, for example the command of a terminal.
    Program {
        /// The client.
        client_id: ClientId,
        /// The scopes granted.
        scopes: Scopes,
    },
    /// A device that the user approved with a code (RFC 8628).
    Device {
        /// The client.
        client_id: ClientId,
        /// The scopes granted.
        scopes: Scopes,
    },
}

/// Something that a user is signed in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The identifier of the browser session or of the token family.
    pub id: String,
    /// What it is.
    pub kind: SignInKind,
    /// The time of the sign-in.
    pub started_at: UnixTime,
    /// The time at which it ends if it is not used before; `None` if it has no refresh token.
    pub expires_at: Option<UnixTime>,
    /// Its last use; `None` if none was recorded.
    pub last_use: Option<SignInUse>,
}

/// A use of a browser session or of a token family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignInUse {
    /// The time.
    pub at: UnixTime,
    /// The client's address.
    pub address: Option<String>,
    /// `User-Agent` of the browser or program.
    pub agent: Option<String>,
}

/// A query for what a user is signed in with, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignInQuery {
    /// The user.
    pub user_id: String,
    /// The current time: what has ended by then is left out.
    pub now: UnixTime,
    /// How long access tokens live, in seconds. A family without a refresh token ends after that.
    pub access_token_ttl: i64,
    /// The most entries of one page.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// What has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedSignIns {
    /// The browser sessions.
    pub sessions: Vec<String>,
    /// The token families.
    pub families: Vec<String>,
}

/// Storage of what users are signed in with.
#[async_trait]
pub trait SignInStore: Send + Sync + 'static {
    /// Notes the last uses, by the identifier of the browser session or of the family. An earlier time changes nothing, and a
    /// missing address or agent leaves the known one.
    async fn note_sign_ins_used(&self, uses: &[(String, SignInUse)]) -> Result<(), StoreError>;
    /// Returns a page of what a user is signed in with, and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_sign_ins(&self, query: &SignInQuery) -> Result<(Vec<SignIn>, String), StoreError>;
    /// Ends one browser session of the user with everything that it authorized, or one token family. Nothing has ended if the
    /// user has neither.
    async fn end_sign_in(&self, user_id: &str, id: &str, now: UnixTime) -> Result<EndedSignIns, StoreError>;
    /// Ends everything that the user is signed in with, except the browser session `keep`: sessions, unredeemed codes,
    /// approved devices, and all families, also those that the kept session authorized.
    async fn end_sign_ins(
        &self,
        user_id: &str,
        keep: Option<&str>,
        now: UnixTime,
    ) -> Result<EndedSignIns, StoreError>;
}

/// Uses that are not written yet. They are collected in memory and written periodically, so that no request waits for the
/// write.
#[derive(Debug, Default)]
pub struct UnwrittenUses(Mutex<HashMap<String, SignInUse>>);

impl UnwrittenUses {
    /// Notes the use of a browser session or a token family.
    pub fn note(&self, id: &str, mut used: SignInUse) {
        if let Some(agent) = &mut used.agent {
            let end = (0..=MAX_AGENT_BYTES.min(agent.len())).rev().find(|end| agent.is_char_boundary(*end));
            agent.truncate(end.unwrap_or_default());
        }
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.get_mut(id) {
            Some(known) => merge(known, used),
            None => {
                uses.insert(id.to_owned(), used);
            }
        }
    }

    /// Writes the uses. Keeps them for the next call if the store fails.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&self, store: &dyn Store) -> Result<(), StoreError> {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let uses: Vec<_> = uses.into_iter().collect();
        if uses.is_empty() {
            return Ok(());
        }
        let outcome = store.note_sign_ins_used(&uses).await;
        if outcome.is_err() {
            for (id, used) in uses {
                self.note(&id, used);
            }
        }
        outcome
    }
}

/// Keeps the latest of two uses, with the address and the agent that are known.
fn merge(known: &mut SignInUse, used: SignInUse) {
    let (mut latest, earlier) = match used.at >= known.at {
        true => (used, std::mem::take(known)),
        false => (std::mem::take(known), used),
    };
    latest.address = latest.address.or(earlier.address);
    latest.agent = latest.agent.or(earlier.agent);
    *known = latest;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_use_is_kept_with_what_is_known() {
        let text = |text: &str| Some(text.to_owned());
        let mut known = SignInUse { at: 5, address: text("a"), agent: text("x") };
        merge(&mut known, SignInUse { at: 7, address: text("b"), agent: None });
        assert_eq!(known, SignInUse { at: 7, address: text("b"), agent: text("x") });
        merge(&mut known, SignInUse { at: 6, address: text("c"), agent: text("y") });
        assert_eq!(known, SignInUse { at: 7, address: text("b"), agent: text("x") });
    }

    #[test]
    fn long_agents_are_cut_between_characters() {
        let uses = UnwrittenUses::default();
        let agent = Some(format!("x{}", "ä".repeat(200)));
        uses.note("s", SignInUse { at: 1, address: None, agent });
        let uses = uses.0.lock().unwrap();
        assert_eq!(uses["s"].agent.as_ref().unwrap().len(), 255);
    }
}
