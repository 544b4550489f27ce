//! The outside providers and their state.

use axum::response::Response;
use flyte_idl::flyteauth::{ListProvidersRequest, Provider, ServerServiceClient};
use flyte_pages::{AdminView, Cell, Tone};

use crate::{
    area::Area,
    cell::{self, visible},
    given::Given,
    refusal::Refusal,
    user::table,
    visit::{Visit, client},
};

/// The most identifiers of keys in a row.
const MOST_KEYS: usize = 6;

/// Shows the page.
pub(crate) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let request = ListProvidersRequest::default();
    let answer = client!(visit, ServerServiceClient).list_providers(request).await?.into_owned();
    let rows = answer.providers.iter().map(row).collect();
    let columns = ["Provider", "Section", "State", "Issuer", "Client ID", "Signing keys"];
    let none = "Users sign in with passwords of this server only. A section [providers.NAME] of the settings adds a provider.";
    let view = AdminView {
        heading: "Providers".to_owned(),
        lead: "Users sign in through these OpenID providers. They are defined in the settings.".to_owned(),
        parts: vec![table("providers", "All providers", &columns, rows, none)],
        ..AdminView::default()
    };
    Ok(visit.page(Area::Providers, &Given::default(), view))
}

fn row(provider: &Provider) -> Vec<Cell> {
    let state = match provider.reachable {
        true => cell::state("reachable", Tone::Good),
        false => Cell::Text(format!("Not reachable: {}", visible(&provider.error))),
    };
    let keys = match (provider.reachable, provider.key_count) {
        (false, _) => Cell::Empty,
        (true, 0) => Cell::Text("none: it signs nothing".to_owned()),
        (true, count) => {
            let ids: Vec<_> = provider.key_ids.iter().take(MOST_KEYS).map(|id| visible(id)).collect();
            Cell::Text(format!("{count}: {}", ids.join(", ")))
        }
    };
    vec![
        cell::text(&provider.label),
        cell::code(&provider.name),
        state,
        cell::code(&provider.issuer),
        cell::code(&provider.client_id),
        keys,
    ]
}
