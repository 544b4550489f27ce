//! The home page: who is signed in, and what to do next.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{authority, csrf, error::failed, form_action::FormAction, page::page};
use crate::app::App;

#[derive(Template)]
#[template(path = "home.html")]
struct HomeTemplate<'a> {
    email: Option<&'a str>,
    endpoint: &'a str,
    fingerprint: Option<String>,
    csrf: &'a str,
}

/// `GET /`
pub(super) async fn show(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let signed_in = match app.sessions.current(&headers).await {
        Ok(signed_in) => signed_in,
        Err(error) => return failed(&error),
    };
    let csrf = csrf::token(&headers);
    let template = HomeTemplate {
        email: signed_in.as_ref().map(|signed_in| signed_in.user.email.as_str()),
        endpoint: app.config.issuer(),
        fingerprint: authority::fingerprint(&app),
        csrf: &csrf.token,
    };
    csrf.attach(page(StatusCode::OK, &template, &FormAction::own()))
}
