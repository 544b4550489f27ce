//! The pages on which users manage their own account.
//!
//! All of them extend `account/base.html` and show a [`Frame`]. Their forms post to the address of the page.

mod activity;
mod api_keys;
mod connections;
mod sign_ins;

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{console::Moment, csrf, page::scripted_page};
use flyte_model::clock::UnixTime;

pub use activity::{ActivityFilter, ActivityRow, ActivityView, activity_page};
pub use api_keys::{ApiKeyForm, ApiKeyView, ApiKeysView, NewSecretView, api_keys_page, new_secret_page};
pub use connections::{ConnectionView, ConnectionsView, connections_page};
pub use sign_ins::{ApplicationView, SignInView, SignInsView, applications_page, sign_ins_page};

/// What all pages of the account show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame<'a> {
    /// E-mail address of the signed-in user.
    pub email: &'a str,
    /// What was done, in a sentence.
    pub notice: Option<&'a str>,
    /// Why nothing was done, in a sentence.
    pub error: Option<&'a str>,
}

impl Frame<'_> {
    /// The status of the page: an error is the client's.
    fn status(&self) -> StatusCode {
        if self.error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }
}

/// A section of the account, as its list shows it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The address of its page.
    pub href: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it has, in a few words.
    pub what: &'static str,
}

#[derive(Template)]
#[template(path = "account/index.html")]
struct IndexTemplate<'a> {
    frame: &'a Frame<'a>,
    entries: &'a [Entry],
    csrf: &'a str,
}

/// The list of the sections, and the form to sign out, which posts to `/oauth2/logout`.
#[must_use]
pub fn index_page(headers: &HeaderMap, frame: &Frame<'_>, entries: &[Entry]) -> Response {
    let csrf = csrf::token(headers);
    csrf.attach(scripted_page(frame.status(), &IndexTemplate { frame, entries, csrf: &csrf.token }))
}

/// The content of the page with the name and the e-mail address.
#[derive(Clone, Copy, Debug)]
pub struct ProfileView<'a> {
    /// The name, as it is or as it was typed.
    pub name: &'a str,
    /// The time at which the account was created.
    pub created_at: UnixTime,
}

#[derive(Template)]
#[template(path = "account/profile.html")]
struct ProfileTemplate<'a> {
    frame: &'a Frame<'a>,
    view: &'a ProfileView<'a>,
    created: Option<Moment>,
    csrf: &'a str,
}

/// The page with the name and the e-mail address. Its form posts `csrf` and `name` to `/account/profile`.
#[must_use]
pub fn profile_page(headers: &HeaderMap, frame: &Frame<'_>, view: &ProfileView<'_>) -> Response {
    let csrf = csrf::token(headers);
    let created = Moment::of(view.created_at).filter(|_| view.created_at > 0);
    let template = ProfileTemplate { frame, view, created, csrf: &csrf.token };
    csrf.attach(scripted_page(frame.status(), &template))
}
