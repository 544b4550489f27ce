//! What a provider says about a user who has just signed in there.

use serde_json::{Map, Value};

use crate::{Groups, VerifiedEmail};
use flyte_model::clock::UnixTime;

/// A user of a provider, after the sign-in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The section of the settings.
    pub provider: String,
    /// `iss`; for Entra ID, that of the tenant.
    pub issuer: String,
    /// The immutable identifier at the issuer.
    pub subject: String,
    /// The address, verified or not, for display.
    pub email: Option<String>,
    /// The address, if it is verified.
    pub verified_email: Option<VerifiedEmail>,
    /// The cleaned name.
    pub name: Option<String>,
    /// The groups.
    pub groups: Groups,
    /// The Google Workspace (`hd`) or the tenant of Entra ID (`tid`).
    pub organization: Option<String>,
    /// When the user signed in at the provider, if it says so.
    pub authenticated_at: Option<UnixTime>,
}

/// Returns a claim that names an organization, in lower case.
pub(crate) fn organization(claims: &Map<String, Value>, name: &str) -> Option<String> {
    crate::id_token::identifier(claims, name).map(str::to_lowercase)
}
