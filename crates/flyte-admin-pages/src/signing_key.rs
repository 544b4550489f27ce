//! The keys that sign tokens, and the drill for a key that has leaked.

use axum::{
    extract::{Query, rejection::QueryRejection},
    response::Response,
};
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{
    ListSigningKeysRequest, RevokeSigningKeysRequest, RotateSigningKeysRequest, ServerServiceClient,
    SigningKey,
};
use flyte_pages::{AdminView, Cell, Form, Part, Tone};

use crate::{
    act::{Act, done, unknown},
    area::Area,
    cell, form,
    given::{Done, Given, Notice},
    refusal::Refusal,
    user::table,
    visit::{Visit, client},
};

/// The path of the area.
const HERE: &str = Area::SigningKeys.href();
/// What the user types to confirm that all tokens end.
const WORDS: &str = "end all tokens";

/// Shows the page.
pub(crate) async fn show(
    visit: Visit,
    done: Result<Query<Done>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(done) = done.map_err(|_| Refusal::NoPage)?;
    page(&visit, &done.given()).await
}

async fn page(visit: &Visit, given: &Given) -> Result<Response, Refusal> {
    let request = ListSigningKeysRequest::default();
    let keys = client!(visit, ServerServiceClient).list_signing_keys(request).await?.into_owned().keys;
    let rows = keys.iter().map(|key| row(key, visit.now)).collect();
    let columns = ["Key (kid)", "Algorithm", "State", "Age", "In this state since"];
    let mut parts = vec![table("keys", "Keys", &columns, rows, "No keys.")];
    if visit.may("flyteauth.ServerService/RotateSigningKeys") {
        parts.push(Part {
            id: "rotate",
            title: "Rotate",
            lead: "Keys rotate by themselves. Rotate by hand if you do not want to wait, for example after a person with access to \
                   the server has left. New keys sign at once. Tokens that the old keys signed stay valid until they expire."
                .to_owned(),
            forms: vec![form::change("rotate-keys", HERE, "rotate", Vec::new(), "Rotate the keys")],
            ..Part::default()
        });
    }
    if visit.may("flyteauth.ServerService/RevokeSigningKeys") {
        parts.push(drill());
    }
    let view = AdminView {
        heading: "Signing keys".to_owned(),
        lead: "These keys sign access tokens and ID tokens. Their private parts never leave the server."
            .to_owned(),
        parts,
        ..AdminView::default()
    };
    Ok(visit.page(Area::SigningKeys, given, view))
}

/// What to do if a key has leaked, and what follows.
fn drill() -> Part {
    let before = |what: &str, then: &str| vec![Cell::Text(what.to_owned()), Cell::Text(then.to_owned())];
    let rows = vec![
        before(
            "Access tokens and ID tokens",
            "All end: at this server within a second, at others that verify them within 5 minutes.",
        ),
        before("Command-line logins", "Continue: the next command gets a new token without a sign-in."),
        before("API keys", "Continue: programs get a new token by themselves."),
        before("Browser sessions", "Continue, this one too."),
        before(
            "Running tasks",
            "Lose their token: runs that are in progress can fail, and have to be started again.",
        ),
    ];
    let fields = vec![form::confirm(WORDS)];
    let drill = Form {
        lead: "The act is recorded in the audit log.".to_owned(),
        ..form::danger("revoke-keys", HERE, "revoke", fields, "Replace all keys and end all tokens")
    };
    Part {
        forms: vec![drill],
        lead: "With a private key, a thief can make tokens for every user. Replace all keys at once if one may have leaked. What \
               follows:"
            .to_owned(),
        ..table("drill", "If a key has leaked", &["What", "Then"], rows, "")
    }
}

fn row(key: &SigningKey, now: i64) -> Vec<Cell> {
    let state = match key.state.as_str() {
        "active" => cell::state("signs", Tone::Good),
        "published" => cell::state("signs next", Tone::Busy),
        _ => cell::state("retired", Tone::Quiet),
    };
    vec![
        cell::code(&key.id),
        cell::code(&key.algorithm),
        state,
        Cell::Text(age(now.saturating_sub(key.created_at))),
        cell::time(key.state_since),
    ]
}

/// An age in the largest unit that fits.
fn age(seconds: i64) -> String {
    let (count, unit) = match seconds.max(0) {
        seconds @ 0..60 => (seconds, "second"),
        seconds @ 60..3600 => (seconds / 60, "minute"),
        seconds @ 3600..86_400 => (seconds / 3600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Rotates or replaces the keys.
pub(crate) async fn change(act: Act) -> Result<Response, Refusal> {
    match perform(&act).await {
        Ok(notice) => Ok(done(HERE, notice)),
        Err(error) => page(&act.visit, &act.failed(error)?).await,
    }
}

async fn perform(act: &Act) -> Result<Notice, ConnectError> {
    let server = client!(act.visit, ServerServiceClient);
    match act.name() {
        "rotate" => {
            server.rotate_signing_keys(RotateSigningKeysRequest::default()).await?;
            Ok(Notice::ROTATED)
        }
        "revoke" => {
            act.confirmed(WORDS)?;
            server.revoke_signing_keys(RevokeSigningKeysRequest::default()).await?;
            Ok(Notice::REVOKED)
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let ages = [0, 1, 61, 7200, 86_400, 30 * 86_400, -5].map(age);
        assert_eq!(ages, ["0 seconds", "1 second", "1 minute", "2 hours", "1 day", "30 days", "0 seconds"]);
    }
}
