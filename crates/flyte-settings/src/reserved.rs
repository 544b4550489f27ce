//! Client identifiers that the server uses itself. Code that reads a token's `client_id` (revocation, introspection,
//! another resource server) must not mistake an API key or a registered client for one of these.

use flyte_model::ClientId;

use crate::{AnySetting as _, Default, settings};

/// The client that tokens of runs are issued to. It is not in the table of clients, and never authenticates.
pub const RUN: ClientId = ClientId::from_static("flyte-run");

/// The client of callers who are signed in to a browser and call from a page of this server, without a token.
pub const CONSOLE: ClientId = ClientId::from_static("flyte-console");

/// The client of users who change something on the pages for administrators.
pub const ADMIN_PAGES: ClientId = ClientId::from_static("flyte-admin-pages");

/// The client of users who change something on the pages of their own account.
pub const ACCOUNT: ClientId = ClientId::from_static("flyte-account");

/// Returns whether API keys and registered clients cannot have this identifier. It is the identifier of runs or of pages of this
/// server, or the default identifier of the `flyte` command, even if the setting `client.id` has another one.
#[must_use]
pub fn is_reserved(client_id: &ClientId) -> bool {
    let usual = match settings::CLIENT_ID.default() {
        Default::Value(id) => id,
        Default::Depends(_) => "",
    };
    [RUN, CONSOLE, ACCOUNT, ADMIN_PAGES].contains(client_id) || *client_id == usual
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_identifiers_are_reserved() {
        for (id, reserved) in [
            ("flyte-run", true),
            ("flyte-console", true),
            ("flyte-account", true),
            ("flyte-admin-pages", true),
            ("flyte", true),
            ("flyte-runs", false),
            ("ci", false),
        ] {
            assert_eq!(is_reserved(&id.parse().unwrap()), reserved, "{id}");
        }
    }
}
