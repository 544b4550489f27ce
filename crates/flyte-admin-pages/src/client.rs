//! Registered OAuth clients.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{
    Client, ClientServiceClient, DeleteClientRequest, GetClientRequest, ListClientsRequest,
};
use flyte_pages::{AdminView, Cell, Part};

use crate::{
    act::{Act, done, unknown},
    address,
    area::Area,
    cell::{self, visible},
    form,
    given::{Done, Given, Notice},
    group::Queried,
    refusal::Refusal,
    user::table,
    visit::{Visit, client},
};

/// The path of the area.
const CLIENTS: &str = Area::Clients.href();

/// Shows the list.
pub(crate) async fn list(visit: Visit, done: Queried<Done>) -> Result<Response, Refusal> {
    let Query(done) = done.map_err(|_| Refusal::NoPage)?;
    let request = ListClientsRequest::default();
    let clients = client!(visit, ClientServiceClient).list_clients(request).await?.into_owned().clients;
    let rows = clients.iter().map(|client| {
        vec![
            cell::link(address::of(CLIENTS, &client.client_id), &client.name),
            cell::code(&client.client_id),
            kind(client),
            Cell::Text(if client.first_party { "no" } else { "yes" }.to_owned()),
            cell::time(client.created_at),
        ]
    });
    let columns = ["Application", "Client ID", "Kind", "Asks for consent", "Registered"];
    let view = AdminView {
        heading: "Applications".to_owned(),
        lead: "Programs that act for users (OAuth clients). They are registered on the server's machine, with flyte-server client add."
            .to_owned(),
        parts: vec![table("clients", "All applications", &columns, rows.collect(), "No applications.")],
        ..AdminView::default()
    };
    Ok(visit.page(Area::Clients, &done.given(), view))
}

fn kind(client: &Client) -> Cell {
    Cell::Text(if client.is_public { "public, with PKCE" } else { "confidential" }.to_owned())
}

/// Shows the page of a client.
pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Refusal> {
    page(&visit, &id, &Given::default()).await
}

async fn page(visit: &Visit, id: &str, given: &Given) -> Result<Response, Refusal> {
    let request = GetClientRequest { client_id: id.to_owned(), ..GetClientRequest::default() };
    let found = client!(visit, ClientServiceClient).get_client(request).await?.into_owned().client;
    let client = found.into_option().ok_or(Refusal::NoPage)?;
    let here = address::of(CLIENTS, id);
    let uris = client.redirect_uris.iter().map(|uri| vec![cell::code(uri)]).collect();
    let mut parts = vec![table("uris", "Redirect URIs", &["URI"], uris, "None.")];
    if client.built_in {
        parts.push(Part {
            id: "own",
            title: "Remove",
            lead: "This is the client of the flyte command. The setting client.id defines it, so it cannot be removed here.".to_owned(),
            ..Part::default()
        });
    } else if visit.may("flyteauth.ClientService/DeleteClient") {
        let fields = vec![form::confirm(&visible(&client.client_id))];
        parts.push(Part {
            id: "delete",
            title: "Remove",
            lead:
                "Ends all tokens that the application has, and the consents of users. This cannot be undone."
                    .to_owned(),
            forms: vec![form::danger("delete-client", &here, "delete", fields, "Remove the application")],
            ..Part::default()
        });
    }
    let yes = |is: bool| Cell::Text(if is { "Yes" } else { "No" }.to_owned());
    let view = AdminView {
        kind: "Application",
        heading: visible(&client.name),
        facts: vec![
            ("Client ID", cell::code(&client.client_id)),
            ("Kind", kind(&client)),
            ("Asks for consent", yes(!client.first_party)),
            ("May keep API keys", yes(client.may_keep_api_keys)),
            ("Grant types", cell::text(&client.grant_types.join(", "))),
            ("Scopes", cell::text(&client.scopes.join(" "))),
            ("Registered", cell::time(client.created_at)),
        ],
        parts,
        ..AdminView::default()
    };
    Ok(visit.page(Area::Clients, given, view))
}

/// Removes a client.
pub(crate) async fn change(Path(id): Path<String>, act: Act) -> Result<Response, Refusal> {
    match perform(&act, &id).await {
        Ok(notice) => Ok(done(CLIENTS, notice)),
        Err(error) => page(&act.visit, &id, &act.failed(error)?).await,
    }
}

async fn perform(act: &Act, id: &str) -> Result<Notice, ConnectError> {
    if act.name() != "delete" {
        return Err(unknown());
    }
    act.confirmed(&visible(id))?;
    let request = DeleteClientRequest { client_id: id.to_owned(), ..DeleteClientRequest::default() };
    client!(act.visit, ClientServiceClient).delete_client(request).await?;
    Ok(Notice::DELETED)
}
