//! The page with the user's own API keys, and the page that shows a new secret.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::Frame;
use crate::{console::Moment, csrf, page::scripted_page};

/// An API key.
#[derive(Clone, Debug)]
pub struct ApiKeyView {
    /// Its name.
    pub name: String,
    /// Its `client_id`.
    pub client_id: String,
    /// Its role.
    pub role: String,
    /// The project, or the project and domain, that it is limited to.
    pub place: Option<String>,
    /// The time at which it was created.
    pub created: Option<Moment>,
    /// Whether it has expired.
    pub is_expired: bool,
    /// Its expiry; `None` if it has none.
    pub expires: Option<Moment>,
    /// The time at which it last got a token.
    pub used: Option<Moment>,
    /// The time until which the previous secret works.
    pub previous: Option<Moment>,
}

/// The form for a new key, with what was typed.
#[derive(Clone, Debug)]
pub struct ApiKeyForm {
    /// The roles that the user can give.
    pub roles: Vec<String>,
    /// The lifetimes to choose from, in days.
    pub lifetimes: Vec<i64>,
    /// The name.
    pub name: String,
    /// The role.
    pub role: String,
    /// The project.
    pub project: String,
    /// The domain.
    pub domain: String,
    /// The lifetime in days, or `never`.
    pub lifetime: String,
}

/// A page of the user's own API keys.
#[derive(Clone, Debug)]
pub struct ApiKeysView {
    /// The keys, the newest first.
    pub keys: Vec<ApiKeyView>,
    /// The token of the next page; empty on the last one.
    pub next: String,
    /// The address of the sign-in page, if the action before needs a recent sign-in.
    pub sign_in: Option<String>,
    /// The form for a new key.
    pub form: ApiKeyForm,
}

#[derive(Template)]
#[template(path = "account/api_keys.html")]
struct ApiKeysTemplate<'a> {
    frame: &'a Frame<'a>,
    view: &'a ApiKeysView,
    csrf: &'a str,
}

/// The page with the user's own API keys. Its forms post `csrf`, `action` (`create`, `rotate` or `delete`) and the fields of the
/// action to `/account/keys`.
#[must_use]
pub fn api_keys_page(headers: &HeaderMap, frame: &Frame<'_>, view: &ApiKeysView) -> Response {
    let csrf = csrf::token(headers);
    csrf.attach(scripted_page(frame.status(), &ApiKeysTemplate { frame, view, csrf: &csrf.token }))
}

/// A new secret. It has no `Debug`, because it contains the secret.
#[derive(Clone, Copy)]
pub struct NewSecretView<'a> {
    /// The name of the key.
    pub name: &'a str,
    /// Its `client_id`.
    pub client_id: &'a str,
    /// The client secret.
    pub secret: &'a str,
    /// The whole key as one string, for `FLYTE_API_KEY`.
    pub api_key: &'a str,
    /// Whether the key existed before.
    pub rotated: bool,
}

#[derive(Template)]
#[template(path = "account/new_secret.html")]
struct NewSecretTemplate<'a> {
    frame: &'a Frame<'a>,
    view: &'a NewSecretView<'a>,
}

/// The page that shows a new secret. It is not stored by browsers and proxies, as all pages (`Cache-Control: no-store`).
#[must_use]
pub fn new_secret_page(_: &HeaderMap, frame: &Frame<'_>, view: &NewSecretView<'_>) -> Response {
    scripted_page(StatusCode::OK, &NewSecretTemplate { frame, view })
}
