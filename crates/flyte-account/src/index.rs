//! `GET /account`: the list of the sections.

use axum::response::Response;
use flyte_pages::account::{Entry, index_page};

use crate::{refusal::Refusal, visit::Visit};

/// The sections, in the order of the page. Each has a page of its own, here or in another crate.
const SECTIONS: &[Entry] = &[Entry {
    href: "/account/profile",
    title: "Name and e-mail address",
    what: "How you are shown to others, and the address that you sign in with",
}];

/// Shows the page.
pub(crate) async fn show(visit: Visit) -> Result<Response, Refusal> {
    Ok(index_page(&visit.headers, &visit.frame(), SECTIONS))
}
