//! Client identifiers that the server uses itself: whoever looks at a token by its `client_id` (revocation, introspection,
//! another resource server) must not take somebody's API key or client for one of these.

use crate::{AnySetting as _, Default, settings};

/// The client that runs' tokens are issued to. It is in no table of clients, and never authenticates.
pub const RUN: &str = "flyte-run";

/// Whether neither an API key nor a registered client can get this identifier: it is that of runs, or the usual one of the
/// `flyte` command, also where the setting `client.id` says another one now.
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
