//! `GET /account`: the list of the sections.

use axum::response::Response;
use flyte_pages::account::{Entry, index_page};

use crate::{refusal::Refusal, visit::Visit};

/// The sections, in the order of the page. Each has a page of its own, here or in another crate.
const SECTIONS: &[Entry] = &[
    entry("/account/profile", "Name and e-mail address", "How others see you, and what you sign in with"),
    entry("/account/password", "Password", "Change it, and sign out everywhere else"),
    entry(
        "/account/connections",
        "Connected accounts",
        "The accounts at providers with which you can sign in",
    ),
    entry("/account/sessions", "Browsers, terminals and devices", "What is signed in, where, and since when"),
    entry("/account/keys", "API keys", "The keys that you created for machines, and when they expire"),
    entry("/account/applications", "Applications", "The programs of others that may use your account"),
    entry("/account/activity", "Activity", "What happened in your name: sign-ins, changes, refused calls"),
];

const fn entry(href: &'static str, title: &'static str, what: &'static str) -> Entry {
    Entry { href, title, what }
}

/// Shows the page.
pub(crate) async fn show(visit: Visit) -> Result<Response, Refusal> {
    Ok(index_page(&visit.headers, &visit.frame(), SECTIONS))
}
