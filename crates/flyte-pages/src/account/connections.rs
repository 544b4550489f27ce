//! The page with the users of outside providers that are connected to the account.

use askama::Template;
use axum::{http::HeaderMap, response::Response};

use super::Frame;
use crate::{console::Moment, csrf, login::ProviderLink, page::scripted_page};

/// A connected user of a provider.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    /// The name of the provider.
    pub provider: String,
    /// The address of the user there, or the identifier.
    pub outside: String,
    /// The time at which it was connected.
    pub linked: Option<Moment>,
    /// The time of the last sign-in.
    pub used: Option<Moment>,
    /// `iss`; the form sends it back.
    pub issuer: String,
    /// The identifier; the form sends it back.
    pub subject: String,
    /// Whether it is the only way to sign in, which stays.
    pub is_last: bool,
}

/// The content of the page.
#[derive(Clone, Debug)]
pub struct ConnectionsView {
    /// The connections.
    pub connections: Vec<ConnectionView>,
    /// The providers with which a user can be connected.
    pub providers: Vec<ProviderLink>,
}

#[derive(Template)]
#[template(path = "account/connections.html")]
struct ConnectionsTemplate<'a> {
    frame: &'a Frame<'a>,
    view: &'a ConnectionsView,
    csrf: &'a str,
}

/// The page with the connections. Its forms post `csrf`, `issuer` and `subject` to `/account/connections`.
#[must_use]
pub fn connections_page(headers: &HeaderMap, frame: &Frame<'_>, view: &ConnectionsView) -> Response {
    let csrf = csrf::token(headers);
    csrf.attach(scripted_page(frame.status(), &ConnectionsTemplate { frame, view, csrf: &csrf.token }))
}
