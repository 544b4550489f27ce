//! The pages of a sign-in through an outside provider.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};
use flyte_settings::Config;

use super::{
    csrf,
    form_action::FormAction,
    login::ProviderLink,
    page::{page, server_name},
};

#[derive(Template)]
#[template(path = "continue.html")]
struct ContinueTemplate<'a> {
    href: &'a str,
}

/// The page that follows a sign-in at a provider and leads to a page of this server by itself.
///
/// A redirect would be part of the chain that began with the form of the provider's page. If that page limits where its
/// form may lead (`form-action`), browsers would stop before the client's redirect URI.
#[must_use]
pub fn continue_page(href: &str) -> Response {
    page(StatusCode::OK, &ContinueTemplate { href }, &FormAction::own())
}

#[derive(Template)]
#[template(path = "sign_in_failed.html")]
struct SignInFailedTemplate<'a> {
    title: &'a str,
    detail: &'a str,
    links: &'a [ProviderLink],
    server: &'a str,
}

/// The page for a sign-in that failed: what happened, what to do, and where to continue.
#[must_use]
pub fn sign_in_failed_page(
    status: StatusCode,
    config: &Config,
    title: &str,
    detail: &str,
    links: &[ProviderLink],
) -> Response {
    let template = SignInFailedTemplate { title, detail, links, server: server_name(config) };
    page(status, &template, &FormAction::own())
}

/// The content of the page that asks whether to connect an account.
#[derive(Clone, Debug)]
pub struct ConnectView<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// The user at the provider: the e-mail address, or the identifier.
    pub outside: &'a str,
    /// The name of the user at the provider.
    pub outside_name: Option<&'a str>,
    /// E-mail address of the signed-in account.
    pub user_email: &'a str,
    /// Name of the signed-in account; may be empty.
    pub user_name: &'a str,
    /// Names the identity in the form.
    pub identity: &'a str,
}

#[derive(Template)]
#[template(path = "connect_account.html")]
struct ConnectTemplate<'a> {
    view: &'a ConnectView<'a>,
    csrf: &'a str,
    server: &'a str,
}

/// The page that asks a signed-in user whether to connect their account with a user of a provider. Its form posts `csrf`
/// and `decision` (`connect` or `cancel`) to `/login/connect`.
#[must_use]
pub fn connect_page(config: &Config, headers: &HeaderMap, view: &ConnectView<'_>) -> Response {
    let csrf = csrf::token(headers);
    let template = ConnectTemplate { view, csrf: &csrf.token, server: server_name(config) };
    csrf.attach(page(StatusCode::OK, &template, &FormAction::own()))
}
