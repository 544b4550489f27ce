//! `flyte-server user connections` and `disconnect`: the users of sign-in providers that are connected to an account.

use super::{UserError, find};
use crate::command;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::clock::{Clock, rfc3339};
use flyte_store::{LastWay, OutsideIdentity, OutsideIdentityStore as _};
use flyte_store_sqlite::SqliteStore;

/// Lists the connections.
pub(super) async fn list(store: &SqliteStore, email: &str) -> Result<String, UserError> {
    let user = find(store, email).await?;
    let identities = store.outside_identities_of(&user.id).await?;
    if identities.is_empty() {
        return Ok(format!("{} is connected to no user of a sign-in provider.\n", user.email));
    }
    Ok(table(identities, flyte_table::terminal_width()))
}

fn table(identities: Vec<OutsideIdentity>, width: Option<u16>) -> String {
    let rows = identities.into_iter().map(|identity| {
        let last = identity.last_sign_in_at.map_or_else(|| "never".to_owned(), rfc3339);
        let email = identity.email.unwrap_or_default();
        [identity.provider, email, last, identity.issuer, identity.subject]
    });
    let headings = ["PROVIDER", "E-MAIL THERE", "LAST SIGN-IN", "ISSUER", "SUBJECT"];
    flyte_table::table(headings, &["E-MAIL THERE"], rows, width)
}

/// Removes a connection. An operator may also remove the last way to sign in.
pub(super) async fn remove(
    store: &SqliteStore,
    email: &str,
    issuer: &str,
    subject: &str,
) -> Result<String, UserError> {
    let user = find(store, email).await?;
    let now = Clock::default().now();
    let ended = store.unlink_outside_identity(&user.id, issuer, subject, LastWay::MayGo, now).await?;
    let Some(ended) = ended else { return Err(UserError::NoConnection(user.email)) };
    let event = Event::new(Kind::IdentityUnlinked).object(&user.email).detail(Detail::Issuer, issuer);
    let event = event.detail(Detail::ForeignSubject, subject).detail(Detail::Families, ended.families.len());
    command::record(store, event).await?;
    Ok(format!(
        "Removed the connection of {} to {subject} at {issuer}. {} sign-ins that began with it have ended.\n",
        user.email,
        ended.sessions.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_a_table() {
        let identity = OutsideIdentity {
            issuer: "https://id.example".to_owned(),
            subject: "7".to_owned(),
            provider: "corp".to_owned(),
            user_id: "u".to_owned(),
            email: Some("ida@corp.example".to_owned()),
            linked_at: 0,
            last_sign_in_at: None,
        };
        assert_eq!(
            table(vec![identity], None),
            "PROVIDER  E-MAIL THERE      LAST SIGN-IN  ISSUER              SUBJECT\n\
             corp      ida@corp.example  never         https://id.example  7\n"
        );
    }
}
