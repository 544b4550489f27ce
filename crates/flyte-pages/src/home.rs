//! The home page: who is signed in, and what to do next.

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

/// What the page shows.
#[derive(Debug)]
pub struct HomeView<'a> {
    /// Who is signed in.
    pub email: Option<&'a str>,
    /// SHA-256 of the certificate of the server's own authority, if clients have to trust that.
    pub fingerprint: Option<String>,
}

/// The page. The form to sign out posts to `/oauth2/logout`.
#[must_use]
pub fn home_page(config: &Config, headers: &HeaderMap, view: &HomeView<'_>) -> Response {
    let csrf = csrf::token(headers);
    let template = HomeTemplate { view, endpoint: config.issuer(), csrf: &csrf.token };
    csrf.attach(page(StatusCode::OK, &template, &FormAction::own()))
}
