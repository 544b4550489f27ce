//! The discovery document of an issuer (OpenID Connect Discovery sections 3 and 4).

use serde_json::{Map, Value};
use url::Url;

use crate::{Fetcher, IssuerError};
use flyte_model::is_loopback;

/// A discovery document. It was fetched from the place that its issuer determines; its content is not trusted beyond that.
#[derive(Clone, Debug)]
pub struct Discovery {
    url: Url,
    issuer: Url,
    members: Map<String, Value>,
}

impl Discovery {
    /// Fetches the document of an issuer. The document's own `issuer` is not checked.
    ///
    /// # Errors
    /// [`IssuerError`] if it cannot be fetched or is not a JSON object.
    pub async fn fetch(fetcher: &Fetcher, issuer: &str) -> Result<Self, IssuerError> {
        // Section 4.1: a slash at the end of the issuer is left out here, but remains part of the issuer.
        let url = parse(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
        let issuer = parse(issuer)?;
        let document = fetcher.get(&url).await?;
        match serde_json::from_slice(&document) {
            Ok(members) => Ok(Self { url, issuer, members }),
            Err(_) => {
                Err(IssuerError::answer(&url, "this is not a discovery document with issuer and jwks_uri"))
            }
        }
    }

    /// Returns `issuer`, as the document has it.
    ///
    /// # Errors
    /// [`IssuerError`] if it is missing.
    pub fn issuer(&self) -> Result<&str, IssuerError> {
        self.text("issuer")
            .ok_or_else(|| self.wrong("this is not a discovery document with issuer and jwks_uri"))
    }

    /// Returns a member that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// Whether a member is `true`.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        self.members.get(name) == Some(&Value::Bool(true))
    }

    /// Returns a member that is a list of texts; `None` if there is none.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.members.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// Returns the URL in a member; `None` if there is none.
    ///
    /// # Errors
    /// [`IssuerError`] if it is not a URL that may be used: an issuer on another machine must not make the server send
    /// requests to this machine.
    pub fn endpoint(&self, name: &str) -> Result<Option<Url>, IssuerError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let url = parse(text)?;
        if is_loopback(&url) && !is_loopback(&self.issuer) {
            return Err(self.wrong(format!("its {name} points to the server's own machine")));
        }
        Ok(Some(url))
    }

    /// Creates the error for a wrong document.
    #[must_use]
    pub fn wrong(&self, reason: impl Into<String>) -> IssuerError {
        IssuerError::answer(&self.url, reason)
    }
}

pub(crate) fn parse(text: &str) -> Result<Url, IssuerError> {
    Url::parse(text).map_err(|error| IssuerError::Answer { url: text.to_owned(), reason: error.to_string() })
}
