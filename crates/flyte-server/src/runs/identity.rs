//! The identity of a run: what its processes act under.
//!
//! It is a principal of its own, [`PrincipalKind::Run`], whose tokens the server mints itself: there is no secret that could
//! be presented for one. It lasts as long as the run; ending the run revokes its family in the same transaction.

use crate::app::App;
use flyte_access::token::{IssuedAccessToken, MachineGrant};
use flyte_keys::KeyError;
use flyte_model::{PrincipalKind, scope};
use flyte_store::Run;

/// The client that runs' tokens are issued to.
pub const CLIENT_ID: &str = flyte_settings::reserved::RUN;

/// A new access token of the run's identity.
///
/// # Errors
/// [`KeyError`] where it cannot be signed.
pub fn issue(app: &App, run: &Run) -> Result<IssuedAccessToken, KeyError> {
    app.access.tokens().issue_to_machine(&MachineGrant {
        principal: PrincipalKind::Run,
        subject: run.id.to_string(),
        client_id: CLIENT_ID.to_owned(),
        scopes: vec![scope::ALL.to_owned()],
        audience: None,
        family_id: run.family_id.clone(),
        lifetime: None,
    })
}
