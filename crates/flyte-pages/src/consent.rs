//! The page that asks whether a client may act for a person.

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
use flyte_model::{ClientId, Scope, Scopes};
use flyte_settings::Config;

/// The content of the consent page.
#[derive(Clone, Debug)]
pub struct ConsentView {
    /// `client_name`.
    pub client_name: String,
    /// `client_id`.
    pub client_id: ClientId,
    /// E-mail address of the person who is asked.
    pub user_email: String,
    /// The requested scopes.
    pub scopes: Scopes,
    /// Whether the client may create, change and delete API keys and trust rules.
    pub manages_api_keys: bool,
    /// Host and port of the redirect URI, for display.
    pub redirect_host: String,
    /// Query of the validated authorization request. The form sends it back in the field `request`.
    pub request: String,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentTemplate<'a> {
    view: &'a ConsentView,
    server: &'a str,
    csrf: &'a str,
}

/// The page that asks for consent. Its form posts `csrf`, `request` and `decision` (`allow` or `deny`) to
/// `/oauth2/consent`.
#[must_use]
pub fn consent_page(config: &Config, headers: &HeaderMap, view: &ConsentView) -> Response {
    let csrf = csrf::token(headers);
    let template = ConsentTemplate { view, server: server_name(config), csrf: &csrf.token };
    csrf.attach(page(StatusCode::OK, &template, &FormAction::of_request(&view.request)))
}

/// What a scope allows a client to do, in words.
pub(super) fn meaning(scope: &Scope) -> &str {
    match scope.as_str() {
        "openid" => "Know who you are",
        "profile" => "See your name",
        "email" => "See your e-mail address",
        "offline_access" => "Stay signed in when you are away",
        "all" => "Do everything that you can do in Flyte",
        other => other,
    }
}
