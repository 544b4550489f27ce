//! The page with what a user is signed in with, and the page with the applications that have the user's consent.

use askama::Template;
use axum::{http::HeaderMap, response::Response};

use super::Frame;
use crate::{console::Moment, csrf, page::scripted_page};
use flyte_model::{ClientId, Scopes};

/// Something that the user is signed in with.
#[derive(Clone, Debug)]
pub struct SignInView {
    /// Its identifier.
    pub id: String,
    /// The browser and its system, or the name of the client.
    pub what: String,
    /// How it was signed in, if it is no browser.
    pub how: Option<String>,
    /// The address of its last use.
    pub place: Option<String>,
    /// The time of the sign-in.
    pub started: Option<Moment>,
    /// The time of the last use.
    pub used: Option<Moment>,
    /// Whether it is the browser that shows the page.
    pub is_this: bool,
}

/// A page of what the user is signed in with.
#[derive(Clone, Debug)]
pub struct SignInsView {
    /// The entries, the newest first.
    pub entries: Vec<SignInView>,
    /// The token of the next page; empty on the last one.
    pub next: String,
}

#[derive(Template)]
#[template(path = "account/sign_ins.html")]
struct SignInsTemplate<'a> {
    frame: &'a Frame<'a>,
    view: &'a SignInsView,
    csrf: &'a str,
}

/// The page with what the user is signed in with. Its forms post `csrf`, `extent` (`one`, `others` or `all`) and `id` to
/// `/account/sessions`.
#[must_use]
pub fn sign_ins_page(headers: &HeaderMap, frame: &Frame<'_>, view: &SignInsView) -> Response {
    let csrf = csrf::token(headers);
    csrf.attach(scripted_page(frame.status(), &SignInsTemplate { frame, view, csrf: &csrf.token }))
}

/// A client that the user consented to.
#[derive(Clone, Debug)]
pub struct ApplicationView {
    /// `client_name`.
    pub name: String,
    /// `client_id`.
    pub client_id: ClientId,
    /// The scopes of the consent.
    pub scopes: Scopes,
    /// The time of the latest consent.
    pub granted: Option<Moment>,
}

#[derive(Template)]
#[template(path = "account/applications.html")]
struct ApplicationsTemplate<'a> {
    frame: &'a Frame<'a>,
    applications: &'a [ApplicationView],
    csrf: &'a str,
}

/// The page with the applications. Its forms post `csrf` and `client_id` to `/account/applications`.
#[must_use]
pub fn applications_page(
    headers: &HeaderMap,
    frame: &Frame<'_>,
    applications: &[ApplicationView],
) -> Response {
    let csrf = csrf::token(headers);
    let template = ApplicationsTemplate { frame, applications, csrf: &csrf.token };
    csrf.attach(scripted_page(frame.status(), &template))
}
