//! The identity of a run, which its processes use.
//!
//! It is a principal of its own, [`PrincipalKind::Run`], whose tokens the server issues itself. It has no secret that
//! could be exchanged for a token. It lasts as long as the run: the transaction that ends the run revokes its family.

use flyte_access::token::{IssuedAccessToken, MachineGrant, TokenIssuer};
use flyte_keys::KeyError;
use flyte_model::{ClientId, PrincipalKind, Scope};
use flyte_store::Run;

/// The client that runs' tokens are issued to.
pub const CLIENT_ID: ClientId = flyte_settings::reserved::RUN;

/// Issues the tokens of runs.
#[derive(Clone, Debug)]
pub struct RunIdentities {
    tokens: TokenIssuer,
}

impl RunIdentities {
    /// Issues tokens with `tokens`.
    #[must_use]
    pub fn new(tokens: TokenIssuer) -> Self {
        Self { tokens }
    }

    /// Issues an access token of the run's identity.
    ///
    /// # Errors
    /// [`KeyError`] if it cannot be signed.
    pub fn issue(&self, run: &Run) -> Result<IssuedAccessToken, KeyError> {
        self.tokens.issue_to_machine(&MachineGrant {
            principal: PrincipalKind::Run,
            subject: run.id.to_string(),
            client_id: CLIENT_ID,
            scopes: [Scope::ALL].into(),
            audience: None,
            family_id: run.family_id.clone(),
            lifetime: None,
        })
    }
}
