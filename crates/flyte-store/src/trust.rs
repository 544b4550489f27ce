//! Trust rules: whose tokens are exchanged for ours (RFC 8693).

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use flyte_model::Rights;
use flyte_model::clock::UnixTime;

/// A rule: tokens of an issuer, for an audience, whose claims match, may do this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRule {
    /// Its name, unique among the rules.
    pub name: String,
    /// `iss` of the tokens, exactly.
    pub issuer: String,
    /// `aud` that the tokens have, exactly.
    pub audience: String,
    /// Claims that the tokens have, and the pattern that each matches (`trust::Pattern`).
    pub claims: BTreeMap<String, String>,
    /// Where the issuer's keys are; `None` where its discovery document tells.
    pub jwks_uri: Option<String>,
    /// What the holder may do.
    pub rights: Rights,
    /// How long our tokens live, in seconds; `None` for as long as the server's others.
    pub token_lifetime: Option<i64>,
    /// Subject of who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it last gave a token, exact to a minute.
    pub last_used_at: Option<UnixTime>,
    /// The family of all tokens that it gave, a UUID; revoked when the rule is deleted.
    pub family_id: String,
}

/// Storage of [`TrustRule`]s.
#[async_trait]
pub trait TrustStore: Send + Sync + 'static {
    /// Adds a rule.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] where its name is taken.
    async fn create_trust_rule(&self, rule: &TrustRule) -> Result<(), StoreError>;
    /// The rule with this name.
    async fn trust_rule_by_name(&self, name: &str) -> Result<Option<TrustRule>, StoreError>;
    /// The rule whose tokens are of this family.
    async fn trust_rule_by_family(&self, family_id: &str) -> Result<Option<TrustRule>, StoreError>;
    /// The rules for tokens of this issuer, by name.
    async fn trust_rules_of_issuer(&self, issuer: &str) -> Result<Vec<TrustRule>, StoreError>;
    /// All rules, by name.
    async fn list_trust_rules(&self) -> Result<Vec<TrustRule>, StoreError>;
    /// Deletes a rule and revokes the family of its tokens; returns the family, `None` where there is no such rule.
    async fn delete_trust_rule(&self, name: &str, now: UnixTime) -> Result<Option<String>, StoreError>;
    /// Notes when rules, by their families, last gave a token; a time before the one that is known is ignored, as is a rule
    /// that is gone.
    async fn note_trust_rules_used(&self, used: &[(String, UnixTime)]) -> Result<(), StoreError>;
}
