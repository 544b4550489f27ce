//! `/account/connections`: the users of outside providers with which the user can sign in.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use flyte_audit::{Detail, Event, Kind};
use flyte_pages::{
    Moment, ProviderLink,
    account::{ConnectionView, ConnectionsView, Frame, connections_page},
    encode,
};
use flyte_settings::{ProviderConfig, endpoints};
use flyte_store::{LastWay, OutsideIdentity, StoreError};
use serde::Deserialize;

use crate::{
    Account,
    refusal::Refusal,
    visit::{Posted, Visit},
};

const PATH: &str = "/account/connections";
/// How old the sign-in may be with which a connection is removed, in seconds.
const MAX_SESSION_AGE: i64 = 600;

/// The query of the page.
#[derive(Deserialize)]
pub(crate) struct ConnectionsQuery {
    /// Present after a removal.
    removed: Option<String>,
}

/// The fields of the form.
#[derive(Deserialize)]
pub(crate) struct RemoveForm {
    issuer: String,
    subject: String,
}

/// Shows the page.
pub(crate) async fn show(
    State(account): State<Arc<Account>>,
    visit: Visit,
    Query(query): Query<ConnectionsQuery>,
) -> Result<Response, Refusal> {
    let notice =
        query.removed.map(|_| "The connection is removed. What was signed in with it is signed out.");
    page(&account, &visit, &Frame { notice, ..visit.frame() }).await
}

async fn page(account: &Account, visit: &Visit, frame: &Frame<'_>) -> Result<Response, Refusal> {
    let identities = account.store.outside_identities_of(visit.user_id()).await?;
    let connections = identities.iter().map(|identity| ConnectionView {
        provider: section(account, identity).map_or(&identity.provider, |section| &section.label).clone(),
        outside: identity.email.clone().unwrap_or_else(|| identity.subject.clone()),
        linked: Moment::of(identity.linked_at),
        used: identity.last_sign_in_at.and_then(Moment::of),
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        is_last: is_last(account, visit, &identities, identity),
    });
    let connections = connections.collect();
    let link = |section: &ProviderConfig| ProviderLink {
        label: section.label.clone(),
        href: format!("/login/with/{}?connect=1&return_to={}", section.name, encode(PATH)),
    };
    let providers = account.config.providers.iter().map(link).collect();
    Ok(connections_page(&visit.headers, frame, &ConnectionsView { connections, providers }))
}

/// The section of the settings through which a connected user signs in.
fn section<'a>(account: &'a Account, identity: &OutsideIdentity) -> Option<&'a ProviderConfig> {
    let sections = &account.config.providers;
    let own = sections.iter().find(|section| section.issuer == identity.issuer);
    own.or_else(|| sections.iter().find(|section| section.name == identity.provider))
}

/// Whether the user could not sign in without this identity.
fn is_last(
    account: &Account,
    visit: &Visit,
    identities: &[OutsideIdentity],
    identity: &OutsideIdentity,
) -> bool {
    let has_password = account.config.passwords && visit.who.user.password_hash.is_some();
    let mut others = identities.iter().filter(|other| *other != identity);
    !has_password && !others.any(|other| section(account, other).is_some())
}

/// Removes a connection.
pub(crate) async fn remove(
    State(account): State<Arc<Account>>,
    posted: Posted<RemoveForm>,
) -> Result<Response, Refusal> {
    let Posted { visit, fields: RemoveForm { issuer, subject } } = posted;
    let now = account.clock.now();
    if visit.who.session.authenticated_at < now.saturating_sub(MAX_SESSION_AGE) {
        let login = format!("{}?return_to={}", endpoints::LOGIN, encode(PATH));
        return Ok(Redirect::to(&login).into_response());
    }
    let error = "This is your only way to sign in. Set a password or connect another account first.";
    let last = Frame { error: Some(error), ..visit.frame() };
    let identities = account.store.outside_identities_of(visit.user_id()).await?;
    let known = identities.iter().find(|known| known.issuer == issuer && known.subject == subject);
    // Otherwise another window has removed it already.
    if let Some(identity) = known {
        if is_last(&account, &visit, &identities, identity) {
            return page(&account, &visit, &last).await;
        }
        let way = LastWay::MustStay { passwords: account.config.passwords };
        let removed =
            account.store.unlink_outside_identity(visit.user_id(), &issuer, &subject, way, now).await;
        let ended = match removed {
            // Another window has removed the other ways at this moment.
            Err(StoreError::InUse { .. }) => return page(&account, &visit, &last).await,
            other => other?.unwrap_or_default(),
        };
        for family in &ended.families {
            account.access.revoke_family(family);
        }
        let event = Event::new(Kind::IdentityUnlinked).subject(visit.user_id()).object(&identity.provider);
        let event = event.detail(Detail::Provider, &identity.provider).detail(Detail::Issuer, &issuer);
        let event = event.detail(Detail::ForeignSubject, &subject);
        account.audit.record(event.detail(Detail::Families, ended.families.len())).await;
    }
    Ok(Redirect::to(&format!("{PATH}?removed=1")).into_response())
}
