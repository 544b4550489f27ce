//! The well-known documents of authorization servers: RFC 8414 and OpenID Connect Discovery.

use std::{collections::BTreeMap, time::Duration};

use flyte_config::Endpoint;
use reqwest::{StatusCode, header};
use url::Url;

use super::{
    AUTHORIZATION_ENDPOINT, DEFAULT_SCOPES, DEVICE_ENDPOINT, MAX_DOCUMENT_BYTES, Provider,
    REVOCATION_ENDPOINT, TOKEN_ENDPOINT, default_redirect_uri, discovery_error, leave_out,
};
use crate::{
    AuthError,
    answer::{Members, is_same},
    http::{Http, read},
    oauth::Scope,
};

/// The endpoints that have their own fields.
const USED: [&str; 4] = [AUTHORIZATION_ENDPOINT, TOKEN_ENDPOINT, DEVICE_ENDPOINT, REVOCATION_ENDPOINT];

/// Provider metadata, which both documents share (RFC 8414 section 2). It holds only the members that are used. Members that cannot
/// be used are left out.
#[derive(Debug)]
pub(super) struct WellKnown {
    pub(super) issuer: String,
    authorization_endpoint: Option<Url>,
    token_endpoint: Option<Url>,
    device_authorization_endpoint: Option<Url>,
    pub(super) revocation_endpoint: Option<Url>,
    scopes: Vec<String>,
    client_authentication: Vec<String>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 section 3).
    pub(super) answers_with_issuer: bool,
    pub(super) others: BTreeMap<String, Url>,
    unusable: BTreeMap<String, String>,
}

impl WellKnown {
    fn read(answer: &Members) -> Self {
        let mut unusable = BTreeMap::new();
        let mut url = |member: &'static str| match answer.url(&[member]) {
            Ok(url) => url,
            Err(error) => {
                leave_out(&mut unusable, member, error.found);
                None
            }
        };
        Self {
            authorization_endpoint: url(AUTHORIZATION_ENDPOINT),
            token_endpoint: url(TOKEN_ENDPOINT),
            device_authorization_endpoint: url(DEVICE_ENDPOINT),
            revocation_endpoint: url(REVOCATION_ENDPOINT),
            issuer: answer.text(&["issuer"]).ok().flatten().unwrap_or_default(),
            scopes: answer.list(&["scopes_supported"]),
            client_authentication: answer.list(&["token_endpoint_auth_methods_supported"]),
            answers_with_issuer: answer
                .flag(&["authorization_response_iss_parameter_supported"])
                .ok()
                .flatten()
                .unwrap_or_default(),
            others: answer
                .endpoints()
                .filter(|(name, _)| {
                    !USED.iter().any(|used| used.replace('_', "") == name.replace('_', "").to_lowercase())
                })
                // A document with both spellings of a member means that of RFC 8414.
                .filter(|(name, _)| {
                    name.contains('_')
                        || !answer.endpoints().any(|(other, _)| other.contains('_') && is_same(other, name))
                })
                .map(|(name, url)| (name.to_owned(), url))
                .collect(),
            unusable,
        }
    }

    /// The provider that the document describes.
    pub(super) fn provider(self, endpoint: &Endpoint) -> Result<Provider, AuthError> {
        // The issuer may differ from the endpoint, because a control plane may serve the document of an external provider. Trust
        // comes from the configured endpoint, which is reached over TLS.
        let supported = self.scopes;
        Ok(Provider {
            issuer: self.issuer,
            authorization_endpoint: self.authorization_endpoint,
            token_endpoint: self
                .token_endpoint
                .ok_or_else(|| discovery_error(endpoint, "its well-known document has no token_endpoint"))?,
            device_authorization_endpoint: self.device_authorization_endpoint,
            revocation_endpoint: self.revocation_endpoint,
            client_id: None,
            redirect_uri: default_redirect_uri(endpoint)?,
            scopes: Scope::parse_list(DEFAULT_SCOPES)
                .into_iter()
                .filter(|scope| supported.is_empty() || supported.iter().any(|known| known == scope.as_str()))
                .collect(),
            audience: None,
            header: header::AUTHORIZATION.to_string(),
            answers_with_issuer: self.answers_with_issuer,
            flyte: false,
            client_authentication: self.client_authentication,
            others: self.others,
            unusable: self.unusable,
        })
    }
}

/// Finds the first document. If `needs_token_endpoint`, documents without a token endpoint are skipped.
///
/// # Errors
/// What is wrong with the first document that cannot be used; `None` if there is no document.
pub(super) async fn find(
    http: &Http,
    issuer: &Url,
    needs_token_endpoint: bool,
) -> Result<WellKnown, Option<String>> {
    let mut problem = None;
    for url in addresses(issuer) {
        match fetch(http, url.clone()).await {
            Ok(None) => {}
            Ok(Some(document)) if document.token_endpoint.is_some() || !needs_token_endpoint => {
                return Ok(document);
            }
            Ok(Some(document)) => {
                if let Some(found) = document.unusable.get(TOKEN_ENDPOINT) {
                    problem.get_or_insert(format!("the token_endpoint in {url} is {found}"));
                }
            }
            Err(reason) => {
                problem.get_or_insert(format!("{url} cannot be used: {reason}"));
            }
        }
    }
    Err(problem)
}

/// The possible addresses of an issuer's document.
fn addresses(issuer: &Url) -> Vec<Url> {
    const OAUTH: &str = ".well-known/oauth-authorization-server";
    let path = issuer.path().trim_end_matches('/');
    // RFC 8414 appends the issuer's path to the well-known part. OpenID Connect Discovery prepends it, and some servers do so for
    // both documents.
    let mut paths = vec![format!("/{OAUTH}{path}"), format!("{path}/.well-known/openid-configuration")];
    if !path.is_empty() {
        paths.push(format!("{path}/{OAUTH}"));
    }
    let at = |path: &String| {
        let mut url = issuer.clone();
        url.set_path(path);
        url.set_query(None);
        url
    };
    paths.iter().map(at).collect()
}

/// Fetches a document; `None` if there is none.
///
/// # Errors
/// Why the answer is not a document.
async fn fetch(http: &Http, url: Url) -> Result<Option<WellKnown>, String> {
    let request = http.get(url).map_err(|error| error.to_string())?;
    let request = request.header(header::ACCEPT, "application/json").timeout(Duration::from_secs(30));
    let Ok(response) = request.send().await else { return Ok(None) };
    if response.status() != StatusCode::OK {
        return Ok(None);
    }
    let Ok(body) = read(response, MAX_DOCUMENT_BYTES).await else { return Ok(None) };
    let body = body.ok_or_else(|| format!("it is longer than {MAX_DOCUMENT_BYTES} bytes"))?;
    let answer = match Members::parse(&body) {
        Ok(answer) => answer,
        // Some servers answer every request with their start page. That is not a document.
        Err(found) if found.starts_with("a web page") => return Ok(None),
        Err(found) => return Err(format!("it is {found}")),
    };
    let document = WellKnown::read(&answer);
    let is_empty = document.issuer.is_empty()
        && document.token_endpoint.is_none()
        && document.authorization_endpoint.is_none()
        && document.unusable.is_empty();
    Ok((!is_empty).then_some(document))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn read(document: &Value) -> WellKnown {
        WellKnown::read(&Members::parse(document.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn both_spellings_are_read() {
        let found = read(&json!({
            "issuer": "https://x",
            "authorizationEndpoint": "https://x/a",
            "tokenEndpoint": "https://x/t",
            "deviceAuthorizationEndpoint": "https://x/d",
            "revocationEndpoint": null,
            "scopesSupported": ["openid", null, ""],
            "tokenEndpointAuthMethodsSupported": "client_secret_basic client_secret_post",
            "authorizationResponseIssParameterSupported": "true",
            "jwksUri": "https://keys/",
        }));
        assert_eq!(found.others.keys().collect::<Vec<_>>(), ["jwksUri"]);
        assert_eq!(found.token_endpoint.unwrap().as_str(), "https://x/t");
        assert!(found.authorization_endpoint.is_some() && found.device_authorization_endpoint.is_some());
        assert_eq!((found.scopes, found.client_authentication.len()), (vec!["openid".to_owned()], 2));
        assert!(found.answers_with_issuer && found.unusable.is_empty());
    }

    #[test]
    fn the_spelling_of_the_rfc_comes_first() {
        let document = json!({
            "issuer": "https://x",
            "tokenEndpoint": "https://other/t",
            "token_endpoint": "https://x/t",
            "authorization_endpoint": "",
            "authorizationEndpoint": "https://x/a",
            "revocation_endpoint": "https://x/r",
            "revocationEndpoint": "https://other/r",
            "scopesSupported": ["other"],
            "scopes_supported": ["openid"],
            "jwksUri": "https://other/keys",
            "jwks_uri": "https://x/keys",
            "userinfoEndpoint": "https://x/u",
        });
        let found = read(&document);
        let url = |url: Option<Url>| url.unwrap().to_string();
        assert_eq!(url(found.token_endpoint), "https://x/t");
        assert_eq!(url(found.authorization_endpoint), "https://x/a", "the other one is empty");
        assert_eq!(url(found.revocation_endpoint), "https://x/r");
        assert_eq!(found.scopes, ["openid"]);
        let others: Vec<_> = found.others.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
        assert_eq!(others, [("jwks_uri", "https://x/keys"), ("userinfoEndpoint", "https://x/u")]);
    }

    #[test]
    fn an_issuers_path_is_before_or_behind() {
        let all = addresses(&"https://x/tenant/?q".parse().unwrap());
        let all: Vec<_> = all.iter().map(Url::as_str).collect();
        assert_eq!(
            all,
            [
                "https://x/.well-known/oauth-authorization-server/tenant",
                "https://x/tenant/.well-known/openid-configuration",
                "https://x/tenant/.well-known/oauth-authorization-server",
            ]
        );
        assert_eq!(addresses(&"https://x/".parse().unwrap()).len(), 2);
    }

    /// A value of an unexpected type.
    fn unexpected_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            Just(json!("")),
            Just(json!([])),
            Just(json!({})),
            Just(json!({ "a": 1 })),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
            proptest::collection::vec("\\PC{0,9}", 0..3).prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn no_other_member_makes_a_document_unusable(
            odd in proptest::collection::vec(unexpected_value(), 8),
            others in proptest::collection::hash_map("[a-z_]{1,12}", unexpected_value(), 0..5),
        ) {
            let names = [
                "authorization_endpoint", "device_authorization_endpoint", "revocation_endpoint", "scopes_supported",
                "token_endpoint_auth_methods_supported", "authorization_response_iss_parameter_supported", "jwks_uri",
                "response_types_supported",
            ];
            let mut document: Map<String, Value> = others.into_iter().collect();
            document.extend(names.into_iter().map(str::to_owned).zip(odd));
            document.insert("issuer".into(), json!("https://x"));
            document.insert("token_endpoint".into(), json!("https://x/t"));
            let found = read(&Value::Object(document));
            prop_assert_eq!(&found.issuer, "https://x");
            prop_assert_eq!(found.token_endpoint.as_ref().map(Url::as_str), Some("https://x/t"));
        }
    }
}
