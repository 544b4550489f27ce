//! Client identifiers that the server uses itself. Code that reads a token's `client_id` (revocation, introspection,
//! another resource server) must not mistake an API key or a registered client for one of these.

use crate::{AnySetting as _, Default, settings};

/// The client that tokens of runs are issued to. It is not in the table of clients, and never authenticates.
pub const RUN: &str = "flyte-run";

/// Returns whether API keys and registered clients cannot have this identifier. It is the identifier of runs, or the
/// default identifier of the `flyte` command, even if the setting `client.id` has another one.
#[must_use]
pub fn is_reserved(client_id: &str) -> bool {
    let usual = match settings::CLIENT_ID.default() {
        Default::Value(id) => id,
        Default::Depends(_) => "",
    };
    client_id == RUN || client_id == usual
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_identifiers_are_reserved() {
        assert!(is_reserved("flyte-run") && is_reserved("flyte"));
        assert!(!is_reserved("flyte-runs") && !is_reserved("") && !is_reserved("ci"));
    }
}
