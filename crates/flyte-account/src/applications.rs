//! `/account/applications`: the clients that the user consented to.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use flyte_audit::{Detail, Event, Kind};
use flyte_model::ClientId;
use flyte_pages::{
    Moment,
    account::{ApplicationView, Frame, applications_page},
};
use serde::Deserialize;

use crate::{
    Account,
    refusal::Refusal,
    visit::{Posted, Visit},
};

const PATH: &str = "/account/applications";

/// The query of the page.
#[derive(Deserialize)]
pub(crate) struct ApplicationsQuery {
    /// Present after a withdrawal.
    withdrawn: Option<String>,
}

/// The fields of the form.
#[derive(Deserialize)]
pub(crate) struct WithdrawForm {
    client_id: ClientId,
}

/// Shows the page.
pub(crate) async fn show(
    State(account): State<Arc<Account>>,
    visit: Visit,
    Query(query): Query<ApplicationsQuery>,
) -> Result<Response, Refusal> {
    let mut applications = Vec::new();
    for consent in account.store.consents(visit.user_id()).await? {
        let client = account.store.client_by_id(&consent.client_id).await?;
        applications.push(ApplicationView {
            name: client.map_or_else(|| consent.client_id.to_string(), |client| client.name),
            client_id: consent.client_id,
            scopes: consent.scopes,
            granted: Moment::of(consent.granted_at),
        });
    }
    let notice = query.withdrawn.map(|_| "The application has no access any more. It has to ask you again.");
    Ok(applications_page(&visit.headers, &Frame { notice, ..visit.frame() }, &applications))
}

/// Withdraws the consent to a client.
pub(crate) async fn withdraw(
    State(account): State<Arc<Account>>,
    posted: Posted<WithdrawForm>,
) -> Result<Response, Refusal> {
    let Posted { visit, fields } = posted;
    let (user, client) = (visit.user_id(), &fields.client_id);
    // Otherwise another window has withdrawn it already.
    if let Some(families) = account.store.withdraw_consent(user, client, account.clock.now()).await? {
        for family in &families {
            account.access.revoke_family(family);
        }
        let event = Event::new(Kind::ConsentWithdrawn).subject(user).client(client);
        account.audit.record(event.detail(Detail::Families, families.len())).await;
    }
    Ok(Redirect::to(&format!("{PATH}?withdrawn=1")).into_response())
}
