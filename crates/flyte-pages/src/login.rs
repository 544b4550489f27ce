//! The sign-in page.

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

/// A button that leads to an outside provider.
#[derive(Clone, Debug)]
pub struct ProviderLink {
    /// The provider's name.
    pub label: String,
    /// The address at this server that begins the sign-in there.
    pub href: String,
}

/// The content of the sign-in page.
#[derive(Debug)]
pub struct LoginView<'a> {
    /// The page to open after the sign-in.
    pub return_to: Option<&'a ReturnTo>,
    /// Name of the client that requested the sign-in.
    pub client: Option<&'a str>,
    /// The initial value of the e-mail field.
    pub email: &'a str,
    /// Why the previous attempt was refused.
    pub error: Option<&'a str>,
    /// The outside providers through which the user can sign in.
    pub providers: &'a [ProviderLink],
    /// Whether the page has the form for a password.
    pub passwords: bool,
    /// Whether the browser goes to the only provider by itself.
    pub straight: bool,
    /// Whether the error is about the e-mail address and password.
    pub wrong: bool,
}

/// The sign-in page. Its buttons for providers are links: a form's policy would apply to all pages of the provider. Its form posts `csrf`, `return_to`, `email` and `password` to `/login`; `forms` says which
/// addresses may follow.
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
