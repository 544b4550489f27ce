//! `GET /account`: the list of the sections.

use axum::response::Response;
use flyte_pages::account::{Entry, index_page};

use crate::{refusal::Refusal, visit::Visit};

/// The sections, in the order of the page. Each has a page of its own, here or in another crate.
const SECTIONS: &[Entry] = &[
    entry(
        "/account/profile",
        "Name and e-mail address",
        "How others see you, and the address that you sign in with",
    ),
    entry("/account/password", "Password", "Change it, and sign out everywhere else"),
    entry(
        "/account/connections",
        "Connected accounts",
        "The accounts at other providers with which you can sign in",
    ),
    entry(
        "/account/sessions",
        "Browsers, terminals and devices",
        "What you are signed in with, where, and since when",
    ),
    entry(
        "/account/applications",
        "Applications",
        "The programs of others that you allowed to use your account",
    ),
];

const fn entry(href: &'static str, title: &'static str, what: &'static str) -> Entry {
    Entry { href, title, what }
}

/// Shows the page.
pub(crate) async fn show(visit: Visit) -> Result<Response, Refusal> {
    Ok(index_page(&visit.headers, &visit.frame(), SECTIONS))
}
