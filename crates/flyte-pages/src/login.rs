//! The page to sign in at.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};
use flyte_settings::Config;

use super::{
    csrf,
    form_action::FormAction,
    page::{page, server_name},
    return_to::ReturnTo,
};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginTemplate<'a> {
    view: &'a LoginView<'a>,
    csrf: &'a str,
    server: &'a str,
}

/// What the page shows.
#[derive(Debug)]
pub struct LoginView<'a> {
    /// Where the person goes afterwards.
    pub return_to: Option<&'a ReturnTo>,
    /// Name of the client that asks.
    pub client: Option<&'a str>,
    /// The e-mail address that the form begins with.
    pub email: &'a str,
    /// Why the last attempt was refused.
    pub error: Option<&'a str>,
    /// The error is about what was typed.
    pub wrong: bool,
}

/// The form, which posts `csrf`, `return_to`, `email` and `password` to `/login`; `forms` is where that may lead.
#[must_use]
pub fn login_page(
    status: StatusCode,
    config: &Config,
    headers: &HeaderMap,
    view: &LoginView<'_>,
    forms: &FormAction,
) -> Response {
    let csrf = csrf::token(headers);
    let template = LoginTemplate { view, csrf: &csrf.token, server: server_name(config) };
    csrf.attach(page(status, &template, forms))
}
