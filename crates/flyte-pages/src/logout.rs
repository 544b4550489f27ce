//! The pages around signing out; `/oauth2/logout` does it.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{csrf, form_action::FormAction, page::page};

/// What a person is asked to confirm.
#[derive(Clone, Debug)]
pub struct LogoutView {
    /// Who is signed in.
    pub user_email: String,
    /// The client that asks, where it is known.
    pub client_name: Option<String>,
    /// Query of the logout request; comes back in the field `request`.
    pub request: String,
    /// `post_logout_redirect_uri`, where it is one of the client's.
    pub redirect_uri: Option<String>,
}

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutTemplate<'a> {
    view: &'a LogoutView,
    csrf: &'a str,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutTemplate {}

/// Asks whether to sign out. The form posts to `/oauth2/logout`: `csrf`, `request`, and `decision`, `sign-out`.
#[must_use]
pub fn confirm_logout_page(headers: &HeaderMap, view: &LogoutView) -> Response {
    let csrf = csrf::token(headers);
    let forms = view.redirect_uri.as_deref().map_or_else(FormAction::own, FormAction::and_redirect);
    csrf.attach(page(StatusCode::OK, &LogoutTemplate { view, csrf: &csrf.token }, &forms))
}

/// Says that the browser is signed out.
#[must_use]
pub fn signed_out_page() -> Response {
    page(StatusCode::OK, &SignedOutTemplate {}, &FormAction::own())
}
