//! Trust rules: whose OpenID Connect tokens are exchanged for ours (RFC 8693), so that CI needs no key.

use std::collections::BTreeMap;
use std::time::Duration;

use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::flyteauth as wire;
use serde::Serialize;

use crate::access::{Access, seconds, time};
use crate::client::Transport;
use crate::error::ClientError;

/// A rule: tokens of an issuer, for an audience, whose claims match, may do this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// Its name.
    pub name: String,
    /// `iss` of the tokens, exactly.
    pub issuer: String,
    /// `aud` that the tokens must have, exactly.
    pub audience: String,
    /// Claims that the tokens must have. In a pattern, `*` stands for any characters but `/`, and `**` for any.
    pub claims: BTreeMap<String, String>,
    /// What the holder may do.
    pub access: Access,
    /// How long the tokens that the server gives live, in seconds; `None` for the server's default.
    pub token_lifetime: Option<i64>,
    /// Where the issuer's keys are; empty where its discovery document tells.
    pub jwks_uri: String,
    /// Who made it.
    pub created_by: String,
    /// E-mail address of the person who made it; empty where none is known.
    pub created_by_email: String,
    /// Name of who made it; empty where none is known.
    pub created_by_name: String,
    /// When it was made, Unix time in seconds.
    pub created_at: Option<i64>,
    /// When it last gave a token, Unix time in seconds, exact to a minute; `None` where it never did.
    pub last_used_at: Option<i64>,
}

/// A rule to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTrust {
    /// Its name.
    pub name: String,
    /// `iss` of the tokens, exactly.
    pub issuer: String,
    /// `aud` that the tokens must have, exactly.
    pub audience: String,
    /// Patterns of claims that the tokens must have.
    pub claims: BTreeMap<String, String>,
    /// What the holder may do.
    pub access: Access,
    /// How long the tokens that the server gives live, in whole seconds; `None` for the server's default.
    pub token_lifetime: Option<Duration>,
    /// Where the issuer's keys are; empty where its discovery document tells.
    pub jwks_uri: String,
}

/// Calls of `flyteauth.TrustService`.
#[derive(Clone)]
pub struct Trusts<T> {
    service: wire::TrustServiceClient<T>,
    endpoint: Endpoint,
}

impl<T: Transport> Trusts<T> {
    pub(crate) fn new(service: wire::TrustServiceClient<T>, endpoint: Endpoint) -> Self {
        Self { service, endpoint }
    }

    /// Creates a rule and returns it as the server has it.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] where its name is taken, [`ClientError::InvalidArgument`] where the server takes
    /// it for no rule.
    pub async fn create(&self, new: NewTrust) -> Result<Trust, ClientError> {
        let trust = wire::Trust {
            name: new.name,
            issuer: new.issuer,
            audience: new.audience,
            claims: new.claims.into_iter().collect(),
            access: wire::Access::from(new.access).into(),
            token_lifetime: new.token_lifetime.map_or(0, seconds),
            jwks_uri: new.jwks_uri,
            ..Default::default()
        };
        let request = wire::CreateTrustRequest { trust: trust.into(), ..Default::default() };
        let answer = self.service.create_trust(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().trust.into_option())
    }

    /// One rule.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none of that name.
    pub async fn get(&self, name: &str) -> Result<Trust, ClientError> {
        let request = wire::GetTrustRequest { name: name.to_owned(), ..Default::default() };
        let answer = self.service.get_trust(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().trust.into_option())
    }

    /// All rules, by name. A server has few of them: they come in one answer.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn list(&self) -> Result<Vec<Trust>, ClientError> {
        let answer = self.service.list_trusts(wire::ListTrustsRequest::default()).await;
        let answer = answer.map_err(|error| self.error(error))?.into_owned();
        Ok(answer.trusts.into_iter().map(Trust::from).collect())
    }

    /// Deletes a rule. It gives no more tokens, and those that it gave work no longer.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none of that name.
    pub async fn delete(&self, name: &str) -> Result<(), ClientError> {
        let request = wire::DeleteTrustRequest { name: name.to_owned(), ..Default::default() };
        self.service.delete_trust(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

fn answered(trust: Option<wire::Trust>) -> Result<Trust, ClientError> {
    trust.map(Trust::from).ok_or_else(|| ClientError::Server {
        code: "internal",
        message: "the server answered without the rule".to_owned(),
    })
}

impl From<wire::Trust> for Trust {
    fn from(message: wire::Trust) -> Self {
        Self {
            name: message.name,
            issuer: message.issuer,
            audience: message.audience,
            claims: message.claims.into_iter().collect(),
            access: message.access.into_option().unwrap_or_default().into(),
            token_lifetime: time(message.token_lifetime),
            jwks_uri: message.jwks_uri,
            created_by: message.created_by,
            created_by_email: message.created_by_email,
            created_by_name: message.created_by_name,
            created_at: time(message.created_at),
            last_used_at: time(message.last_used_at),
        }
    }
}

#[cfg(test)]
mod tests;
