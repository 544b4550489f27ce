//! The home page: what is the signed-in user's, and the next steps.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};
use flyte_settings::Config;

use super::{
    console::{Link, Section},
    csrf,
    form_action::FormAction,
    page::{page, scripted_page},
};

#[derive(Template)]
#[template(path = "home.html")]
struct WelcomeTemplate<'a> {
    fingerprint: Option<&'a str>,
    endpoint: &'a str,
}

#[derive(Template)]
#[template(path = "console/home.html")]
struct HomeTemplate<'a> {
    email: &'a str,
    overview: &'a Overview,
    fingerprint: Option<&'a str>,
    endpoint: &'a str,
    csrf: &'a str,
}

/// What a signed-in user has on this server.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// The console of a backend.
    pub open: Option<Link>,
    /// Whether the user may open the pages for administrators.
    pub administers: bool,
    /// Projects, runs and keys.
    pub sections: Vec<Section>,
}

/// The content of the home page.
#[derive(Debug)]
pub struct HomeView<'a> {
    /// E-mail address of the signed-in account, and what it has.
    pub signed_in: Option<(&'a str, Overview)>,
    /// SHA-256 fingerprint of the certificate of the server's own authority, if clients must trust that authority.
    pub fingerprint: Option<String>,
}

/// The home page. Its form to sign out posts to `/oauth2/logout`.
#[must_use]
pub fn home_page(config: &Config, headers: &HeaderMap, view: &HomeView<'_>) -> Response {
    let (endpoint, fingerprint) = (config.issuer(), view.fingerprint.as_deref());
    let Some((email, overview)) = &view.signed_in else {
        return page(StatusCode::OK, &WelcomeTemplate { fingerprint, endpoint }, &FormAction::own());
    };
    let csrf = csrf::token(headers);
    let template = HomeTemplate { email, overview, fingerprint, endpoint, csrf: &csrf.token };
    csrf.attach(scripted_page(StatusCode::OK, &template))
}
