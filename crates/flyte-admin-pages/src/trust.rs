//! Trust rules: which jobs of CI systems may act, and as what.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use buffa::MessageField;
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{
    Access, CreateTrustRequest, DeleteTrustRequest, GetTrustRequest, ListTrustsRequest, Trust,
    TrustServiceClient,
};
use flyte_pages::{AdminView, Cell, Field, Form, FormKind, Input, Link, Part};

use crate::{
    act::{Act, done, unknown},
    address,
    area::Area,
    cell::{self, visible},
    form,
    given::{Done, Given, Notice, Typed},
    group::Queried,
    place,
    refusal::Refusal,
    user::table,
    visit::{Visit, client},
};

/// The path of the area.
const TRUST: &str = Area::Trust.href();

/// Shows the list.
pub(crate) async fn list(visit: Visit, done: Queried<Done>) -> Result<Response, Refusal> {
    let Query(done) = done.map_err(|_| Refusal::NoPage)?;
    let request = ListTrustsRequest::default();
    let rules = client!(visit, TrustServiceClient).list_trusts(request).await?.into_owned().trusts;
    let rows = rules.iter().map(|rule| {
        vec![
            cell::link(address::of(TRUST, &rule.name), &rule.name),
            cell::code(&rule.issuer),
            cell::text(&rule.access.role),
            Cell::Text(place::words(&rule.access.project, &rule.access.domain)),
            creator(rule),
            cell::time(rule.last_used_at),
        ]
    });
    let columns = ["Trust rule", "Issuer", "Role", "Where", "Made by", "Last used"];
    let none = "No trust rules: only users, API keys and runs of this server are let in.";
    let open = visit
        .may("flyteauth.TrustService/CreateTrust")
        .then(|| Link { href: format!("{TRUST}/new"), text: "New trust rule".to_owned() });
    let view = AdminView {
        heading: "Trust rules".to_owned(),
        lead: "A job of a CI system exchanges its own OpenID Connect token for one of this server if a rule matches it.".to_owned(),
        open,
        parts: vec![table("rules", "All trust rules", &columns, rows.collect(), none)],
        ..AdminView::default()
    };
    Ok(visit.page(Area::Trust, &done.given(), view))
}

fn creator(rule: &Trust) -> Cell {
    match rule.created_by_email.as_str() {
        "" => {
            cell::text(if rule.created_by_name.is_empty() { &rule.created_by } else { &rule.created_by_name })
        }
        email => cell::link(address::of(Area::Users.href(), &rule.created_by), &cell::address(email)),
    }
}

/// Shows the form of a new rule.
pub(crate) async fn new(visit: Visit) -> Result<Response, Refusal> {
    new_page(&visit, &Given::default())
}

fn new_page(visit: &Visit, given: &Given) -> Result<Response, Refusal> {
    if !visit.may("flyteauth.TrustService/CreateTrust") {
        return Err(ConnectError::permission_denied("creating a trust rule").into());
    }
    let value = |name: &str| given.value("create", name, "");
    let hinted = |field: Field, hint: &str| Field { hint: hint.to_owned(), ..field };
    let roles = form::pairs(&[("viewer", "viewer"), ("contributor", "contributor"), ("admin", "admin")]);
    let claims = Field {
        name: "claims",
        label: "Claims",
        hint:
            "One a line, as name=pattern. In a pattern, * matches any characters but /, and ** matches any. \
               For example: repository=acme/ml"
                .to_owned(),
        required: false,
        input: Input::Lines(value("claims")),
    };
    let fields = vec![
        form::required("name", "Name", value("name")),
        hinted(
            form::required("issuer", "Issuer", value("issuer")),
            "The claim iss of the tokens, exactly. For example: https://token.actions.githubusercontent.com",
        ),
        hinted(
            form::required("audience", "Audience", value("audience")),
            "The claim aud of the tokens, exactly.",
        ),
        claims,
        form::select("role", "Role", &roles, &value("role")),
        hinted(form::text("project", "Project", value("project")), "Empty for all projects."),
        hinted(form::text("domain", "Domain", value("domain")), "Empty for all domains."),
        hinted(
            form::text("jwks_uri", "Address of the keys", value("jwks_uri")),
            "Only for an issuer without a discovery document.",
        ),
    ];
    let form = Form {
        kind: FormKind::Create,
        ..form::change("create", "/admin/trust/new", "create", fields, "Create the trust rule")
    };
    let part = Part { id: "new", forms: vec![form], ..Part::default() };
    let view = AdminView { heading: "New trust rule".to_owned(), parts: vec![part], ..AdminView::default() };
    Ok(visit.page(Area::Trust, given, view))
}

/// The rule that a form describes.
fn rule(typed: &Typed) -> Result<Trust, ConnectError> {
    let mut rule = Trust {
        name: typed.owned("name"),
        issuer: typed.owned("issuer"),
        audience: typed.owned("audience"),
        jwks_uri: typed.owned("jwks_uri"),
        access: MessageField::some(Access {
            role: typed.owned("role"),
            project: typed.owned("project"),
            domain: typed.owned("domain"),
            ..Access::default()
        }),
        ..Trust::default()
    };
    for line in typed.text("claims").lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, pattern) = line.split_once('=').ok_or_else(|| {
            ConnectError::invalid_argument(format!("claims has a line without =: {:?}", visible(line)))
        })?;
        if rule.claims.insert(name.trim().to_owned(), pattern.trim().to_owned()).is_some() {
            let name = visible(name.trim());
            return Err(ConnectError::invalid_argument(format!("claims has {name:?} twice")));
        }
    }
    Ok(rule)
}

/// Creates a rule.
pub(crate) async fn create(act: Act) -> Result<Response, Refusal> {
    let outcome = async {
        let rule = rule(&act.typed)?;
        let name = rule.name.clone();
        let request = CreateTrustRequest { trust: MessageField::some(rule), ..CreateTrustRequest::default() };
        client!(act.visit, TrustServiceClient).create_trust(request).await?;
        Ok(name)
    };
    match outcome.await {
        Ok(name) => Ok(done(&address::of(TRUST, &name), Notice::CREATED)),
        Err(error) => new_page(&act.visit, &act.failed(error)?),
    }
}

/// Shows the page of a rule.
pub(crate) async fn show(
    visit: Visit,
    Path(name): Path<String>,
    done: Queried<Done>,
) -> Result<Response, Refusal> {
    let Query(done) = done.map_err(|_| Refusal::NoPage)?;
    one(&visit, &name, &done.given()).await
}

async fn one(visit: &Visit, name: &str, given: &Given) -> Result<Response, Refusal> {
    let request = GetTrustRequest { name: name.to_owned(), ..GetTrustRequest::default() };
    let found = client!(visit, TrustServiceClient).get_trust(request).await?.into_owned().trust;
    let rule = found.into_option().ok_or(Refusal::NoPage)?;
    let here = address::of(TRUST, name);
    let mut claims: Vec<_> = rule.claims.iter().collect();
    claims.sort();
    let claims = claims.into_iter().map(|(name, pattern)| vec![cell::code(name), cell::code(pattern)]);
    let none = "Every token of the issuer for this audience is let in.";
    let mut parts = vec![table("claims", "Claims", &["Claim", "Pattern"], claims.collect(), none)];
    if visit.may("flyteauth.TrustService/DeleteTrust") {
        let fields = vec![form::confirm(&visible(name))];
        parts.push(Part {
            id: "delete",
            title: "Delete",
            lead: "Jobs get no more tokens by this rule, and the tokens that they have are refused. This cannot be undone."
                .to_owned(),
            forms: vec![form::danger("delete-rule", &here, "delete", fields, "Delete the trust rule")],
            ..Part::default()
        });
    }
    let view = AdminView {
        kind: "Trust rule",
        heading: visible(&rule.name),
        facts: vec![
            ("Issuer", cell::code(&rule.issuer)),
            ("Audience", cell::code(&rule.audience)),
            ("Role", cell::text(&rule.access.role)),
            ("Where", Cell::Text(place::words(&rule.access.project, &rule.access.domain))),
            ("Scopes", cell::text(&rule.access.scopes.join(" "))),
            ("Address of the keys", cell::code(&rule.jwks_uri)),
            ("Made by", creator(&rule)),
            ("Created", cell::time(rule.created_at)),
            ("Last used", cell::time(rule.last_used_at)),
        ],
        parts,
        ..AdminView::default()
    };
    Ok(visit.page(Area::Trust, given, view))
}

/// Deletes a rule.
pub(crate) async fn change(Path(name): Path<String>, act: Act) -> Result<Response, Refusal> {
    match perform(&act, &name).await {
        Ok(notice) => Ok(done(TRUST, notice)),
        Err(error) => one(&act.visit, &name, &act.failed(error)?).await,
    }
}

async fn perform(act: &Act, name: &str) -> Result<Notice, ConnectError> {
    if act.name() != "delete" {
        return Err(unknown());
    }
    act.confirmed(&visible(name))?;
    let request = DeleteTrustRequest { name: name.to_owned(), ..DeleteTrustRequest::default() };
    client!(act.visit, TrustServiceClient).delete_trust(request).await?;
    Ok(Notice::DELETED)
}
