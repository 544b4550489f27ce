//! The home page: the signed-in account and the next steps.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};
use flyte_settings::Config;

use super::{csrf, form_action::FormAction, page::page};

#[derive(Template)]
#[template(path = "home.html")]
struct HomeTemplate<'a> {
    view: &'a HomeView<'a>,
    endpoint: &'a str,
    csrf: &'a str,
}

/// The content of the home page.
#[derive(Debug)]
pub struct HomeView<'a> {
    /// E-mail address of the signed-in account.
    pub email: Option<&'a str>,
    /// SHA-256 fingerprint of the certificate of the server's own authority, if clients must trust that authority.
    pub fingerprint: Option<String>,
}

/// The home page. Its form to sign out posts to `/oauth2/logout`.
#[must_use]
pub fn home_page(config: &Config, headers: &HeaderMap, view: &HomeView<'_>) -> Response {
    let csrf = csrf::token(headers);
    let template = HomeTemplate { view, endpoint: config.issuer(), csrf: &csrf.token };
    csrf.attach(page(StatusCode::OK, &template, &FormAction::own()))
}
