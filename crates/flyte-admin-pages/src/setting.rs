//! The settings that are in effect, with their sources.

use axum::response::Response;
use flyte_idl::flyteauth::{ListServerSettingsRequest, ServerServiceClient, ServerSetting};
use flyte_pages::{AdminView, Cell, Part};

use crate::{
    area::Area,
    cell,
    given::Given,
    refusal::Refusal,
    user::table,
    visit::{Visit, client},
};

/// The headings of the table.
const COLUMNS: [&str; 4] = ["Setting", "Value", "From", "What it does"];

/// Shows the page.
pub(crate) async fn show(visit: Visit) -> Result<Response, Refusal> {
    let request = ListServerSettingsRequest::default();
    let answer = client!(visit, ServerServiceClient).list_server_settings(request).await?.into_owned();
    let (set, defaults): (Vec<_>, Vec<_>) =
        answer.settings.iter().partition(|setting| setting.source != "default");
    let rows = |settings: Vec<&ServerSetting>| settings.into_iter().map(row).collect();
    let none = "All settings have their defaults.";
    let parts: Vec<Part> = vec![
        table("set", "Set", &COLUMNS, rows(set), none),
        table("defaults", "Defaults", &COLUMNS, rows(defaults), "No setting has its default."),
    ];
    let view = AdminView {
        heading: "Settings".to_owned(),
        lead: "They are read when the server starts, from its file, environment and command line, and cannot be changed here. \
               Secrets are in files of their own, which are named here and never shown."
            .to_owned(),
        parts,
        ..AdminView::default()
    };
    Ok(visit.page(Area::Settings, &Given::default(), view))
}

fn row(setting: &ServerSetting) -> Vec<Cell> {
    let name = match setting.section.as_str() {
        "" => setting.key.clone(),
        section => format!("{section}.{}", setting.key),
    };
    // The first sentence is the summary.
    let help = setting.help.split_inclusive(". ").next().unwrap_or_default();
    vec![
        cell::code(&name),
        cell::code(&setting.value),
        cell::text(&setting.source),
        cell::text(help.trim_end()),
    ]
}
