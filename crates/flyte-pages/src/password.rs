//! The pages on which users set and change a password.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{
    account::Frame,
    csrf,
    form_action::FormAction,
    page::{page, scripted_page, server_name},
};
use flyte_settings::Config;

/// The content of a page on which the user of a link sets a password.
#[derive(Clone, Copy, Debug)]
pub struct NewPasswordView<'a> {
    /// Whether the link is an invitation; otherwise it replaces a password.
    pub is_invitation: bool,
    /// The token of the link. The form sends it back.
    pub token: &'a str,
    /// E-mail address of the account.
    pub email: &'a str,
    /// The minimum length of a password in characters.
    pub min_length: usize,
    /// Why the previous attempt was refused.
    pub error: Option<&'a str>,
    /// Whether the server has sign-in with a password.
    pub passwords: bool,
    /// The providers through which an invitation can be accepted: name and label.
    pub providers: &'a [(String, String)],
}

#[derive(Template)]
#[template(path = "new_password.html")]
struct NewPasswordTemplate<'a> {
    view: &'a NewPasswordView<'a>,
    csrf: &'a str,
    server: &'a str,
}

/// The page on which the user of a link sets a password. Its form posts `csrf`, `token`, and `password` or `provider` to `/reset`
/// or `/invitation`. Without JavaScript, it also posts `again`.
#[must_use]
pub fn new_password_page(config: &Config, headers: &HeaderMap, view: &NewPasswordView<'_>) -> Response {
    let csrf = csrf::token(headers);
    let status = if view.error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let template = NewPasswordTemplate { view, csrf: &csrf.token, server: server_name(config) };
    csrf.attach(scripted_page(status, &template))
}

#[derive(Template)]
#[template(path = "password_set.html")]
struct PasswordSetTemplate {}

/// The page after a password was set.
#[must_use]
pub fn password_set_page() -> Response {
    page(StatusCode::OK, &PasswordSetTemplate {}, &FormAction::own())
}

/// The content of the page on which a signed-in user changes the password.
#[derive(Clone, Copy, Debug)]
pub struct ChangePasswordView<'a> {
    /// Whether the account has a password.
    pub has_password: bool,
    /// The minimum length of a password in characters.
    pub min_length: usize,
    /// Names of the API keys that the user created, which stay.
    pub api_keys: &'a [String],
}

#[derive(Template)]
#[template(path = "account/password.html")]
struct ChangePasswordTemplate<'a> {
    frame: &'a Frame<'a>,
    view: &'a ChangePasswordView<'a>,
    csrf: &'a str,
}

/// The page on which a signed-in user changes the password. Its form posts `csrf`, `current`, `password`, without JavaScript
/// `again`, and perhaps `everywhere` to `/account/password`.
#[must_use]
pub fn change_password_page(
    headers: &HeaderMap,
    frame: &Frame<'_>,
    view: &ChangePasswordView<'_>,
) -> Response {
    let csrf = csrf::token(headers);
    let status = if frame.error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    csrf.attach(scripted_page(status, &ChangePasswordTemplate { frame, view, csrf: &csrf.token }))
}
