//! Asking providers again whether their users may still be signed in.
//!
//! Each user of a provider has at most one token of it (a refresh token, or GitHub's access token), encrypted with the key file,
//! and only this module uses it: it takes the grant in the store first, so that there is one question at a time, also
//! with several replicas. If the provider no longer accepts the user, or a rule no longer admits them, the sessions that began
//! with it end at once, with their programs and devices. If the provider cannot be asked, they end after a grace period. Users
//! without such a token sign in again after a set time.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use secrecy::{ExposeSecret as _, SecretString};

use super::{account, failure};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::clock::UnixTime;
use flyte_provider::{Confirmed, Profile, Proof, Provider, Rechecked, rules};
use flyte_store::{
    EndedAtProvider, EndedSessions, OutsideIdentity, OutsideSession, ProviderGrant, StoreError,
};

/// The most users who are asked about in one turn.
const MAX_PER_TURN: u32 = 500;
/// How many questions are open at the same time.
const AT_ONCE: usize = 8;
/// The time between two questions while the provider cannot be asked, in seconds.
const RETRY_SECONDS: i64 = 60;
/// How long a grant belongs to the one who asks, in seconds: longer than the requests of a question can take.
const TAKEN_SECONDS: i64 = 120;
/// The longest ID token that is kept for the sign-out at the provider, in bytes. It is sent in an address.
const MAX_ID_TOKEN_BYTES: usize = 4096;

/// What a hidden token or ID token belongs to. It cannot be read as that of another user.
fn context(what: &str, issuer: &str, subject: &str) -> String {
    format!("{what} of an outside user\0{issuer}\0{subject}")
}

/// The context of tokens with which a provider is asked.
const PROOF: &str = "proof";
/// The context of ID tokens.
const ID_TOKEN: &str = "ID token";

fn hide(
    server: &AuthorizationServer,
    what: &str,
    (issuer, subject): (&str, &str),
    secret: &SecretString,
) -> Result<Vec<u8>, StoreError> {
    let hidden = server.keys.hide(&context(what, issuer, subject), secret.expose_secret().as_bytes());
    hidden.map_err(|error| StoreError::Backend(Box::new(error)))
}

fn reveal(
    server: &AuthorizationServer,
    what: &str,
    (issuer, subject): (&str, &str),
    hidden: &[u8],
) -> Option<SecretString> {
    let revealed = server.keys.reveal(&context(what, issuer, subject), hidden)?;
    Some(std::str::from_utf8(&revealed).ok()?.into())
}

/// Returns the ID token of the sign-in that began a session.
pub(super) fn id_token(server: &AuthorizationServer, session: &OutsideSession) -> Option<SecretString> {
    reveal(server, ID_TOKEN, (&session.issuer, &session.subject), session.hidden_id_token.as_deref()?)
}

/// Notes that a session began with this sign-in, and keeps what is needed to ask the provider again.
pub(super) async fn begin(
    server: &AuthorizationServer,
    provider: &Provider,
    confirmed: &Confirmed,
    session_id: &str,
) -> Result<(), StoreError> {
    let now = server.clock.now();
    let Profile { issuer, subject, .. } = &confirmed.profile;
    let key = (issuer.as_str(), subject.as_str());
    let short = |token: &&SecretString| token.expose_secret().len() <= MAX_ID_TOKEN_BYTES;
    let id_token = confirmed.id_token.as_ref().filter(short);
    let session = OutsideSession {
        session_id: session_id.to_owned(),
        issuer: issuer.clone(),
        subject: subject.clone(),
        sid: confirmed.sid.clone(),
        hidden_id_token: id_token.map(|token| hide(server, ID_TOKEN, key, token)).transpose()?,
        started_at: now,
    };
    server.store.add_outside_session(&session).await?;
    if !provider.rechecks() {
        return Ok(());
    }
    let hidden_token = match &confirmed.proof {
        Some(proof) => Some(hide(server, PROOF, key, &proof.to_text())?),
        // Google gives a refresh token at the first sign-in only: an earlier one stays in use. Without any, the oldest sign-in
        // decides.
        None if server.store.provider_grant(issuer, subject).await?.is_some() => return Ok(()),
        None => None,
    };
    let settings = provider.settings();
    let age = if hidden_token.is_some() { settings.recheck } else { settings.max_session };
    let grant = ProviderGrant {
        issuer: issuer.clone(),
        subject: subject.clone(),
        hidden_token,
        checked_at: now,
        due_at: now.saturating_add(age),
        failing_since: None,
    };
    server.store.put_provider_grant(&grant).await
}

/// Asks the providers about the users who are due.
///
/// # Errors
/// [`StoreError`] if the store fails; the users who are left follow in the next turn.
pub async fn run(server: &Arc<AuthorizationServer>) -> Result<(), StoreError> {
    let due = server.store.due_provider_grants(server.clock.now(), MAX_PER_TURN).await?;
    let questions = due.into_iter().map(|grant| {
        let server = Arc::clone(server);
        async move { check(&server, &grant).await }
    });
    let mut answers = stream::iter(questions).buffer_unordered(AT_ONCE);
    let mut outcome = Ok(());
    while let Some(answer) = answers.next().await {
        outcome = outcome.and(answer);
    }
    outcome
}

/// Asks the provider of a session if it is time, before the session is used to authorize something. The session may have ended
/// afterwards.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn before_use(server: &AuthorizationServer, session_id: &str) -> Result<(), StoreError> {
    let Some(session) = server.store.outside_session(session_id).await? else { return Ok(()) };
    let grant = match server.store.provider_grant(&session.issuer, &session.subject).await? {
        None => begin_late(server, &session).await?,
        grant => grant,
    };
    match grant {
        Some(grant) if grant.due_at <= server.clock.now() => check(server, &grant).await,
        _ => Ok(()),
    }
}

/// The grant for a session that has none: it began while its provider was not asked again, or its grant ended with an earlier
/// session. The age of the oldest sign-in decides. `None` if the provider is still not asked again.
async fn begin_late(
    server: &AuthorizationServer,
    session: &OutsideSession,
) -> Result<Option<ProviderGrant>, StoreError> {
    let OutsideSession { issuer, subject, .. } = session;
    let Some(identity) = server.store.outside_identity(issuer, subject).await? else { return Ok(None) };
    let provider = provider_of(server, &identity).filter(|provider| provider.rechecks());
    let Some(provider) = provider else { return Ok(None) };
    let oldest = server.store.oldest_outside_session(issuer, subject).await?.unwrap_or(session.started_at);
    let grant = ProviderGrant {
        issuer: issuer.clone(),
        subject: subject.clone(),
        hidden_token: None,
        checked_at: oldest,
        due_at: oldest.saturating_add(provider.settings().max_session),
        failing_since: None,
    };
    server.store.add_provider_grant(&grant).await?;
    server.store.provider_grant(issuer, subject).await
}

/// The provider of an identity: the section of the settings that it signed in through, or another one of the same issuer.
fn provider_of<'a>(server: &'a AuthorizationServer, identity: &OutsideIdentity) -> Option<&'a Provider> {
    let providers = &server.outside.providers;
    let own = providers.get(&identity.provider).filter(|provider| provider.serves(&identity.issuer));
    own.or_else(|| providers.iter().find(|provider| provider.serves(&identity.issuer))).map(AsRef::as_ref)
}

/// A question to a provider.
struct Question<'a> {
    server: &'a AuthorizationServer,
    provider: &'a Provider,
    identity: OutsideIdentity,
    /// The grant, taken.
    grant: ProviderGrant,
    now: UnixTime,
}

async fn check(server: &AuthorizationServer, grant: &ProviderGrant) -> Result<(), StoreError> {
    let now = server.clock.now();
    let taken = ProviderGrant { due_at: now.saturating_add(TAKEN_SECONDS), ..grant.clone() };
    if !server.store.replace_provider_grant(grant, &taken).await? {
        return Ok(());
    }
    let Some(identity) = server.store.outside_identity(&grant.issuer, &grant.subject).await? else {
        return Ok(());
    };
    let Some(provider) = provider_of(server, &identity) else {
        return end(server, &taken, &identity, "provider removed", now).await;
    };
    if !provider.rechecks() {
        server.store.delete_provider_grant(&taken).await?;
        return Ok(());
    }
    Question { server, provider, identity, grant: taken, now }.ask().await
}

impl Question<'_> {
    async fn ask(self) -> Result<(), StoreError> {
        let Self { server, ref grant, .. } = self;
        let key = (grant.issuer.as_str(), grant.subject.as_str());
        let Some(hidden) = &grant.hidden_token else { return self.end_the_oldest().await };
        let proof = reveal(server, PROOF, key, hidden);
        let Some(proof) = proof.and_then(|text| Proof::parse(text.expose_secret())) else {
            return self.end("unreadable token").await;
        };
        let Rechecked { outcome, proof } = self.provider.recheck(&proof, key.0, key.1).await;
        let hidden_token = match proof {
            Some(proof) => Some(hide(server, PROOF, key, &proof.to_text())?),
            None => grant.hidden_token.clone(),
        };
        match outcome {
            Ok(profile) if (profile.issuer.as_str(), profile.subject.as_str()) != key => {
                self.end("another user").await
            }
            Ok(profile) => match rules::admit(self.provider.settings(), &profile) {
                Err(refusal) => self.end(&refusal.to_string()).await,
                Ok(()) => self.accepted(&profile, hidden_token).await,
            },
            Err(error) if error.ends_access() => self.end("refused").await,
            Err(error) => {
                let provider = self.provider.name();
                tracing::warn!(provider, %error, "a provider could not be asked about a user again");
                self.failed(hidden_token).await
            }
        }
    }

    /// The provider accepts the user, whose groups and address may have changed.
    async fn accepted(&self, profile: &Profile, hidden_token: Option<Vec<u8>>) -> Result<(), StoreError> {
        let Self { server, identity, grant, now, .. } = self;
        let next = ProviderGrant {
            hidden_token,
            checked_at: *now,
            due_at: now.saturating_add(self.provider.settings().recheck),
            failing_since: None,
            ..grant.clone()
        };
        // First the token: nothing that follows may lose it.
        if !server.store.replace_provider_grant(grant, &next).await? {
            return Ok(());
        }
        let Some(user) = server.store.user_by_id(&identity.user_id).await? else { return Ok(()) };
        account::set_groups(server, profile, &user).await?;
        if profile.email != identity.email {
            let seen = OutsideIdentity { email: profile.email.clone(), ..identity.clone() };
            let at = identity.last_sign_in_at.unwrap_or(identity.linked_at);
            server.store.note_outside_sign_in(&seen, at).await?;
        }
        Ok(())
    }

    /// The provider could not be asked.
    async fn failed(&self, hidden_token: Option<Vec<u8>>) -> Result<(), StoreError> {
        let Self { server, grant, now, .. } = self;
        let failing_since = grant.failing_since.unwrap_or(*now);
        let ends_at = failing_since.saturating_add(self.provider.settings().recheck_grace);
        if *now >= ends_at {
            return self.end("not available").await;
        }
        let due_at = now.saturating_add(RETRY_SECONDS).min(ends_at);
        let failing_since = Some(failing_since);
        let next = ProviderGrant { hidden_token, due_at, failing_since, ..grant.clone() };
        server.store.replace_provider_grant(grant, &next).await?;
        Ok(())
    }

    /// The provider gave no token, so sign-ins end when they are too old.
    async fn end_the_oldest(&self) -> Result<(), StoreError> {
        let Self { server, identity, grant, now, .. } = self;
        let age = self.provider.settings().max_session;
        let which = EndedAtProvider::User { subject: grant.subject.clone(), until: now.saturating_sub(age) };
        let ended = server.store.end_outside_sessions(&grant.issuer, &which, *now).await?;
        record(server, identity, &ended, "sign-in too old").await;
        match server.store.oldest_outside_session(&grant.issuer, &grant.subject).await? {
            Some(oldest) => {
                let next = ProviderGrant { due_at: oldest.saturating_add(age), ..grant.clone() };
                server.store.replace_provider_grant(grant, &next).await?;
            }
            None => {
                server.store.delete_provider_grant(grant).await?;
            }
        }
        Ok(())
    }

    async fn end(&self, reason: &str) -> Result<(), StoreError> {
        end(self.server, &self.grant, &self.identity, reason, self.now).await
    }
}

/// Ends the access of a user who is no longer confirmed by the provider.
async fn end(
    server: &AuthorizationServer,
    grant: &ProviderGrant,
    identity: &OutsideIdentity,
    reason: &str,
    now: UnixTime,
) -> Result<(), StoreError> {
    // If the user has signed in again in the meantime, this answer is about an earlier sign-in.
    if !server.store.delete_provider_grant(grant).await? {
        return Ok(());
    }
    let which = EndedAtProvider::User { subject: grant.subject.clone(), until: now };
    let ended = server.store.end_outside_sessions(&grant.issuer, &which, now).await?;
    record(server, identity, &ended, reason).await;
    Ok(())
}

/// Makes the end of sessions take effect here at once, and records it.
pub(super) async fn record(
    server: &AuthorizationServer,
    identity: &OutsideIdentity,
    ended: &EndedSessions,
    reason: &str,
) {
    for family in &ended.families {
        server.access.revoke_family(family);
    }
    if ended.sessions.is_empty() {
        return;
    }
    let event = Event::new(Kind::ProviderAccessEnded).subject(&identity.user_id).object(&identity.provider);
    let event = failure::with_identity(event, identity).detail(Detail::Families, ended.families.len());
    server.audit.record(event.detail(Detail::Reason, reason)).await;
}
