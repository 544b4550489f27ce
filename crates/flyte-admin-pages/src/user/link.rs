//! One-time links that are shown once: invitations, and links that set a password.

use axum::response::Response;
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{
    AccountLink, CreatePasswordLinkRequest, InviteUserRequest, User, UserServiceClient,
};
use flyte_pages::{AdminView, Content, Cut, Link, Part};

use super::USERS;
use crate::{
    act::Act,
    address,
    area::Area,
    cell,
    given::Given,
    visit::{Visit, client},
};

/// What a page shows once.
pub(super) struct Once {
    /// The heading of the part, for example `Password`.
    pub(super) title: &'static str,
    /// What to do with it.
    pub(super) lead: String,
    /// It; empty if it was sent by mail.
    pub(super) secret: String,
}

/// The page that shows something once, which no address shows again.
pub(super) fn page(visit: &Visit, user: &User, lead: &str, once: Once) -> Response {
    let content = (!once.secret.is_empty()).then(|| {
        let secret = Cut { text: once.secret, missing: None };
        Content::Values(vec![(once.title.to_lowercase(), secret)])
    });
    let part = Part { id: "once", title: once.title, lead: once.lead, content, ..Part::default() };
    let view = AdminView {
        kind: "User",
        heading: cell::address(&user.email),
        lead: lead.to_owned(),
        open: Some(Link { href: address::of(USERS, &user.subject), text: "Go to the user".to_owned() }),
        parts: vec![part],
        ..AdminView::default()
    };
    visit.page(Area::Users, &Given::default(), view)
}

/// What to do with a link, or where it was sent.
fn link(link: Option<AccountLink>, url: String, user: &User) -> Once {
    let until = link.map(|link| link.expires_at).and_then(flyte_pages::Moment::of);
    let until = until.map_or_else(String::new, |until| format!(" It works once, until {}.", until.text));
    let lead = match url.is_empty() {
        true => format!("The link was sent to {}.{until}", cell::address(&user.email)),
        false => format!("Give it to the user now: this page is the only place that shows it.{until}"),
    };
    Once { title: "Link", lead, secret: url }
}

/// Creates an account with an invitation.
///
/// # Errors
/// Those of the call.
pub(super) async fn invite(act: &Act) -> Result<Response, ConnectError> {
    let request = InviteUserRequest {
        email: act.typed.owned("email"),
        name: act.typed.owned("name"),
        ..InviteUserRequest::default()
    };
    let answer = client!(act.visit, UserServiceClient).invite_user(request).await?.into_owned();
    let user = answer.user.into_option().unwrap_or_default();
    let once = link(answer.link.into_option(), answer.url, &user);
    Ok(page(&act.visit, &user, "The account is created, and its user is invited.", once))
}

/// Makes a link with which the user sets a new password.
///
/// # Errors
/// Those of the call.
pub(super) async fn set_password(act: &Act, user: &User) -> Result<Response, ConnectError> {
    let request =
        CreatePasswordLinkRequest { user: user.subject.clone(), ..CreatePasswordLinkRequest::default() };
    let answer = client!(act.visit, UserServiceClient).create_password_link(request).await?.into_owned();
    let once = link(answer.link.into_option(), answer.url, user);
    Ok(page(
        &act.visit,
        user,
        "The user sets a new password with this link. Until then, the present one works.",
        once,
    ))
}
