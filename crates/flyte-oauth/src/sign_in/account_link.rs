//! `/reset` and `/invitation`: the pages of one-time links, on which users set a password.
//!
//! Opening a page changes nothing, so a program that follows the links in mail does no harm. The form uses the link, in the
//! transaction that sets the password: two browsers cannot both do it. A link signs no user in, so it never stands for
//! another factor.

use std::sync::Arc;

use axum::{
    Extension, Form,
    extract::{
        Query, State,
        rejection::{FormRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{login::secret, outside::invitation};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::{
    PasswordError, PasswordOwner,
    account_link::{INVITATION_PATH, RESET_PATH},
    cookie::{self, CookieSecret},
    first_password,
};
use flyte_model::ClientAddr;
use flyte_pages::{
    NewPasswordView, continue_page, csrf, error_page, internal_error_page, new_password_page,
    password_set_page,
};
use flyte_policy::Subject;
use flyte_secrets::opaque_token;
use flyte_store::{AccountLink, LinkPurpose, StoreError, User};

/// Query of both pages.
#[derive(Deserialize)]
pub(super) struct LinkQuery {
    #[serde(default)]
    token: String,
    /// Present after the password was set.
    done: Option<String>,
}

/// Body of both forms.
#[derive(Deserialize)]
pub(super) struct LinkForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    token: String,
    #[serde(default, deserialize_with = "secret")]
    password: SecretString,
    /// The password again, if the browser runs no script that shows it.
    #[serde(default, deserialize_with = "some_secret")]
    again: Option<SecretString>,
    /// The provider through which an invitation is accepted.
    #[serde(default)]
    provider: String,
}

/// Reads a secret field that may be missing.
pub(super) fn some_secret<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    secret(deserializer).map(Some)
}

/// A valid link and its account.
struct Opened {
    link: AccountLink,
    user: User,
}

/// The link with this token, if it can be used for this purpose.
///
/// The user who made a link can open it too. So a link that one user made for another works only while its maker has all that
/// the account has: an account may get more after it was invited, and an administrator may lose their role.
pub(super) async fn valid(
    server: &AuthorizationServer,
    token: &str,
    purpose: LinkPurpose,
) -> Result<Option<AccountLink>, StoreError> {
    let found = server.store.account_link_by_token(&opaque_token::hash(token), server.clock.now()).await?;
    let Some(link) = found.filter(|link| link.purpose == purpose) else { return Ok(None) };
    if let Some(maker) = &link.created_by {
        let policies = server.access.reload_policies().await?;
        let [own, given] = [maker, &link.user_id].map(|id| policies.grants(&Subject::user(id)));
        if !own.cover(&given) {
            tracing::warn!(link = link.id, "a link was refused: its account has more than its maker");
            return Ok(None);
        }
    }
    Ok(Some(link))
}

async fn open(
    server: &AuthorizationServer,
    token: &str,
    purpose: LinkPurpose,
) -> Result<Option<Opened>, StoreError> {
    let Some(link) = valid(server, token, purpose).await? else { return Ok(None) };
    let user = server.store.user_by_id(&link.user_id).await?;
    Ok(user.map(|user| Opened { link, user }))
}

fn ended(purpose: LinkPurpose) -> Response {
    let (title, what) = match purpose {
        LinkPurpose::Invitation => ("This invitation does not work", "invitation"),
        LinkPurpose::Password | LinkPurpose::Email => ("This link does not work", "link"),
    };
    let detail =
        format!("It was used, replaced or ended, or it has expired. Ask an administrator for a new {what}.");
    error_page(StatusCode::GONE, title, &detail)
}

fn page(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    opened: &Opened,
    token: &str,
    error: Option<&str>,
) -> Response {
    let is_invitation = opened.link.purpose == LinkPurpose::Invitation;
    let providers: Vec<_> = match is_invitation {
        true => {
            let providers = server.outside.providers.iter();
            providers.map(|provider| (provider.name().to_owned(), provider.label().to_owned())).collect()
        }
        false => Vec::new(),
    };
    let view = NewPasswordView {
        is_invitation,
        token,
        email: &opened.user.email,
        min_length: server.passwords.min_length(),
        error,
        passwords: server.config.passwords,
        providers: &providers,
    };
    new_password_page(&server.config, headers, &view)
}

/// `GET /reset`
pub(super) async fn show_reset(
    State(server): State<Arc<AuthorizationServer>>,
    query: Result<Query<LinkQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    show(&server, query, &headers, LinkPurpose::Password).await
}

/// `GET /invitation`
pub(super) async fn show_invitation(
    State(server): State<Arc<AuthorizationServer>>,
    query: Result<Query<LinkQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    show(&server, query, &headers, LinkPurpose::Invitation).await
}

async fn show(
    server: &AuthorizationServer,
    query: Result<Query<LinkQuery>, QueryRejection>,
    headers: &HeaderMap,
    purpose: LinkPurpose,
) -> Response {
    let Ok(Query(LinkQuery { token, done })) = query else { return ended(purpose) };
    if done.is_some() {
        return password_set_page();
    }
    match open(server, &token, purpose).await {
        Ok(Some(opened)) => page(server, headers, &opened, &token, None),
        Ok(None) => ended(purpose),
        Err(error) => internal_error_page(&error),
    }
}

/// `POST /reset`
pub(super) async fn submit_reset(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(ClientAddr(address)): Extension<ClientAddr>,
    headers: HeaderMap,
    body: Result<Form<LinkForm>, FormRejection>,
) -> Response {
    let submitted = Submitted { server: &server, headers: &headers, address, purpose: LinkPurpose::Password };
    submitted.answer(body).await
}

/// `POST /invitation`
pub(super) async fn submit_invitation(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(ClientAddr(address)): Extension<ClientAddr>,
    headers: HeaderMap,
    body: Result<Form<LinkForm>, FormRejection>,
) -> Response {
    let submitted =
        Submitted { server: &server, headers: &headers, address, purpose: LinkPurpose::Invitation };
    submitted.answer(body).await
}

/// A form of one of the pages.
struct Submitted<'a> {
    server: &'a AuthorizationServer,
    headers: &'a HeaderMap,
    address: std::net::IpAddr,
    purpose: LinkPurpose,
}

impl Submitted<'_> {
    async fn answer(&self, body: Result<Form<LinkForm>, FormRejection>) -> Response {
        let form = match body {
            Ok(Form(form)) => form,
            Err(rejection) => {
                return error_page(
                    rejection.status(),
                    "The form could not be read",
                    "Open the link again, and send the form once more.",
                );
            }
        };
        if !csrf::verify(self.headers, &form.csrf) {
            return error_page(
                StatusCode::FORBIDDEN,
                "This page is out of date",
                "You signed in or out after this page was opened, or another site sent the form. Open the link again.",
            );
        }
        let opened = match open(self.server, &form.token, self.purpose).await {
            Ok(Some(opened)) => opened,
            Ok(None) => return ended(self.purpose),
            Err(error) => return internal_error_page(&error),
        };
        if !form.provider.is_empty() && self.purpose == LinkPurpose::Invitation {
            return self.go_to_provider(&form);
        }
        match self.set_password(&opened, form).await {
            Ok(response) => response,
            Err(error) => internal_error_page(&error),
        }
    }

    /// Remembers the invitation in the browser, and begins the sign-in at a provider. A form may not lead to other servers
    /// itself: its policy would apply to all pages of the provider.
    fn go_to_provider(&self, form: &LinkForm) -> Response {
        let provider = self.server.outside.providers.get(&form.provider);
        let secret = form.token.get(4..).and_then(|random| URL_SAFE_NO_PAD.decode(random).ok());
        let secret = secret.and_then(|bytes| Some(CookieSecret::new(bytes.try_into().ok()?)));
        let cookie = secret
            .and_then(|secret| cookie::set(invitation::COOKIE, &secret, Some(invitation::COOKIE_SECONDS)));
        let (Some(provider), Some(cookie)) = (provider, cookie) else { return ended(self.purpose) };
        let mut response = continue_page(&format!("/login/with/{}", provider.name()));
        response.headers_mut().append(header::SET_COOKIE, cookie);
        response
    }

    async fn set_password(&self, opened: &Opened, form: LinkForm) -> Result<Response, StoreError> {
        let server = self.server;
        let refuse = |message: &str| page(server, self.headers, opened, &form.token, Some(message));
        if !server.config.passwords {
            return Ok(error_page(
                StatusCode::FORBIDDEN,
                "Passwords are turned off",
                "This server has no sign-in with a password. Go to the sign-in page, and use one of the providers.",
            ));
        }
        let differs = |again: &SecretString| again.expose_secret() != form.password.expose_secret();
        if form.again.as_ref().is_some_and(differs) {
            return Ok(refuse("The two passwords differ. Enter the same password twice."));
        }
        let owner = PasswordOwner { email: opened.user.email.clone(), name: opened.user.name.clone() };
        let hash = match server.passwords.hash(form.password.clone(), owner).await {
            Ok(hash) => hash,
            Err(error) => return Ok(unhashed(&error, refuse)),
        };
        let token_hash = opaque_token::hash(&form.token);
        let now = server.clock.now();
        let Some(user) = server.store.set_password_by_link(&token_hash, &hash, now).await? else {
            return Ok(ended(self.purpose));
        };
        if let Err(error) = first_password::forget(&server.config.data_dir, &user.email) {
            tracing::warn!(%error, "the file with the first password could not be removed; remove it");
        }
        let (kind, path) = match self.purpose {
            LinkPurpose::Invitation => (Kind::InvitationAccepted, INVITATION_PATH),
            LinkPurpose::Password | LinkPurpose::Email => (Kind::PasswordReset, RESET_PATH),
        };
        let event = Event::new(kind).from(self.address).subject(&user.id).object(&user.email);
        server.audit.record(event.detail(Detail::Reason, "a link")).await;
        end_revoked(server).await;
        Ok(Redirect::to(&format!("{path}?done=1")).into_response())
    }
}

/// The answer if a password was not hashed. `refuse` shows the form again, with a message.
pub(super) fn unhashed(error: &PasswordError, refuse: impl FnOnce(&str) -> Response) -> Response {
    match error {
        PasswordError::Weak(weakness) => refuse(&format!("This password cannot be used: {weakness}.")),
        PasswordError::Overloaded { .. } => refuse("Too many people are signing in. Try again in a moment."),
        PasswordError::Failed(_) => internal_error_page(error),
    }
}

/// Ends what the store has revoked, at once.
pub(super) async fn end_revoked(server: &AuthorizationServer) {
    if let Err(error) = server.access.maintain().await {
        tracing::warn!(%error, "reading revocations failed; they are read again within a second");
    }
}
