//! The pages for signing out. `/oauth2/logout` handles their forms.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{csrf, form_action::FormAction, page::page};

/// The content of the page that asks whether to sign out.
#[derive(Clone, Debug)]
pub struct LogoutView {
    /// E-mail address of the signed-in account.
    pub user_email: String,
    /// The client that requested the sign-out, if it is known.
    pub client_name: Option<String>,
    /// Query of the logout request. The form sends it back in the field `request`.
    pub request: String,
    /// The name of the provider through which the user signed in, if they can sign out there too.
    pub provider: Option<String>,
    /// `post_logout_redirect_uri`, if the client has registered it.
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

/// The page that asks whether to sign out. Its form posts `csrf`, `request`, `decision` (`sign-out` or
/// `sign-out-browser`) and, if the user wants to sign out at the provider too, `provider` to `/oauth2/logout`.
#[must_use]
pub fn confirm_logout_page(headers: &HeaderMap, view: &LogoutView) -> Response {
    let csrf = csrf::token(headers);
    let forms = view.redirect_uri.as_deref().map_or_else(FormAction::own, FormAction::and_redirect);
    csrf.attach(page(StatusCode::OK, &LogoutTemplate { view, csrf: &csrf.token }, &forms))
}

/// The page that confirms the sign-out.
#[must_use]
pub fn signed_out_page() -> Response {
    page(StatusCode::OK, &SignedOutTemplate {}, &FormAction::own())
}
