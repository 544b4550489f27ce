//! `/account/sessions`: what the user is signed in with, and the sign-out of it.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use axum::{
    extract::{Query, State},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::cookie;
use flyte_model::{ClientAddr, ClientId, Proximity};
use flyte_pages::{
    Moment,
    account::{Frame, SignInView, SignInsView, sign_ins_page},
};
use flyte_settings::reserved;
use flyte_store::{EndedSignIns, SignIn, SignInKind, SignInQuery, StoreError};
use http::header;
use serde::Deserialize;

use crate::{
    Account, agent,
    refusal::Refusal,
    visit::{Posted, Visit},
};

const PATH: &str = "/account/sessions";
/// The entries of one page.
const PAGE: u32 = 50;

/// The query of the page.
#[derive(Deserialize)]
pub(crate) struct SignInsQuery {
    #[serde(default)]
    token: String,
    /// What was ended before: `one` or `others`.
    ended: Option<String>,
}

/// The fields of the form.
#[derive(Deserialize)]
pub(crate) struct SignOutForm {
    /// The identifier of one sign-in; empty for all of them.
    #[serde(default)]
    id: String,
    /// `one`, `others` or `all`.
    extent: String,
}

/// Shows the page.
pub(crate) async fn show(
    State(account): State<Arc<Account>>,
    visit: Visit,
    Query(query): Query<SignInsQuery>,
) -> Result<Response, Refusal> {
    let listing = SignInQuery {
        user_id: visit.user_id().to_owned(),
        now: account.clock.now(),
        access_token_ttl: account.config.tokens.access_token_ttl,
        limit: PAGE,
        page_token: query.token.clone(),
    };
    // The use of this browser must be in the list.
    account.sessions.write_uses().await?;
    account.access.write_usage().await?;
    let (found, token) = match account.store.list_sign_ins(&listing).await {
        Err(StoreError::InvalidPageToken) => return Ok(Redirect::to(PATH).into_response()),
        outcome => outcome?,
    };
    let mut clients = Clients { account: &account, names: HashMap::new() };
    let mut entries = Vec::with_capacity(found.len());
    for sign_in in found {
        entries.push(view(&mut clients, &visit, sign_in).await?);
    }
    let notice = match query.ended.as_deref() {
        Some("one") => Some("It is signed out."),
        Some("others") => Some("Everything except this browser is signed out."),
        _ => None,
    };
    let view = SignInsView { entries, next: token };
    Ok(sign_ins_page(&visit.headers, &Frame { notice, ..visit.frame() }, &view))
}

/// The names of clients.
struct Clients<'a> {
    account: &'a Account,
    names: HashMap<ClientId, String>,
}

impl Clients<'_> {
    async fn name(&mut self, id: &ClientId) -> Result<String, StoreError> {
        if let Some(name) = self.names.get(id) {
            return Ok(name.clone());
        }
        let client = self.account.store.client_by_id(id).await?;
        let name = client.map_or_else(|| id.to_string(), |client| client.name);
        self.names.insert(id.clone(), name.clone());
        Ok(name)
    }
}

async fn view(clients: &mut Clients<'_>, visit: &Visit, sign_in: SignIn) -> Result<SignInView, StoreError> {
    let last_use = sign_in.last_use.unwrap_or_default();
    let user_agent = last_use.agent.as_deref();
    let (what, how) = match &sign_in.kind {
        SignInKind::Browser => (agent::browser(user_agent), None),
        SignInKind::Program { client_id, .. } => {
            (clients.name(client_id).await?, Some("signed in with a browser"))
        }
        SignInKind::Device { client_id, .. } => {
            (clients.name(client_id).await?, Some("a device that you approved with a code"))
        }
    };
    let program = how.and_then(|_| agent::program(user_agent));
    let how = match (how, program) {
        (Some(how), Some(program)) => Some(format!("{how}, by {program}")),
        (how, _) => how.map(str::to_owned),
    };
    Ok(SignInView {
        what,
        how,
        place: last_use.address.map(|address| place(&address)),
        started: Moment::of(sign_in.started_at),
        used: Some(last_use.at).filter(|at| *at > 0).and_then(Moment::of),
        is_this: sign_in.id == visit.who.session.id,
        id: sign_in.id,
    })
}

/// An address, and whether it is that of this browser.
fn place(address: &str) -> String {
    let here = ClientAddr::current().map(|here| here.0);
    let proximity = here.zip(address.parse::<IpAddr>().ok()).map(|(here, there)| Proximity::of(here, there));
    match proximity {
        Some(Proximity::SameAddress) => format!("{address}, the address of this browser"),
        Some(Proximity::SameNetwork) => format!("{address}, in the network of this browser"),
        Some(Proximity::Other) => format!("{address}, in another network than this browser"),
        Some(Proximity::Unknown) | None => address.to_owned(),
    }
}

/// Signs out one of them, all but this browser, or all.
pub(crate) async fn end(
    State(account): State<Arc<Account>>,
    posted: Posted<SignOutForm>,
) -> Result<Response, Refusal> {
    let Posted { visit, fields } = posted;
    let (user, this, now) = (visit.user_id(), &*visit.who.session.id, account.clock.now());
    let store = &account.store;
    let (ended, done) = match &*fields.extent {
        "one" => (store.end_sign_in(user, &fields.id, now).await?, "one"),
        "others" => (store.end_sign_ins(user, Some(this), now).await?, "others"),
        "all" => (store.end_sign_ins(user, None, now).await?, "all"),
        _ => return Err(Refusal::BadForm),
    };
    record(&account, user, &ended).await;
    if ended.sessions.iter().any(|session| session == this) {
        let cookie = cookie::clear(flyte_identity::session::COOKIE).into_iter();
        let cookies: Vec<_> = cookie.map(|cookie| (header::SET_COOKIE, cookie)).collect();
        return Ok((AppendHeaders(cookies), Redirect::to("/signed-out")).into_response());
    }
    Ok(Redirect::to(&format!("{PATH}?ended={done}")).into_response())
}

/// Ends the tokens and streams of what has ended, and records it.
async fn record(account: &Account, user_id: &str, ended: &EndedSignIns) {
    for family in &ended.families {
        account.access.revoke_family(family);
    }
    let event = || Event::new(Kind::SignedOut).subject(user_id).client(&reserved::ACCOUNT);
    for session in &ended.sessions {
        account.access.end_session(session);
        account.audit.record(event().detail(Detail::Session, session)).await;
    }
    for family in &ended.families {
        account.audit.record(event().detail(Detail::Family, family)).await;
    }
}
