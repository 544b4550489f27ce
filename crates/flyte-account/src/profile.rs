//! `/account/profile`: the name and the e-mail address.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use flyte_audit::{Detail, Event, Kind};
use flyte_model::check_display_text;
use flyte_pages::account::{Frame, ProfileView, profile_page};
use flyte_settings::reserved;
use serde::Deserialize;

use crate::{
    Account,
    refusal::Refusal,
    visit::{Posted, Visit},
};

const PATH: &str = "/account/profile";

/// The query of the page.
#[derive(Deserialize)]
pub(crate) struct ProfileQuery {
    /// Present after a change.
    changed: Option<String>,
}

/// The fields of the form.
#[derive(Deserialize)]
pub(crate) struct ProfileForm {
    #[serde(default)]
    name: String,
}

/// Shows the page.
pub(crate) async fn show(visit: Visit, Query(query): Query<ProfileQuery>) -> Result<Response, Refusal> {
    let notice = query.changed.map(|_| "Your name was changed.");
    let view = ProfileView { name: &visit.who.user.name, created_at: visit.who.user.created_at };
    Ok(profile_page(&visit.headers, &Frame { notice, ..visit.frame() }, &view))
}

/// Changes the name.
pub(crate) async fn change(
    State(account): State<Arc<Account>>,
    posted: Posted<ProfileForm>,
) -> Result<Response, Refusal> {
    let Posted { visit, fields } = posted;
    let (user, name) = (&visit.who.user, fields.name.trim());
    let problem = match check_display_text(name) {
        _ if name.is_empty() => Some("Enter a name.".to_owned()),
        Err(error) => Some(format!("The name {error}.")),
        Ok(()) => None,
    };
    if let Some(problem) = problem {
        let view = ProfileView { name: &fields.name, created_at: user.created_at };
        return Ok(profile_page(&visit.headers, &Frame { error: Some(&problem), ..visit.frame() }, &view));
    }
    if name != user.name && account.store.rename_user(&user.id, name).await? {
        let event =
            Event::new(Kind::UserChanged).subject(&user.id).client(&reserved::ACCOUNT).object(&user.id);
        account.audit.record(event.detail(Detail::Email, &user.email)).await;
    }
    Ok(Redirect::to(&format!("{PATH}?changed=1")).into_response())
}
