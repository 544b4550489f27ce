//! The pages for sign-ins through a provider that fail.

use axum::{http::StatusCode, response::Response};

use super::{Address, path_of};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_pages::{ProviderLink, ReturnTo, encode, sign_in_failed_page};
use flyte_provider::{Profile, Provider, ProviderError, rules::Refusal};
use flyte_store::OutsideIdentity;

/// Records a failure of a provider, or an answer that must not be trusted, and returns its page.
pub(super) async fn page(
    server: &AuthorizationServer,
    provider: &Provider,
    error: &ProviderError,
    return_to: Option<&ReturnTo>,
    address: Address,
) -> Response {
    tracing::warn!(provider = provider.name(), %error, "a sign-in through a provider failed");
    let label = provider.label();
    let (status, title, detail) = match error {
        ProviderError::Unavailable(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{label} is not available"),
            format!("This server cannot reach {label} right now. Try again in a minute, or sign in another way."),
        ),
        ProviderError::Refused(code) if code == "invalid_grant" || code == "bad_verification_code" => (
            StatusCode::BAD_REQUEST,
            "The sign-in has expired".to_owned(),
            format!("{label} no longer accepts this sign-in, perhaps because it took too long. Start again."),
        ),
        ProviderError::NotFresh => (
            StatusCode::FORBIDDEN,
            "A new sign-in is needed".to_owned(),
            format!("{label} did not ask you to sign in again. Sign out there, and start again."),
        ),
        ProviderError::NoSignInTime => (
            StatusCode::FORBIDDEN,
            "A new sign-in is needed".to_owned(),
            format!("{label} does not say when you signed in there, so it cannot prove a new sign-in. Sign in another way."),
        ),
        ProviderError::Credential(_) | ProviderError::Refused(_) => (
            StatusCode::BAD_GATEWAY,
            format!("{label} rejected this server"),
            "The registration of this server there is probably wrong. Ask the server's administrator: the cause is in the \
             server's log."
                .to_owned(),
        ),
        ProviderError::Wrong(_) => (
            StatusCode::BAD_GATEWAY,
            format!("The answer of {label} was not accepted"),
            "Start again. If it happens again, ask the server's administrator: the cause is in the server's log.".to_owned(),
        ),
        ProviderError::Random => return flyte_pages::internal_error_page(error),
    };
    if let ProviderError::Wrong(reason) = error {
        let event = Event::new(Kind::ProviderSignInRefused).from(address).object(provider.name());
        let event = event.detail(Detail::Provider, provider.name()).detail(Detail::Reason, reason);
        server.audit.record(event).await;
    }
    failed(server, status, &title, &detail, &links(server, provider, return_to, false))
}

/// Records a refusal by a rule, and returns its page.
pub(super) async fn refused(
    server: &AuthorizationServer,
    provider: &Provider,
    profile: &Profile,
    refusal: Refusal,
    return_to: Option<&ReturnTo>,
    address: Address,
) -> Response {
    record(server, profile, &refusal.to_string(), address).await;
    let label = provider.label();
    let what = match refusal {
        Refusal::Domain => format!("Only users of certain organizations can sign in with {label}."),
        Refusal::Tenant => "Your organization is not one that can sign in here.".to_owned(),
        Refusal::Group => format!("Only members of certain groups at {label} can sign in."),
        Refusal::GroupsUnknown => format!("{label} did not say which groups you are in."),
        Refusal::TooManyGroups => {
            format!("You are in more groups than {label} lists, so this server cannot check them.")
        }
    };
    let detail = format!("{what} Use another account, or ask the server's administrator.");
    failed(
        server,
        StatusCode::FORBIDDEN,
        "You cannot sign in with this account",
        &detail,
        &links(server, provider, return_to, true),
    )
}

/// Records that a user of a provider could not sign in.
pub(super) async fn record(server: &AuthorizationServer, profile: &Profile, reason: &str, address: Address) {
    let event = Event::new(Kind::ProviderSignInRefused).from(address).object(&profile.provider);
    let event = with_profile(event, profile).detail(Detail::Reason, reason);
    server.audit.record(event).await;
}

/// Adds the user of a provider to an event.
pub(super) fn with_profile(event: Event, profile: &Profile) -> Event {
    event
        .detail(Detail::Provider, &profile.provider)
        .detail(Detail::Issuer, &profile.issuer)
        .detail(Detail::ForeignSubject, &profile.subject)
}

/// Adds the connected user of a provider to an event.
pub(super) fn with_identity(event: Event, identity: &OutsideIdentity) -> Event {
    event
        .detail(Detail::Provider, &identity.provider)
        .detail(Detail::Issuer, &identity.issuer)
        .detail(Detail::ForeignSubject, &identity.subject)
}

/// The page for a user of a provider who is connected to another account than the one that is signed in.
pub(super) fn connected_elsewhere(server: &AuthorizationServer, provider: &Provider, href: &str) -> Response {
    let detail = format!(
        "This {} account is connected to another account here. Nothing was changed.",
        provider.label()
    );
    let links = [ProviderLink { label: "Back".to_owned(), href: href.to_owned() }];
    failed(server, StatusCode::CONFLICT, "It is connected already", &detail, &links)
}

/// The page for an account that is disabled.
pub(super) fn disabled(
    server: &AuthorizationServer,
    provider: &Provider,
    return_to: Option<&ReturnTo>,
) -> Response {
    failed(
        server,
        StatusCode::FORBIDDEN,
        "Your account is disabled",
        "Ask the server's administrator to enable it.",
        &links(server, provider, return_to, true),
    )
}

/// The page for a user of a provider without an account.
pub(super) fn no_account(
    server: &AuthorizationServer,
    provider: &Provider,
    profile: &Profile,
    return_to: Option<&ReturnTo>,
) -> Response {
    let label = provider.label();
    let user = profile.email.as_deref().or(profile.name.as_deref());
    let user = user.map_or_else(|| format!("your {label} account"), |user| format!("{user} at {label}"));
    let mut links = links(server, provider, return_to, true);
    let detail = if server.config.passwords || server.outside.providers.len() > 1 {
        let href = format!("/login?return_to={}", encode("/login/connect"));
        links.insert(0, ProviderLink { label: "Sign in to my account and connect it".to_owned(), href });
        format!(
            "No account here is connected to {user}. If you have an account, sign in to it once to connect it; otherwise ask \
             the server's administrator for one."
        )
    } else {
        format!("No account here is connected to {user}. Ask the server's administrator for one.")
    };
    failed(server, StatusCode::FORBIDDEN, "You have no account here yet", &detail, &links)
}

/// The page for a callback that does not belong to this browser, or no longer.
pub(super) fn not_begun(server: &AuthorizationServer) -> Response {
    let links = [ProviderLink { label: "Sign in".to_owned(), href: "/login".to_owned() }];
    failed(
        server,
        StatusCode::BAD_REQUEST,
        "This sign-in is not known",
        "It was started in another browser, is already finished, or took more than ten minutes. Start again.",
        &links,
    )
}

/// The page for a sign-in that the user cancelled, or that the provider refused with this code.
pub(super) fn at_provider(
    server: &AuthorizationServer,
    provider: &Provider,
    code: &str,
    return_to: Option<&ReturnTo>,
) -> Response {
    let label = provider.label();
    let links = links(server, provider, return_to, true);
    if code == "access_denied" {
        let detail =
            format!("You, or a rule at {label}, did not allow this server to see who you are. Start again.");
        return failed(server, StatusCode::FORBIDDEN, "The sign-in was cancelled", &detail, &links);
    }
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let code = if code.len() <= 64 && code.bytes().all(is_code) { code } else { "unknown error" };
    tracing::warn!(provider = provider.name(), code, "the provider refused a sign-in");
    let detail = format!("{label} reported \"{code}\". Start again, or ask the server's administrator.");
    failed(server, StatusCode::BAD_GATEWAY, &format!("{label} refused the sign-in"), &detail, &links)
}

/// The ways to continue: again with the provider, or another way.
fn links(
    server: &AuthorizationServer,
    provider: &Provider,
    return_to: Option<&ReturnTo>,
    another_account: bool,
) -> Vec<ProviderLink> {
    let label = if another_account {
        format!("Use another {} account", provider.label())
    } else {
        format!("Try {} again", provider.label())
    };
    let mut links = vec![ProviderLink { label, href: path_of(provider.name(), return_to, another_account) }];
    if server.config.passwords || server.outside.providers.len() > 1 {
        let href = match return_to {
            Some(page) => format!("/login?return_to={}", encode(&page.to_string())),
            None => "/login".to_owned(),
        };
        links.push(ProviderLink { label: "Sign in another way".to_owned(), href });
    }
    links
}

pub(super) fn failed(
    server: &AuthorizationServer,
    status: StatusCode,
    title: &str,
    detail: &str,
    links: &[ProviderLink],
) -> Response {
    sign_in_failed_page(status, &server.config, title, detail, links)
}
