//! The page on which a person chooses the account for an authorization request.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{
    csrf,
    form_action::FormAction,
    page::{page, server_name},
};
use flyte_settings::Config;

/// The signed-in account that the person may continue with.
#[derive(Clone, Debug)]
pub struct ChooseAccountView {
    /// `client_name`.
    pub client_name: String,
    /// Full name of the person who is signed in; may be empty.
    pub user_name: String,
    /// Their e-mail address.
    pub user_email: String,
    /// Query of the validated authorization request. The form sends it back in the field `request`.
    pub request: String,
}

#[derive(Template)]
#[template(path = "choose_account.html")]
struct ChooseAccountTemplate<'a> {
    view: &'a ChooseAccountView,
    server: &'a str,
    csrf: &'a str,
}

/// The page that asks for the account. Its form posts `csrf`, `request` and `decision` (`continue` or
/// `another-account`) to `/oauth2/account`.
#[must_use]
pub fn choose_account_page(config: &Config, headers: &HeaderMap, view: &ChooseAccountView) -> Response {
    let csrf = csrf::token(headers);
    let template = ChooseAccountTemplate { view, server: server_name(config), csrf: &csrf.token };
    csrf.attach(page(StatusCode::OK, &template, &FormAction::of_request(&view.request)))
}
